"""How long a record must be before a Sharpe ratio means anything."""

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
    """Bars after which a Sharpe ratio is above a benchmark with a given confidence.

    Parameters
    ----------
    sharpe : float
        Observed Sharpe ratio, a bar.
    benchmark : float
        Sharpe ratio to beat, a bar.
    skew : float
        Skew of the returns a bar.
    kurtosis : float, >= 1 + skew^2
        Plain kurtosis of the returns a bar, 3 for the normal.
    confidence : float in (0.5, 1)
        `probabilistic_sharpe` to reach.

    Returns
    -------
    float >= 1
        In bars, not rounded. NaN where `sharpe` is not above `benchmark`: no length would do.

    Raises
    ------
    DataError
        A kurtosis no returns of this skew can have.
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
    """Length below which luck alone is expected to find such a Sharpe ratio.

    Parameters
    ----------
    n_trials : float, >= 1
        Independent trials made.
    sharpe : float, > 0
        Sharpe ratio found, a year (or a bar).

    Returns
    -------
    float >= 0
        Years for a yearly Sharpe ratio (bars for one a bar). 0 for a single trial. NaN where it is
        too long for a number.

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
    # `value ** 2` raises where a product gives an infinity to be told as NaN.
    return finite_or_nan(value * value)
