"""Trailing windows that features share; each row is made of its own bars alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from podium.arrays import Floats


def trailing(values: Floats, bars: int, reduce: Callable[[NDArray[Any]], NDArray[Any]]) -> Floats:
    """``reduce`` of each row and the ``bars - 1`` before it; NaN while there are too few.

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
    found = np.full(values.shape, np.nan)
    if len(values) >= bars:
        found[bars - 1 :] = reduce(sliding_window_view(values, bars, axis=0))
    return found


def since_first(values: Floats, compute: Callable[[Floats], Floats]) -> Floats:
    """What ``compute`` makes of each column from its first number on; NaN where that has none.

    For what remembers everything before: one NaN at the start would stay in it for ever.

    Examples
    --------
    >>> values = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, np.nan]])
    >>> since_first(values, lambda v: np.cumsum(v, axis=0)).tolist()
    [[1.0, nan], [3.0, 3.0], [7.0, nan]]
    """
    known = np.isfinite(values)
    if known.all():
        return compute(values)
    found = np.full(values.shape, np.nan)
    first = known.argmax(axis=0)
    for start in np.unique(first).tolist():
        found[start:, first == start] = compute(values[start:, first == start])
    found[~known] = np.nan
    return found


def trailing_mean(values: Floats, bars: int) -> Floats:
    """Mean of each row and the ``bars - 1`` before it; NaN while there are too few."""
    # Not from a running sum: that carries its rounding on from bar to bar.
    return trailing(values, bars, lambda windows: windows.mean(axis=-1))


def trailing_max(values: Floats, bars: int) -> Floats:
    """Largest of each row and the ``bars - 1`` before it; NaN while there are too few."""
    return trailing(values, bars, lambda windows: windows.max(axis=-1))
