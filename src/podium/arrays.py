"""Types of the arrays that nouns, statistics and kinds exchange."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Times = NDArray[np.datetime64]
Mask = NDArray[np.bool_]


def least_deviation(returns: Floats) -> Floats:
    """Standard deviation below which returns, (T, ...), are constant, (...).

    Equity is rounded at every bar, so constant returns computed from it vary by a few eps times
    1 + |r|.
    """
    eps = np.finfo(np.float64).eps
    return np.asarray(8.0 * eps * (1.0 + np.abs(returns).max(axis=0, initial=0.0)))
