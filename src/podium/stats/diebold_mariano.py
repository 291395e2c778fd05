"""Diebold-Mariano test of two forecasts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct
from scipy.special import stdtr

from podium.arrays import Floats
from podium.errors import DataError
from podium.stats._checks import EPSILON, finite_or_nan, series, whole

FEWEST_PERIODS = 30
"""Fewest periods of the test."""

PERIODS_PER_LAG = 10
"""Fewest periods per step of the horizon: with fewer, the test rejects too often."""

Variance = Literal["cosine", "rectangular", "bartlett", "none"]

AVERAGE = "average several series with panel_loss"


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """Outcome of a Diebold-Mariano test, decidable or not.

    Parameters
    ----------
    statistic : float
        Corrected statistic; negative where the first loss is smaller. NaN if undecidable.
    p_value : float in [0, 1]
        Two-sided, from Student's t. NaN if undecidable.
    mean_difference : float
        Mean of ``loss_a - loss_b``, in the unit of the losses. NaN without periods, or on overflow.
    n : int
        Periods compared.
    variance : {"cosine", "rectangular", "bartlett", "none"}
        Estimator of the long-run variance; "none" if undecidable.
    reason : str or None
        Why the test is undecidable, or None.
    """

    statistic: float
    p_value: float
    mean_difference: float
    n: int
    variance: Variance
    reason: str | None = None

    @property
    def one_sided(self) -> float:
        """p-value of "the first expected loss is not smaller"; NaN if undecidable."""
        half = self.p_value / 2.0
        return half if self.statistic < 0.0 else 1.0 - half


def diebold_mariano(
    loss_a: ArrayLike, loss_b: ArrayLike, horizon: int = 1, *, lags: int | None = None
) -> DieboldMariano:
    """Test of equal expected loss of two forecasts whose losses may be autocorrelated.

    Parameters
    ----------
    loss_a, loss_b : (T,) float
        Loss of each forecast per period, in time order, in the same unit, smaller is better.
        Several series of the same period are averaged first, see `panel_loss`.
    horizon : int, >= 1
        Forecast horizon in periods; errors overlap by ``horizon - 1`` periods.
    lags : int, >= 0, optional
        Use this number of autocovariances and the correction of [3]_, which is the classical test
        (``horizon - 1`` in [2]_). It assumes that differences further apart are uncorrelated.

    Returns
    -------
    DieboldMariano
        With NaN and a `reason` where the test is undecidable: fewer than 30 periods, fewer than
        10 periods for each step of the horizon, or losses whose difference never varies.

    Raises
    ------
    DataError
        Losses of different lengths, not one-dimensional, NaN or infinite.
    UsageError
        A horizon that is not a whole number of at least 1, or lags below 0.

    Notes
    -----
    The statistic is the mean loss difference m over its standard error. The long-run variance is
    the mean of the squared projections of the T differences on the B slowest cosines (the type-II
    discrete cosine transform), which needs no choice of lags, and the statistic has Student's t
    distribution with B degrees of freedom [1]_. B is 0.4 T^(2/3), and at most 0.6 T / h, so that
    the cosines are slow compared with the overlap.

    Rejections at a nominal 5 %, in percent of 20,000 simulations, of this test and (in brackets) of
    the classical one with h - 1 lags. The differences are independent, first-order autoregressive
    (both with h = 1), or overlapping sums of h independent numbers:

    ====  ===========  ===========  ===========  ==========  ==========  ==========
    T     independent  AR 0.3       AR 0.5       sums, h=5   sums, h=10  sums, h=20
    ====  ===========  ===========  ===========  ==========  ==========  ==========
    30    4.7 (5.3)    5.4 (14.7)   6.4 (25.6)
    60    5.0 (5.2)    5.1 (15.2)   5.7 (25.7)   5.7 (7.7)
    100   4.9 (4.9)    5.3 (14.5)   5.7 (25.9)   5.6 (6.7)   6.5 (9.5)
    250   5.1 (5.0)    5.3 (15.4)   5.2 (25.9)   5.3 (5.6)   6.7 (6.9)   6.8 (8.9)
    500   5.0 (4.8)    5.1 (14.9)   5.1 (26.0)   5.2 (5.3)   5.7 (5.6)   6.4 (6.9)
    1000  5.2 (5.0)    5.1 (14.9)   4.9 (25.8)   5.1 (5.1)   5.5 (5.4)   6.6 (6.2)
    ====  ===========  ===========  ===========  ==========  ==========  ==========

    With an autocorrelation of 0.8 it rejects 13.7 % at 30 periods, 10.0 at 100, 7.6 at 250 and 6.2
    at 1,000 (the classical test 52). Independent differences are rejected in 4.7 to 5.2 % for
    horizons of 5, 10 and 20 too. An independent mean of three standard errors is detected in 62 %
    of simulations at 30 periods, 76 at 100, 81 at 250 and 84 at 1,000 (classical: 83, 85, 85, 85).

    With `lags` the variance of m is (g(0) + 2 sum g(k)) / T with g(k) the k-th autocovariance
    divided by T. Where that is not positive, g(k) is weighted by 1 - k / (lags + 1) (Bartlett).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> errors = rng.standard_normal((2, 250))
    >>> worse, better = 1.5 * errors[0] ** 2, errors[1] ** 2
    >>> result = diebold_mariano(worse, better)
    >>> result.statistic > 0, result.p_value < 0.05, result.variance
    (True, True, 'cosine')
    >>> diebold_mariano(better, better).reason
    'the two losses never differ'

    References
    ----------
    .. [1] Lazarus, Lewis, Stock & Watson (2018), HAR inference: recommendations for practice, J.
       Business & Economic Statistics 36(4).
    .. [2] Diebold & Mariano (1995), Comparing predictive accuracy, J. Business & Economic
       Statistics 13(3).
    .. [3] Harvey, Leybourne & Newbold (1997), Testing the equality of prediction mean squared
       errors, Int. J. Forecasting 13(2).
    """
    first, second = series("loss_a", loss_a, AVERAGE), series("loss_b", loss_b, AVERAGE)
    if first.size != second.size:
        raise DataError(
            f"loss_a has {first.size} periods and loss_b has {second.size}",
            "the same periods in both",
            "compare the forecasts on the periods they share",
        )
    horizon = whole("horizon", horizon, 1)
    steps = horizon if lags is None else max(horizon, whole("lags", lags, 0) + 1)
    # A power of two changes no digit, and squares neither overflow nor underflow.
    largest = max(float(np.abs(first).max(initial=0.0)), float(np.abs(second).max(initial=0.0)))
    power = math.frexp(largest)[1] + 1
    first, second = np.ldexp(first, -power), np.ldexp(second, -power)
    difference = first - second
    n = difference.size
    scaled_mean = float(difference.mean()) if n else math.nan
    with np.errstate(over="ignore"):
        mean = finite_or_nan(float(np.ldexp(scaled_mean, power)))
    reason = _why_undecidable(first, second, difference - scaled_mean, steps)
    if reason:
        return DieboldMariano(math.nan, math.nan, mean, n, "none", reason)

    centred = difference - scaled_mean
    if lags is None:
        long_run, degrees = _cosine_variance(centred, horizon)
        window: Variance = "cosine"
    else:
        long_run, window = _lag_variance(centred, lags + 1)
        long_run /= (n + 1 - 2 * (lags + 1) + (lags + 1) * lags / n) / n
        degrees = n - 1
    statistic = scaled_mean / math.sqrt(long_run / n)
    p_value = float(2.0 * stdtr(degrees, -abs(statistic)))
    return DieboldMariano(statistic, p_value, mean, n, window)


def panel_loss(loss: ArrayLike, period: ArrayLike) -> tuple[NDArray[np.generic], Floats]:
    """Mean loss of the series of each period.

    Series of one period share its shocks, so a test must not count them as independent
    observations.

    Parameters
    ----------
    loss : (N,) float
        Loss of one series in one period; any order.
    period : (N,) integer or datetime64
        Period of each loss.

    Returns
    -------
    periods : (T,) integer or datetime64
        Distinct periods, ascending, of the type of `period`.
    mean_loss : (T,) float
        Mean over the series of each period. Two forecasts are comparable only if both have the same
        series in every period.

    Raises
    ------
    DataError
        Different lengths, a loss that is NaN or infinite, a NaT, or periods of another type.

    Examples
    --------
    >>> periods, loss = panel_loss([1.0, 3.0, 5.0], [7, 6, 7])
    >>> periods.tolist(), loss.tolist()
    ([6, 7], [3.0, 3.0])
    """
    losses, keys = series("loss", loss, AVERAGE), np.asarray(period)
    if keys.shape != losses.shape:
        raise DataError(
            f"period has shape {keys.shape} and loss {losses.shape}", "one period for each loss"
        )
    # The type of an empty list is arbitrary.
    if keys.dtype.kind not in "iuM" and keys.size:
        raise DataError(f"period is of type {keys.dtype}", "integers or datetime64")
    if keys.dtype.kind == "M" and np.isnat(keys).any():
        raise DataError(f"period[{int(np.isnat(keys).argmax())}] is NaT", "a time for every loss")
    periods, group = np.unique(keys, return_inverse=True)
    sums = np.bincount(group, weights=losses, minlength=periods.size)
    return periods, sums / np.bincount(group, minlength=periods.size)


def _why_undecidable(first: Floats, second: Floats, centred: Floats, horizon: int) -> str | None:
    n = centred.size
    if n < FEWEST_PERIODS:
        return f"{n} periods, at least {FEWEST_PERIODS} are needed"
    if n < PERIODS_PER_LAG * horizon:
        return f"{n} periods, a horizon of {horizon} needs at least {PERIODS_PER_LAG * horizon}"
    if np.array_equal(first, second):
        return "the two losses never differ"
    # The difference of losses that differ by a constant varies by rounding alone.
    rounding = 4 * EPSILON * max(float(np.abs(first).max()), float(np.abs(second).max()))
    if float(np.abs(centred).max()) <= rounding:
        return "the difference of the two losses never varies"
    return None


def _cosine_variance(centred: Floats, horizon: int) -> tuple[float, int]:
    """Long-run variance from slow cosines, and its degrees of freedom."""
    n = centred.size
    cosines = round(min(0.4 * n ** (2.0 / 3.0), 0.6 * n / horizon))
    long_run = float(np.mean(dct(centred, norm="ortho")[1 : cosines + 1] ** 2))
    variance = float(np.mean(centred**2))
    # Periodic differences may have no slow part: rounding would make any statistic large.
    return (long_run if long_run > n * EPSILON * variance else variance), cosines


def _lag_variance(
    centred: Floats, horizon: int
) -> tuple[float, Literal["rectangular", "bartlett"]]:
    n = centred.size
    lags = np.array([centred[k:] @ centred[: n - k] for k in range(horizon)]) / n
    rectangular = float(lags[0] + 2.0 * lags[1:].sum())
    # A sum that cancels to rounding error counts as zero: it would make any statistic large.
    if rectangular > n * EPSILON * lags[0]:
        return rectangular, "rectangular"
    shrink = 1.0 - np.arange(1, horizon) / horizon
    return float(lags[0] + 2.0 * (shrink @ lags[1:])), "bartlett"
