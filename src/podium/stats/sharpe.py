"""Sharpe ratios per bar, and the probability that the true one exceeds a benchmark."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from podium.arrays import Floats, least_deviation
from podium.errors import DataError
from podium.stats._checks import (
    finite_or_nan,
    number,
    series,
    table,
    unit,
    whole,
)


def sharpe_ratio(returns: ArrayLike) -> float:
    """Mean over standard deviation of the returns, per bar.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction, in excess of any risk-free rate.

    Returns
    -------
    float
        Not annualised: multiply by the square root of the bars in a year for a yearly ratio. The
        standard deviation divides by T - 1. NaN for fewer than two bars, or constant returns, such
        as interest alone; returns within rounding of each other (a standard deviation below
        8 eps (1 + |r|), with |r| the largest return) are constant.

    Raises
    ------
    DataError
        A return that is NaN or infinite, or returns that are not one-dimensional.

    Examples
    --------
    >>> round(sharpe_ratio([0.01, -0.01, 0.02]), 4)
    0.4364

    References
    ----------
    .. [1] Sharpe (1994), The Sharpe ratio, J. Portfolio Management 21(1).
    """
    return float(_sharpes(series("returns", returns)[:, None])[0])


def sharpe_ratios(returns: ArrayLike) -> Floats:
    """Sharpe ratio per bar of each of many return series.

    `deflated_sharpe` needs its standard deviation over the trials of a search.

    Parameters
    ----------
    returns : (T, N) float
        Simple return per bar (row) and trial (column), as a fraction.

    Returns
    -------
    (N,) float
        As `sharpe_ratio`; NaN for a trial with constant returns.

    Raises
    ------
    DataError
        A return that is NaN or infinite, or returns that are not two-dimensional.

    Examples
    --------
    >>> sharpe_ratios([[0.01, 0.0], [-0.01, 0.0], [0.02, 0.0]]).round(4).tolist()
    [0.4364, nan]
    """
    return _sharpes(table("returns", returns, "trials"))


def probabilistic_sharpe(returns: ArrayLike, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark, given skew and kurtosis.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar, as a fraction. For the best of many strategies, see
        `deflated_sharpe`.
    benchmark : float
        Sharpe ratio per bar (a yearly one over the square root of the bars in a year).

    Returns
    -------
    float in [0, 1]
        NaN for fewer than three bars, or constant returns.

    Raises
    ------
    DataError
        A return that is NaN or infinite, or returns that are not one-dimensional.
    UsageError
        A benchmark that is not finite.

    Notes
    -----
    With S the Sharpe ratio per bar, B the benchmark, g the skew and k the plain kurtosis (3 for the
    normal) of T returns, it is the normal distribution at
    (S - B) sqrt(T - 1) / sqrt(1 - g S + (k - 1) S^2 / 4). S divides by T - 1, g and k by T. It
    assumes many bars that are independent of each other.

    Examples
    --------
    >>> returns = 0.001 + 0.01 * np.random.default_rng(0).standard_normal(1000)
    >>> round(probabilistic_sharpe(returns), 3)
    0.953

    References
    ----------
    .. [1] Bailey & Lopez de Prado (2012), The Sharpe ratio efficient frontier, J. Risk 15(2).
    """
    return confidence_of(returns, number("benchmark", benchmark))


def confidence_of(returns: ArrayLike, benchmark: float) -> float:
    """Probability that the true Sharpe ratio of returns exceeds a benchmark, which may be NaN."""
    sharpe, n_bars, skew, kurtosis = moments(series("returns", returns))
    if n_bars < 3 or math.isnan(sharpe):
        return math.nan
    return confidence_above(benchmark, sharpe, n_bars, skew, kurtosis)


def moments(returns: Floats) -> tuple[float, int, float, float]:
    """Sharpe ratio per bar, number of bars, skew and plain kurtosis; NaN for constant returns."""
    sharpe = float(_sharpes(returns[:, None])[0])
    if math.isnan(sharpe):
        return math.nan, returns.size, math.nan, math.nan
    centred = unit(returns)[0]
    centred = centred - centred.mean()
    centred /= math.sqrt(float(np.mean(centred**2)))
    return sharpe, returns.size, float(np.mean(centred**3)), float(np.mean(centred**4))


def checked_moments(
    sharpe: float, n_bars: int, skew: float, kurtosis: float
) -> tuple[float, int, float, float]:
    """The four figures, after a check that they are possible together."""
    figures = number("sharpe", sharpe), number("skew", skew), number("kurtosis", kurtosis)
    least = 1.0 + figures[1] ** 2
    if figures[2] < least * (1.0 - 1e-9):
        raise DataError(
            f"kurtosis is {kurtosis} with a skew of {skew}",
            f"plain kurtosis, 3 for the normal; with this skew it is at least {least:g}",
            "add 3 if it is excess kurtosis",
        )
    return figures[0], whole("n_bars", n_bars, 3), figures[1], figures[2]


def spread(sharpe: float, skew: float, kurtosis: float) -> float:
    """Variance of an estimated Sharpe ratio times its bars; about 1 for normal returns."""
    return 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe


def confidence_above(
    benchmark: float, sharpe: float, n_bars: int, skew: float, kurtosis: float
) -> float:
    """Probability that the true Sharpe ratio exceeds the benchmark, both per bar."""
    variance = finite_or_nan(spread(sharpe, skew, kurtosis))
    if not variance > 0.0:
        return math.nan
    return float(ndtr((sharpe - benchmark) * math.sqrt((n_bars - 1) / variance)))


def _sharpes(returns: Floats) -> Floats:
    bars, trials = returns.shape
    if bars < 2:
        return np.full(trials, math.nan)
    size = np.abs(returns).max(axis=0)
    size[size == 0.0] = 1.0
    scaled = returns / size
    deviation = scaled.std(axis=0, ddof=1)
    # Constant returns vary by rounding alone.
    least = least_deviation(returns)
    varies = deviation > least / np.maximum(least, size)
    return np.where(varies, scaled.mean(axis=0) / np.where(varies, deviation, 1.0), math.nan)
