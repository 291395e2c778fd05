"""Long or short in proportion to each forecast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.signals._base import checked, finite, silenced

__all__ = ["weights"]


def weights(forecast: ArrayLike, *, gross: float = 1.0, neutral: bool = False) -> Floats:
    """Target weights proportional to each forecast.

    Parameters
    ----------
    forecast : (T, S) float
        Forecast return of S items over T bars, all in one unit. NaN: no forecast.
    gross : float, > 0
        Sum of absolute weights of each row.
    neutral : bool
        Whether to subtract the mean of the row first, so that longs and shorts have equal weight.

    Returns
    -------
    (T, S) float
        A row without any forecast is NaN, no order. An item without a forecast has a weight of 0; a
        row of forecasts that are all 0 (if neutral: all equal) is all in cash.

    Raises
    ------
    DataError
        A forecast that is not a matrix, or that is infinite.
    UsageError
        `gross` not above 0.

    Examples
    --------
    >>> weights([[0.03, -0.01], [np.nan, 0.3], [np.nan, np.nan]]).round(9).tolist()
    [[0.75, -0.25], [0.0, 1.0], [nan, nan]]
    """
    values = finite(checked(forecast, gross), "a forecast return")
    missing = np.isnan(values)
    # Scaled by the largest of the row, so that sums neither overflow nor underflow.
    size = np.abs(np.where(missing, 0.0, values)).max(axis=1, keepdims=True, initial=0.0)
    share = np.where(missing, 0.0, values) / np.where(size > 0.0, size, 1.0)
    if neutral:
        count = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
        share = np.where(missing, 0.0, share - share.sum(axis=1, keepdims=True) / count)
        # Equal forecasts differ from their mean by rounding alone.
        share[np.abs(share).max(axis=1, initial=0.0) < 1e-12] = 0.0
    total = np.abs(share).sum(axis=1, keepdims=True)
    return silenced(gross * share / np.where(total > 0.0, total, 1.0), missing)
