"""Scores of forecast quantiles and intervals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import DataError, UsageError
from podium.stats._checks import same_length, series


def pinball(truth: ArrayLike, forecast: ArrayLike, quantile: ArrayLike) -> Floats:
    """Pinball (quantile) loss of each forecast; smaller is better.

    Parameters
    ----------
    truth : (N,) float
        Observed values.
    forecast : (N,) or (N, Q) float
        Forecast of the quantile, or of each of Q quantiles, in the unit of `truth`.
    quantile : float in (0, 1), or (Q,) of them
        Share of outcomes that should lie below the forecast.

    Returns
    -------
    (N,) or (N, Q) float, >= 0
        As `forecast`, in the unit of `truth`: q times the shortfall of the forecast, or 1 - q
        times its excess. Half the absolute error at 0.5; twice its mean over evenly spaced
        quantiles is about the CRPS. NaN on overflow.

    Raises
    ------
    DataError
        A number that is NaN or infinite, arrays of another shape or of different lengths.
    UsageError
        A quantile not strictly between 0 and 1.

    Examples
    --------
    >>> pinball([10.0, 10.0], [8.0, 12.0], 0.9).round(2).tolist()
    [1.8, 0.2]

    References
    ----------
    .. [1] Koenker & Bassett (1978), Regression quantiles, Econometrica 46(1).
    """
    observed, levels = series("truth", truth), np.asarray(quantile, dtype=np.float64)
    if not ((levels > 0.0) & (levels < 1.0)).all():
        raise UsageError(f"quantile is {quantile!r}", "numbers above 0 and below 1")
    values = np.asarray(forecast, dtype=np.float64)
    if values.ndim != 1 + levels.ndim or levels.ndim > 1 or values.shape[1:] != levels.shape:
        raise DataError(
            f"forecast has shape {values.shape} for quantiles of shape {levels.shape}",
            "(N,) for one quantile, (N, Q) for Q of them",
        )
    series("forecast", values.ravel())
    same_length("forecast", values, "truth", observed.size)
    with np.errstate(over="ignore"):
        short = observed.reshape(-1, *[1] * levels.ndim) - values
        loss: Floats = np.maximum(levels * short, (levels - 1.0) * short)
    return np.where(np.isfinite(loss), loss, math.nan)


def coverage(truth: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of outcomes inside their forecast intervals.

    Parameters
    ----------
    truth : (N,) float
        Observed values.
    low, high : (N,) float
        Bounds of each interval, inclusive.

    Returns
    -------
    float in [0, 1]
        For comparison with the nominal level. NaN without outcomes.

    Raises
    ------
    DataError
        A number that is NaN or infinite, arrays of another shape or of different lengths, or an
        interval with its low bound above its high bound.

    Examples
    --------
    >>> coverage([1.0, 2.0, 9.0, 4.0], [0.0, 2.0, 0.0, 0.0], [5.0, 5.0, 5.0, 5.0])
    0.75

    References
    ----------
    .. [1] Christoffersen (1998), Evaluating interval forecasts, International Economic Review
       39(4).
    """
    observed, bottom, top = series("truth", truth), series("low", low), series("high", high)
    same_length("low", bottom, "truth", observed.size)
    same_length("high", top, "truth", observed.size)
    crossed = bottom > top
    if crossed.any():
        at = int(crossed.argmax())
        raise DataError(
            f"low[{at}] is {bottom[at]} and high[{at}] {top[at]}, one of {int(crossed.sum())} "
            "intervals with bounds in the wrong order",
            "low at most high",
        )
    return float(np.mean((bottom <= observed) & (observed <= top))) if observed.size else math.nan
