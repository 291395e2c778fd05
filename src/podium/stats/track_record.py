"""Minimum lengths of a track record and of a backtest."""

from __future__ import annotations

import math

from scipy.special import ndtri

from podium.errors import UsageError
from podium.stats._checks import finite_or_nan, number, share
from podium.stats.deflated_sharpe import expected_max_normal
from podium.stats.sharpe import checked_moments, spread


def min_track_record_length(
    sharpe: float,
    benchmark: float = 0.0,
    *,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    confidence: float = 0.95,
) -> float:
    """Bars needed for a Sharpe ratio to exceed a benchmark with a given confidence.

    Parameters
    ----------
    sharpe : float
        Observed Sharpe ratio per bar.
    benchmark : float
        Benchmark Sharpe ratio per bar.
    skew : float
        Skew of the returns per bar.
    kurtosis : float, >= 1 + skew^2
        Plain kurtosis of the returns per bar, 3 for the normal.
    confidence : float in (0.5, 1)
        Required `probabilistic_sharpe`.

    Returns
    -------
    float >= 1
        In bars, not rounded. NaN where `sharpe` is not above `benchmark`: no length is enough.

    Raises
    ------
    DataError
        A kurtosis that is impossible with this skew.
    UsageError
        A figure that is not finite or outside its bounds.

    Examples
    --------
    A yearly Sharpe ratio of 2 against 1, of daily returns, in years:

    >>> round(min_track_record_length(2 / 252**0.5, 1 / 252**0.5) / 252, 2)
    2.73

    References
    ----------
    .. [1] Bailey & Lopez de Prado (2012), The Sharpe ratio efficient frontier, J. Risk 15(2).
    """
    sharpe, _, skew, kurtosis = checked_moments(sharpe, 3, skew, kurtosis)
    above = sharpe - number("benchmark", benchmark)
    quantile = float(ndtri(share("confidence", confidence, above=0.5)))
    if above <= 0.0:
        return math.nan
    return finite_or_nan(1.0 + spread(sharpe, skew, kurtosis) * _square(quantile / above))


def min_backtest_length(n_trials: float, sharpe: float = 1.0) -> float:
    """Length below which the best trial without skill is expected to reach a Sharpe ratio.

    Parameters
    ----------
    n_trials : float, >= 1
        Independent trials.
    sharpe : float, > 0
        Sharpe ratio per year (or per bar).

    Returns
    -------
    float >= 0
        Years for a yearly Sharpe ratio, bars for one per bar. 0 for one trial. NaN on overflow.

    Raises
    ------
    UsageError
        Fewer trials than 1, a Sharpe ratio not above 0, or either not a finite number.

    Notes
    -----
    The Sharpe ratio of y years without skill has a standard deviation of 1/sqrt(y), so the best of
    N is `expected_max_sharpe` of that; solved for y. 2 ln(N) / sharpe^2 is a bound above it.

    Examples
    --------
    >>> round(min_backtest_length(45), 1)
    5.0

    References
    ----------
    .. [1] Bailey, Borwein, Lopez de Prado & Zhu (2014), Pseudo-mathematics and financial
       charlatanism, Notices of the AMS 61(5).
    """
    trials, target = number("n_trials", n_trials, 1.0), number("sharpe", sharpe)
    if target <= 0.0:
        raise UsageError(f"sharpe is {sharpe}", "a Sharpe ratio above 0")
    return _square(expected_max_normal(trials) / target)


def _square(value: float) -> float:
    # `value ** 2` raises OverflowError, a product does not.
    return finite_or_nan(value * value)
