"""Long only, weights by inverse forecast volatility."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.signals._base import checked, finite

__all__ = ["weights"]


def weights(forecast: ArrayLike, *, gross: float = 1.0) -> Floats:
    """Target weights proportional to the inverse of the forecast volatility.

    Parameters
    ----------
    forecast : (T, S) float
        Natural logarithm of the forecast volatility of S items over T bars, all in one unit.
        NaN: no forecast.
    gross : float, > 0
        Sum of the weights of each row.

    Returns
    -------
    (T, S) float, >= 0
        A row without any forecast is NaN, no order. An item without a forecast has a weight of 0.

    Raises
    ------
    DataError
        A forecast that is not a matrix, or that is infinite.
    UsageError
        `gross` not above 0.

    Examples
    --------
    >>> weights(np.log([[0.1, 0.3], [0.2, np.nan]])).round(4).tolist()
    [[0.75, 0.25], [1.0, 0.0]]
    """
    values = finite(checked(forecast, gross), "the logarithm of a volatility above 0")
    missing = np.isnan(values)
    silent = missing.all(axis=1)
    known = np.where(missing, np.inf, values)
    # Only differences within a row matter; relative to the smallest, exp cannot overflow.
    calmest = np.where(silent, 0.0, known.min(axis=1, initial=np.inf))
    share = np.exp(calmest[:, np.newaxis] - known)
    share[silent] = np.nan
    scaled: Floats = gross * share / share.sum(axis=1, keepdims=True)
    return scaled
