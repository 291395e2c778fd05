"""Scores of calibrated quantiles on the sealed test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from podium import registry
from podium.arrays import Floats
from podium.evidence import Scalar
from podium.intervals import INTERVALS, Calibration
from podium.prediction import Prediction
from podium.split import Windows
from podium.stats import Score, interval_scores, mean_absolute_scaled_error
from podium.steps.trials import baselines
from podium.steps.trials.baselines import Configured
from podium.tasks.forecast import SlotData, last_value_error

BOUNDED = (*(f"coverage_{nominal}" for nominal in INTERVALS), "crps", "mase")


def calibration_of(reference: Configured, data: SlotData, fraction: float) -> Calibration | None:
    """Calibration of a baseline on the slice before the test, as a candidate's."""
    train, validation = data.held_out(fraction).folds[0].windows(data.tuning)
    model = baselines.fit(reference, train)
    forecast = model.predict(validation.blind())
    return Calibration.of(forecast, validation.outcomes(), data.horizon)


def scalars(
    data: SlotData, decisions: Windows, forecast: Prediction, calibration: Calibration | None
) -> dict[str, Scalar]:
    """Coverage, width and losses of a forecast's quantiles, by name.

    Parameters
    ----------
    decisions : Windows
        Windows of the forecast, in its order; those without an outcome do not count.

    Returns
    -------
    dict
        ``coverage_80``, ``width_80``, ``coverage_80_adaptive`` and so on, ``pinball``, ``crps``,
        ``wql`` and ``mase``, with ``_low`` and ``_high`` where they have an interval. The earlier
        steps of a path are ``crps:step_1`` and so on. Empty without a calibration.
    """
    if calibration is None:
        return {}
    outcomes = decisions.outcomes()
    truth, means = (part.reshape(len(decisions), -1) for part in (outcomes, forecast.path))
    fixed, adaptive = (
        quantiles.reshape(*means.shape, len(calibration.levels))
        for quantiles in (
            calibration.quantiles(forecast),
            calibration.adaptive(forecast, outcomes)[0],
        )
    )
    scores: dict[str, Scalar] = {}
    for n, step in enumerate(calibration.steps):
        known = np.isfinite(truth[:, n])
        made = _step(
            data,
            decisions.take(known),
            step,
            (truth[known, n], means[known, n], fixed[known, n], adaptive[known, n]),
            calibration.levels,
        )
        end = "" if step == data.horizon else f":step_{step}"
        scores |= {f"{name}{end}": scalar for name, scalar in made.items()}
    return scores


def _step(
    data: SlotData,
    windows: Windows,
    step: int,
    columns: tuple[Floats, Floats, Floats, Floats],
    levels: Sequence[float],
) -> dict[str, Scalar]:
    """Scores of one horizon from outcomes, forecasts, and fixed and adaptive quantiles."""
    truth, means, quantiles, adapted = columns

    def scored(rows: Floats) -> dict[str, Score]:
        return interval_scores(truth, rows, levels, windows.at, INTERVALS, horizon=step)

    fixed, adaptive = scored(quantiles), scored(adapted)
    scale = last_value_error(baselines.labelled(data.tuning).at_step(step))
    if scale > 0:
        fixed["mase"] = mean_absolute_scaled_error(truth, means, scale, windows.at, horizon=step)
    values = {name: score.value for name, score in fixed.items()}
    for name in BOUNDED:
        if name in fixed:
            values |= {f"{name}_low": fixed[name].low, f"{name}_high": fixed[name].high}
    for nominal in INTERVALS:
        values[f"coverage_{nominal}_adaptive"] = adaptive[f"coverage_{nominal}"].value
    return {
        name: Scalar(value, _unit(name, data), "" if name.startswith("coverage") else "min")
        for name, value in values.items()
        if np.isfinite(value)
    }


def _unit(name: str, data: SlotData) -> str:
    if name.startswith("coverage"):
        return "share"
    if name.startswith(("wql", "mase")):
        return ""
    return str(registry.load("targets", data.section.target).UNIT)
