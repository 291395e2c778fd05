"""Bootstrap intervals of a figure of a time series."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats
from podium.errors import DataError, UsageError
from podium.stats._checks import finite_or_nan, resampling, same_length, series, unit
from podium.stats._resampling import block_length, checked_method, draws, too_short
from podium.stats.block_length import Method

MOST_UNDEFINED = 0.05
"""Share of resamples without a figure above which there is no interval."""


@dataclass(frozen=True, slots=True)
class BootstrapInterval:
    """A figure and its bootstrap interval.

    Parameters
    ----------
    estimate : float
        Figure of the original series.
    low, high : float
        Percentile interval of the resampled figures; NaN if undecidable.
    confidence : float in (0, 1)
        Share of the resampled figures inside the interval.
    n : int
        Periods.
    block : float
        (Mean) length of the blocks, in periods; NaN if undecidable.
    draws : int
        Resamples with a finite figure.
    reason : str or None
        Why there is no interval.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    n: int
    block: float
    draws: int
    reason: str | None = None


def block_bootstrap(
    metric: Callable[..., float],
    *data: ArrayLike,
    method: Method = "stationary",
    horizon: int = 1,
    block: float | None = None,
    confidence: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> BootstrapInterval:
    """Interval for any figure of one or more time series.

    Parameters
    ----------
    metric : callable
        Function of the arrays of `data`, all resampled with the same rows, that returns a number.
        It is called once per resample.
    *data : (T, ...) numbers
        Arrays with a row per period, in time order.
    method : {"stationary", "circular"}
        Blocks of geometric or of fixed length; both wrap at the end.
    horizon : int, >= 1
        Periods that a value covers: neighbours overlap by ``horizon - 1`` periods.
    block : float in [1, T], optional
        Length of the blocks (mean length for "stationary"), for the plain percentile interval. By
        default the mean `optimal_block_length` of the columns of `data`, at least
        ``2 * horizon - 1`` and at most T / 3, and the interval is widened as below.
    confidence : float in (0, 1)
        Share of the resampled figures inside the interval.
    repeats : int, >= 100
        Resamples.
    seed : int, >= 0
        The same seed gives the same interval.

    Returns
    -------
    BootstrapInterval
        With NaN and a `reason` for fewer than 30 periods, or where the metric is NaN or infinite
        for the series themselves or for more than a twentieth of the resamples.

    Raises
    ------
    DataError
        Arrays of different lengths, or with a number that is NaN or infinite.
    UsageError
        No array, or an option outside its bounds.

    Notes
    -----
    Percentile intervals are too narrow for autocorrelated periods, as few blocks are independent.
    With the default length L they are widened about the estimate by 1 / sqrt(1 - 2L / T), and by
    the quantile of Student's t with T / L degrees of freedom over that of the normal. Coverage of
    an interval of 95 % of the mean, in percent of 1,500 simulations, with that of the percentile
    interval with optimal blocks in brackets (``2 * horizon`` in place of ``2 * horizon - 1``):

    ====  ===========  ===========  ===========  ============  ============
    T     independent  AR 0.5       sums, h=5    sums, h=10    sums, h=20
    ====  ===========  ===========  ===========  ============  ============
    100   95.5 (94.4)  89.1 (85.5)  94.1 (85.5)  94.3 (79.9)
    250   95.4 (95.1)  93.1 (91.5)  92.5 (88.7)  92.7 (86.7)   93.7 (83.3)
    500   95.5 (95.4)  92.8 (91.6)  93.9 (91.9)  91.9 (88.6)   91.8 (87.6)
    1000  94.7 (94.7)  93.5 (93.1)  93.7 (92.7)  92.9 (90.6)   91.4 (88.5)
    ====  ===========  ===========  ===========  ============  ============

    Skewed values are covered less often: squared sums of 5 in 89.0, 89.7, 91.6 and 92.1 %.

    Examples
    --------
    >>> from podium.stats import sharpe_ratio
    >>> returns = 0.001 + 0.01 * np.random.default_rng(0).standard_normal(500)
    >>> result = block_bootstrap(sharpe_ratio, returns, repeats=200)
    >>> result.low < result.estimate < result.high
    True

    References
    ----------
    .. [1] Politis & Romano (1994), The stationary bootstrap, J. Am. Statistical Association 89.
    .. [2] Politis & Romano (1992), A circular block-resampling procedure for stationary data.
    """
    if not data:
        raise UsageError("no data", "at least one array with a row per period")
    arrays, columns = _rows(data)
    estimate = finite_or_nan(float(metric(*arrays)))

    def figures(drawn: NDArray[np.intp]) -> Floats:
        return np.array([float(metric(*(array[rows] for array in arrays))) for rows in drawn])

    return _interval(columns, estimate, figures, method, horizon, block, confidence, repeats, seed)


def block_bootstrap_mean(
    values: ArrayLike,
    *,
    method: Method = "stationary",
    horizon: int = 1,
    block: float | None = None,
    confidence: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> BootstrapInterval:
    """Interval for the mean of a time series: a fast `block_bootstrap` of the mean.

    Parameters
    ----------
    values : (T,) float
        One number per period, in time order, in any unit.
    method, horizon, block, confidence, repeats, seed
        As for `block_bootstrap`.

    Returns
    -------
    BootstrapInterval
        In the unit of `values`; with NaN and a `reason` for fewer than 30 periods.

    Raises
    ------
    DataError
        A number that is NaN or infinite, or values that are not one-dimensional.
    UsageError
        An option outside its bounds.

    Examples
    --------
    >>> result = block_bootstrap_mean(np.random.default_rng(0).standard_normal(400))
    >>> result.low < 0.0 < result.high
    True

    References
    ----------
    .. [1] Politis & Romano (1994), The stationary bootstrap, J. Am. Statistical Association 89.
    """
    scaled, size = unit(series("values", values))
    estimate = size * float(scaled.mean()) if scaled.size else math.nan

    def figures(drawn: NDArray[np.intp]) -> Floats:
        return np.asarray(size * scaled[drawn].mean(axis=1))

    columns = scaled[:, None]
    return _interval(columns, estimate, figures, method, horizon, block, confidence, repeats, seed)


def _rows(data: tuple[ArrayLike, ...]) -> tuple[list[NDArray[Any]], Floats]:
    """The arrays, and all their columns in one table."""
    arrays = [np.asarray(values) for values in data]
    flat = []
    for at, array in enumerate(arrays):
        if not array.ndim or array.dtype.kind not in "biuf":
            raise DataError(
                f"data[{at}] has type {array.dtype} and shape {array.shape}",
                "numbers, a row per period",
            )
        same_length(f"data[{at}]", array, "data[0]", len(arrays[0]))
        values = array.reshape(len(array), math.prod(array.shape[1:])).astype(np.float64)
        if not np.isfinite(values).all():
            raise DataError(f"data[{at}] has numbers that are not finite", "finite numbers")
        flat.append(values)
    return arrays, np.concatenate(flat, axis=1)


def _interval(
    columns: Floats,
    estimate: float,
    figures: Callable[[NDArray[np.intp]], Floats],
    method: Method,
    horizon: int,
    block: float | None,
    confidence: float,
    repeats: int,
    seed: int,
) -> BootstrapInterval:
    """Interval of a figure; ``figures`` computes it for resampled rows."""
    kind = checked_method(method)
    level, count, start = resampling(confidence, repeats, seed)
    n = len(columns)
    reason = too_short(n)
    if not reason and math.isnan(estimate):
        reason = "the metric of the original series is not finite"
    if reason:
        return BootstrapInterval(estimate, math.nan, math.nan, level, n, math.nan, 0, reason)
    length, widening = block_length(block, n, columns, kind, horizon, level)
    resampled = np.concatenate([figures(drawn) for drawn in draws(n, count, length, kind, start)])
    low, high, defined, reason = percentiles(resampled, level)
    low, high = (finite_or_nan(estimate + widening * (end - estimate)) for end in (low, high))
    return BootstrapInterval(estimate, low, high, level, n, length, defined.size, reason)


def percentiles(figures: Floats, level: float) -> tuple[float, float, Floats, str | None]:
    """Low and high quantile, the finite figures, and the reason where there is no interval."""
    defined = figures[np.isfinite(figures)]
    missing = figures.size - defined.size
    if missing > MOST_UNDEFINED * figures.size:
        reason = f"the metric is not finite for {missing} of {figures.size} resamples"
        return math.nan, math.nan, defined, reason
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high), defined, None
