"""Scores of forecast quantiles against outcomes, with intervals from a block bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats, Ints
from podium.errors import DataError
from podium.stats.block_bootstrap import block_bootstrap_mean
from podium.stats.diebold_mariano import panel_loss
from podium.stats.quantiles import pinball


@dataclass(frozen=True)
class Score:
    """A mean over windows and its interval; NaN bounds for fewer than 30 periods."""

    value: float
    low: float = math.nan
    high: float = math.nan


def interval_scores(
    truth: Floats,
    quantiles: Floats,
    levels: Sequence[float],
    periods: Ints,
    intervals: Mapping[int, tuple[float, float]],
    *,
    horizon: int = 1,
    seed: int = 0,
) -> dict[str, Score]:
    """Coverage and width of central intervals, and losses of the quantiles.

    Parameters
    ----------
    truth : (N,) float
        Outcomes, finite.
    quantiles : (N, Q) float
        In the unit of `truth`, finite.
    levels : sequence of float, length Q
    periods : (N,) int
        Period of each window; windows of one period (tickers of one bar) are not independent.
    intervals : mapping of nominal coverage in per cent to (low level, high level)
    horizon : int
        Bars of the outcomes, which overlap.
    seed : int

    Returns
    -------
    dict
        ``coverage_80`` (share of outcomes inside, bounds included) and ``width_80`` (mean, in the
        unit of `truth`) for each interval; ``pinball``, the mean pinball loss of the deciles in
        `levels`; ``crps``, twice that; ``wql``, the weighted quantile loss: ``crps`` over the mean
        absolute outcome, with the bounds of ``crps`` over the same number. Bounds are of 95 per
        cent.

    Raises
    ------
    DataError
        A number that is NaN or infinite, or arrays of different lengths.

    Examples
    --------
    >>> truth, rows = np.arange(4.0), np.tile([0.5, 1.0, 2.5], (4, 1))
    >>> made = interval_scores(truth, rows, (0.1, 0.5, 0.9), np.arange(4), {80: (0.1, 0.9)})
    >>> made["coverage_80"].value, made["width_80"].value
    (0.5, 2.0)
    """
    if quantiles.shape != (len(truth), len(levels)):
        raise DataError(f"quantiles have shape {quantiles.shape}", f"({len(truth)}, {len(levels)})")
    deciles = [n for n, level in enumerate(levels) if math.isclose(level * 10, round(level * 10))]
    losses = pinball(truth, quantiles[:, deciles], np.array(levels)[deciles]).mean(axis=1)
    rows: dict[str, Floats] = {}
    for nominal, (low, high) in intervals.items():
        bottom, top = (quantiles[:, levels.index(level)] for level in (low, high))
        rows[f"coverage_{nominal}"] = ((bottom <= truth) & (truth <= top)).astype(np.float64)
        rows[f"width_{nominal}"] = top - bottom
    rows |= {"pinball": losses, "crps": 2 * losses}
    scores = {name: _mean(values, periods, horizon, seed) for name, values in rows.items()}
    size = float(np.abs(truth).mean()) if len(truth) else math.nan
    whole = scores["crps"]
    scores["wql"] = (
        Score(whole.value / size, whole.low / size, whole.high / size)
        if size > 0
        else Score(math.nan)
    )
    return scores


def mean_absolute_scaled_error(
    truth: Floats, forecast: Floats, scale: float, periods: Ints, *, horizon: int = 1, seed: int = 0
) -> Score:
    """Mean absolute error over a scale, with its interval (MASE).

    Parameters
    ----------
    truth, forecast : (N,) float
    scale : float, > 0
        Mean absolute error of the naive forecast (the last value) on the training part.
    periods, horizon, seed
        As for :func:`interval_scores`.

    References
    ----------
    Hyndman and Koehler (2006), Another look at measures of forecast accuracy, International
    Journal of Forecasting 22.
    """
    return _mean(np.abs(truth - forecast) / scale, periods, horizon, seed)


def _mean(values: ArrayLike, periods: Ints, horizon: int, seed: int) -> Score:
    """Mean over all windows, and the interval of the mean over periods."""
    rows = np.asarray(values, dtype=np.float64)
    by_period = panel_loss(rows, periods)[1]
    spread = block_bootstrap_mean(by_period, horizon=horizon, seed=seed)
    value = float(rows.mean()) if rows.size else math.nan
    return Score(value, spread.low, spread.high)
