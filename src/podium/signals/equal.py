"""Long only, equal weights of the items with a forecast: the benchmark."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.signals._base import checked, evenly

__all__ = ["weights"]


def weights(forecast: ArrayLike, *, gross: float = 1.0) -> Floats:
    """Equal target weights of the items with a forecast, whatever its value.

    Parameters
    ----------
    forecast : (T, S) float
        Forecast of S items over T bars, in any unit; only whether it is NaN matters.
    gross : float, > 0
        Sum of the weights of each row.

    Returns
    -------
    (T, S) float, >= 0
        A row without any forecast is NaN, no order. An item without a forecast has a weight of 0.

    Raises
    ------
    DataError
        A forecast that is not a matrix.
    UsageError
        `gross` not above 0.

    Examples
    --------
    >>> weights([[0.02, -0.01], [np.nan, 0.3], [np.nan, np.nan]]).tolist()
    [[0.5, 0.5], [0.0, 1.0], [nan, nan]]
    """
    missing = np.isnan(checked(forecast, gross))
    return evenly((~missing).astype(np.float64), missing, gross)
