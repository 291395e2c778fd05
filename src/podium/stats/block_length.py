"""Optimal block length of a bootstrap."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, next_fast_len, rfft

from podium.arrays import Floats
from podium.stats._checks import one_of, table, unit
from podium.stats.diebold_mariano import FEWEST_PERIODS

Method = Literal["stationary", "circular"]

QUIET_LAGS = 5
"""Consecutive insignificant autocorrelations after which the rest count as 0."""


def optimal_block_length(columns: ArrayLike, method: Method = "stationary") -> Floats:
    """Block length that minimises the error of the bootstrap variance of the mean.

    Parameters
    ----------
    columns : (T, M) float
        Series of T periods, in time order; a single one as ``[:, None]``.
    method : {"stationary", "circular"}
        Bootstrap with blocks of random length (the result is their mean) or of fixed length.

    Returns
    -------
    (M,) float, 1 to min(3 sqrt(T), T / 3)
        In periods, not rounded. NaN for fewer than 30 periods; 1 for a series that never varies.

    Raises
    ------
    DataError
        A number that is NaN or infinite, or columns that are not two-dimensional.
    UsageError
        An unknown method.

    Notes
    -----
    With r(k) the autocovariances, w a window that is 1 up to half of M lags and falls to 0 at M,
    G = sum w |k| r(k) and V = sum w r(k) over both signs of k, the length is
    (c (G / V)^2 T)^(1/3) with c = 1 (stationary) or 3/2 (circular). M is twice the first of five
    lags in a row whose autocorrelations are below 2 sqrt(log10(T) / T).

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((1000, 1))
    >>> walk = noise.cumsum(axis=0)
    >>> bool(optimal_block_length(noise)[0] < 5 < 30 < optimal_block_length(walk)[0])
    True

    References
    ----------
    .. [1] Politis & White (2004), Automatic block-length selection for the dependent bootstrap,
       Econometric Reviews 23(1).
    .. [2] Patton, Politis & White (2009), Correction to [1]_, Econometric Reviews 28(4).
    """
    values = table("columns", columns, "series")
    one_of("method", method, Method)
    n = len(values)
    if n < FEWEST_PERIODS:
        return np.full(values.shape[1], math.nan)
    centred = unit(values)[0]
    centred = centred - centred.mean(axis=0)
    most_lags = min(math.ceil(math.sqrt(n)) + QUIET_LAGS, n - 1)
    covariance = autocovariances(centred, most_lags)
    longest = min(3.0 * math.sqrt(n), n / 3.0)
    factor = 1.0 if method == "stationary" else 1.5
    return np.array([_length(lags, n, factor, longest) for lags in covariance.T])


def autocovariances(centred: Floats, most_lags: int) -> Floats:
    """Autocovariances of (T, M) columns of mean 0 at lags 0 to `most_lags`, (lags + 1, M)."""
    n = len(centred)
    size = next_fast_len(n + most_lags, real=True)
    spectrum = rfft(centred, size, axis=0)
    return irfft(np.abs(spectrum) ** 2, size, axis=0)[: most_lags + 1] / n


def _length(covariance: Floats, n: int, factor: float, longest: float) -> float:
    if covariance[0] <= 0.0:
        return 1.0
    quiet = np.abs(covariance / covariance[0]) < 2.0 * math.sqrt(math.log10(n) / n)
    run = np.convolve(quiet[1:], np.ones(QUIET_LAGS), mode="valid") == QUIET_LAGS
    most = len(covariance) - 1
    lags = min(2 * (int(run.argmax()) + 1), most) if run.any() else most
    k = np.arange(1, lags + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - k / lags)) * covariance[1 : lags + 1]
    slope, variance = 2.0 * float(window @ k), float(covariance[0] + 2.0 * window.sum())
    # A variance that cancels to 0 would give an infinite length.
    ratio = min(abs(slope), n * abs(variance)) / abs(variance) if variance else float(n)
    return float(min(max(1.0, (factor * ratio * ratio * n) ** (1.0 / 3.0)), longest))
