"""Scores of calibrated quantiles on the sealed test."""

from __future__ import annotations

from collections.abc import Mapping

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
from podium.tasks.forecast import SlotData

BOUNDED = (*(f"coverage_{nominal}" for nominal in INTERVALS), "crps", "mase")


def calibration_of(reference: Configured, data: SlotData, fraction: float) -> Calibration | None:
    """Calibration of a baseline on the slice before the test, as a candidate's."""
    train, validation = data.held_out(fraction).folds[0].windows(data.tuning)
    model = baselines.fit(reference, train)
    forecast = model.predict(validation.blind())
    return Calibration.of(forecast, validation.truth(), data.horizon)


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
        ``wql`` and ``mase``, with ``_low`` and ``_high`` where they have an interval. Empty
        without a calibration.
    """
    if calibration is None:
        return {}
    truth = decisions.truth()
    known = np.isfinite(truth)
    periods = decisions.at[known]

    def scored(quantiles: Floats) -> Mapping[str, Score]:
        levels = calibration.levels
        return interval_scores(
            truth[known], quantiles[known], levels, periods, INTERVALS, horizon=data.horizon
        )

    fixed = dict(scored(calibration.quantiles(forecast)))
    adaptive = scored(calibration.adaptive(forecast, truth)[0])
    scale = _naive_error(data)
    if scale > 0:
        fixed["mase"] = mean_absolute_scaled_error(
            truth[known], forecast.mean[known], scale, periods, horizon=data.horizon
        )
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


def _naive_error(data: SlotData) -> float:
    """Mean absolute error of the last value before the test."""
    windows = baselines.labelled(data.tuning)
    past = data.tuning.past[windows.at, windows.item]
    return float(np.mean(np.abs(windows.truth() - past)))
