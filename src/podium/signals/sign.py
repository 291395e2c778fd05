"""Long or short by the sign of each forecast, all of one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.signals._base import checked, evenly

__all__ = ["weights"]


def weights(forecast: ArrayLike, *, gross: float = 1.0) -> Floats:
    """Target weights of equal size by the sign of each forecast.

    Parameters
    ----------
    forecast : (T, S) float
        Forecast return of S items over T bars; only the sign counts. NaN: no forecast.
    gross : float, > 0
        Sum of absolute weights of a row if all its forecasts are non-zero.

    Returns
    -------
    (T, S) float
        A row without any forecast is NaN, no order. The gross is divided among the items with a
        forecast; the part of a forecast of 0 stays in cash.

    Raises
    ------
    DataError
        A forecast that is not a matrix.
    UsageError
        `gross` not above 0.

    Examples
    --------
    >>> weights([[0.02, -0.01], [np.nan, 0.3], [np.nan, np.nan]]).tolist()
    [[0.5, -0.5], [0.0, 1.0], [nan, nan]]
    """
    values = checked(forecast, gross)
    missing = np.isnan(values)
    return evenly(np.sign(np.where(missing, 0.0, values)), missing, gross)
