"""Deflated Sharpe ratio: the best of many trials, corrected for selection bias."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from podium.stats._checks import finite_or_nan, number
from podium.stats.sharpe import checked_moments, confidence_above, confidence_of


def expected_max_sharpe(n_trials: float, trial_sharpe_std: float) -> float:
    """Expected Sharpe ratio of the best of many trials without any skill.

    Parameters
    ----------
    n_trials : float, >= 1
        Number of trials, failed and pruned ones included, or the effective number.
    trial_sharpe_std : float, >= 0
        Standard deviation of the trials' Sharpe ratios, in any unit of time.

    Returns
    -------
    float >= 0
        In the unit of `trial_sharpe_std`; 0 for one trial. NaN on overflow.

    Raises
    ------
    UsageError
        Fewer trials than 1, a standard deviation below 0, or either not a finite number.

    Notes
    -----
    With N trials, Z the quantiles of the normal distribution and c = 0.5772, it is the standard
    deviation times (1 - c) Z(1 - 1/N) + c Z(1 - 1/(N e)): an approximation that is 2 % too large
    for 10 trials and less than 0.5 % for 1,000.

    Examples
    --------
    >>> round(expected_max_sharpe(100, np.sqrt(0.5 / 250)), 4)
    0.1132

    References
    ----------
    .. [1] Bailey & Lopez de Prado (2014), The deflated Sharpe ratio, J. Portfolio Management 40(5).
    """
    trials = number("n_trials", n_trials, 1.0)
    deviation = number("trial_sharpe_std", trial_sharpe_std, 0.0)
    return finite_or_nan(deviation * expected_max_normal(trials))


def expected_max_normal(trials: float) -> float:
    """Approximate expected maximum of independent standard normal numbers."""
    if trials == 1.0:
        return 0.0
    # Quantiles of small tails: 1 - 1/N would round to 1 for very many trials.
    likely, rare = -ndtri(1.0 / trials), -ndtri(1.0 / (trials * math.e))
    return max(0.0, float((1.0 - np.euler_gamma) * likely + np.euler_gamma * rare))


def deflated_sharpe(returns: ArrayLike, *, n_trials: float, trial_sharpe_std: float) -> float:
    """Probability that the true Sharpe ratio of the best trial exceeds the expected maximum.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar of the chosen trial, as a fraction.
    n_trials : float, >= 1
        Number of all trials of this choice, failed and pruned ones included, or the effective
        number of independent ones.
    trial_sharpe_std : float, >= 0
        Standard deviation of the trials' Sharpe ratios per bar, see `sharpe_ratios`. Divide a
        yearly one by the square root of the bars in a year.

    Returns
    -------
    float in [0, 1]
        `probabilistic_sharpe` against `expected_max_sharpe`. NaN for fewer than three bars, or
        returns that never vary.

    Raises
    ------
    DataError
        A return that is NaN or infinite, or returns that are not one-dimensional.
    UsageError
        Fewer trials than 1, a standard deviation below 0, or either not a finite number.

    Examples
    --------
    >>> from podium.stats import probabilistic_sharpe, sharpe_ratios
    >>> trials = 0.01 * np.random.default_rng(0).standard_normal((1000, 50))
    >>> sharpes = sharpe_ratios(trials)
    >>> best = trials[:, sharpes.argmax()]
    >>> round(probabilistic_sharpe(best), 2)
    0.99
    >>> round(deflated_sharpe(best, n_trials=50, trial_sharpe_std=sharpes.std(ddof=1)), 2)
    0.46

    References
    ----------
    .. [1] Bailey & Lopez de Prado (2014), The deflated Sharpe ratio, J. Portfolio Management 40(5).
    """
    return confidence_of(returns, expected_max_sharpe(n_trials, trial_sharpe_std))


def deflated_sharpe_from_moments(
    sharpe: float,
    n_bars: int,
    skew: float,
    kurtosis: float,
    *,
    n_trials: float,
    trial_sharpe_std: float,
) -> float:
    """`deflated_sharpe` from the moments of the returns.

    Parameters
    ----------
    sharpe : float
        Sharpe ratio per bar of the chosen trial.
    n_bars : int, >= 3
        Bars of its returns.
    skew : float
        Skew of its returns per bar, 0 for the normal.
    kurtosis : float, >= 1 + skew^2
        Plain kurtosis of its returns per bar, 3 for the normal; not excess kurtosis.
    n_trials : float, >= 1
        As for `deflated_sharpe`.
    trial_sharpe_std : float, >= 0
        As for `deflated_sharpe`, per bar.

    Returns
    -------
    float in [0, 1]
        NaN where the variance of the Sharpe ratio is not positive.

    Raises
    ------
    DataError
        A kurtosis that is impossible with this skew, such as excess kurtosis.
    UsageError
        A figure that is not finite or outside its bounds.

    Examples
    --------
    The example of [1]_: 2.5 a year over five years of 250 days, skew -3, kurtosis 10, the best of
    100 trials whose yearly Sharpe ratios have a variance of a half.

    >>> day = np.sqrt(250)
    >>> best = dict(sharpe=2.5 / day, n_bars=1250, skew=-3.0, kurtosis=10.0)
    >>> std = np.sqrt(0.5) / day
    >>> round(deflated_sharpe_from_moments(**best, n_trials=100, trial_sharpe_std=std), 4)
    0.9004

    References
    ----------
    .. [1] Bailey & Lopez de Prado (2014), The deflated Sharpe ratio, J. Portfolio Management 40(5).
    """
    figures = checked_moments(sharpe, n_bars, skew, kurtosis)
    benchmark = expected_max_sharpe(n_trials, trial_sharpe_std)
    return confidence_above(benchmark, *figures)
