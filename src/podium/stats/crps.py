"""Continuous ranked probability score of sampled forecasts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import UsageError
from podium.stats._checks import same_length, series, table


def crps_from_samples(truth: ArrayLike, samples: ArrayLike, *, fair: bool = False) -> Floats:
    """Continuous ranked probability score of each forecast; smaller is better.

    Parameters
    ----------
    truth : (N,) float
        Observed values.
    samples : (N, M) float
        M draws of each forecast, in the unit of `truth`, in any order.
    fair : bool
        Whether to estimate the score of the distribution of the draws instead of that of the draws
        themselves, so that the score does not depend on M on average. Needs two draws.

    Returns
    -------
    (N,) float
        In the unit of `truth`; the absolute error where all draws are equal. At least 0, unless
        `fair`. NaN on overflow.

    Raises
    ------
    DataError
        A number that is NaN or infinite, arrays of another shape or of different lengths.
    UsageError
        `fair` with a single draw.

    Notes
    -----
    E|X - truth| - E|X - X'| / 2 with X and X' two draws; the second part from sorted draws.

    Examples
    --------
    >>> crps_from_samples([0.0], [[-1.0, 1.0]]).tolist()
    [0.5]

    References
    ----------
    .. [1] Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation,
       J. Am. Statistical Association 102.
    .. [2] Ferro (2014), Fair scores for ensemble forecasts, Quarterly J. Royal Meteorological
       Society 140.
    """
    observed, drawn = series("truth", truth), table("samples", samples, "samples")
    same_length("samples", drawn, "truth", observed.size)
    many = drawn.shape[1]
    if fair and many < 2:
        raise UsageError("fair with 1 sample per forecast", "at least two samples")
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(drawn - observed[:, None]).mean(axis=1)
        rank = 2.0 * np.arange(many) - (many - 1)
        pairs = (np.sort(drawn, axis=1) @ rank) / (many * (many - 1 if fair else many))
        score: Floats = error - pairs
    return np.where(np.isfinite(score), score, math.nan)
