"""What is left of a Sharpe ratio that is the best of many tried."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from podium.stats._checks import finite_or_nan, number, series
from podium.stats.sharpe import checked_moments, confidence_above, moments


def expected_max_sharpe(n_trials: float, trial_sharpe_std: float) -> float:
    """Sharpe ratio to expect of the best of many trials without any skill.

    Parameters
    ----------
    n_trials : float, >= 1
        Trials made, or the effective number of independent ones; failed and pruned ones count.
    trial_sharpe_std : float, >= 0
        Standard deviation of the trials' Sharpe ratios, in any unit of time.

    Returns
    -------
    float >= 0
        In the unit of `trial_sharpe_std`; 0 for one trial. NaN where it is too large for a number.

    Raises
    ------
    UsageError
        Fewer trials than 1, a standard deviation below 0, or either not a finite number.

    Notes
    -----
    With N trials, Z the quantiles of the normal distribution and c = 0.5772, it is the standard
    deviation times (1 - c) Z(1 - 1/N) + c Z(1 - 1/(N e)): an approximation, 2 per cent above the
    truth for 10 trials, below half a per cent for 1,000.

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
    """Largest of so many standard normal numbers, on average."""
    if trials == 1.0:
        return 0.0
    # Quantiles of small tails: 1 - 1/N would round to 1 for very many trials.
    likely, rare = -ndtri(1.0 / trials), -ndtri(1.0 / (trials * math.e))
    return max(0.0, float((1.0 - np.euler_gamma) * likely + np.euler_gamma * rare))


def deflated_sharpe(returns: ArrayLike, *, n_trials: float, trial_sharpe_std: float) -> float:
    """Probability that the best of many trials has a true Sharpe ratio above luck's.

    Parameters
    ----------
    returns : (T,) float
        Simple return per bar of the chosen trial, as a fraction.
    n_trials : float, >= 1
        Every trial ever made for this choice, failed and pruned ones included. Trials that
        resemble each other are fewer than they look: an effective number may be given.
    trial_sharpe_std : float, >= 0
        Standard deviation of the trials' Sharpe ratios, a bar: see `sharpe_ratios`. A yearly one
        would have to be divided by the square root of the bars in a year.

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
    benchmark = expected_max_sharpe(n_trials, trial_sharpe_std)
    sharpe, n_bars, skew, kurtosis = moments(series("returns", returns))
    if n_bars < 3 or math.isnan(sharpe):
        return math.nan
    return confidence_above(benchmark, sharpe, n_bars, skew, kurtosis)


def deflated_sharpe_from_moments(
    sharpe: float,
    n_bars: int,
    skew: float,
    kurtosis: float,
    *,
    n_trials: float,
    trial_sharpe_std: float,
) -> float:
    """`deflated_sharpe` where only the figures of the returns are known.

    Parameters
    ----------
    sharpe : float
        Sharpe ratio of the chosen trial, a bar.
    n_bars : int, >= 3
        Bars it was earned over.
    skew : float
        Skew of its returns a bar, 0 for the normal.
    kurtosis : float, >= 1 + skew^2
        Plain kurtosis of its returns a bar, 3 for the normal; not excess kurtosis.
    n_trials : float, >= 1
        As for `deflated_sharpe`.
    trial_sharpe_std : float, >= 0
        As for `deflated_sharpe`, a bar.

    Returns
    -------
    float in [0, 1]
        NaN where the figures leave the Sharpe ratio no spread.

    Raises
    ------
    DataError
        A kurtosis no returns of this skew can have, as excess kurtosis often is.
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
