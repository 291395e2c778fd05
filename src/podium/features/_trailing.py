"""Trailing windows of features; each row depends only on its window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from podium.arrays import Floats


def trailing(values: Floats, bars: int, reduce: Callable[[NDArray[Any]], NDArray[Any]]) -> Floats:
    """Apply ``reduce`` to each row and the ``bars - 1`` before it; NaN while there are too few.

    Parameters
    ----------
    values : (T, S) float
    bars : int, >= 1
    reduce : callable
        (T - bars + 1, S, bars) in, its last axis reduced out. Windows are views, not copies.

    Examples
    --------
    >>> trailing(np.array([[1.0], [3.0], [5.0]]), 2, lambda w: w.mean(axis=-1)).ravel().tolist()
    [nan, 2.0, 4.0]
    """
    result = np.full(values.shape, np.nan)
    if len(values) >= bars:
        result[bars - 1 :] = reduce(sliding_window_view(values, bars, axis=0))
    return result


def since_first(values: Floats, compute: Callable[[Floats], Floats]) -> Floats:
    """Apply ``compute`` to each column from its first number on; NaN where the column is NaN.

    Recursive features need this: a NaN at the start would never leave them.

    Examples
    --------
    >>> values = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, np.nan]])
    >>> since_first(values, lambda v: np.cumsum(v, axis=0)).tolist()
    [[1.0, nan], [3.0, 3.0], [7.0, nan]]
    """
    known = np.isfinite(values)
    if known.all():
        return compute(values)
    result = np.full(values.shape, np.nan)
    first = known.argmax(axis=0)
    for start in np.unique(first).tolist():
        result[start:, first == start] = compute(values[start:, first == start])
    result[~known] = np.nan
    return result


def trailing_mean(values: Floats, bars: int) -> Floats:
    """Return the mean of each row and the ``bars - 1`` before it; NaN while there are too few."""
    # A running sum would accumulate rounding errors.
    return trailing(values, bars, lambda windows: windows.mean(axis=-1))


def trailing_max(values: Floats, bars: int) -> Floats:
    """Return the maximum of each row and the ``bars - 1`` before; NaN while there are too few."""
    return trailing(values, bars, lambda windows: windows.max(axis=-1))
