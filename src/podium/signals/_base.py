"""What every signal checks first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.errors import DataError, UsageError


def checked(forecast: ArrayLike, gross: float) -> NDArray[np.float64]:
    """The forecast as a (T, S) matrix.

    Raises
    ------
    DataError
        A forecast that is not a matrix.
    UsageError
        `gross` not above 0.
    """
    values = np.asarray(forecast, dtype=np.float64)
    if values.ndim != 2:
        raise DataError(f"forecast has shape {values.shape}", "a matrix of bars by items")
    if not 0.0 < gross < np.inf:
        raise UsageError(f"gross is {gross}", "a number above 0")
    return values
