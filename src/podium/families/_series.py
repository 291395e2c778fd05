"""Values of a view at its windows, and means of the last bars, for families that forecast."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from podium.arrays import Floats
from podium.split import Windows


def level_of(windows: Windows) -> Floats | None:
    """Return the known part of the target at each decision, (N,); None: there is none."""
    level = windows.view.level
    return None if level is None else level[windows.at, windows.item]


def truth_above_level(windows: Windows) -> Floats:
    """Return the difference of the target from its level, (N,)."""
    level = level_of(windows)
    return windows.truth() if level is None else windows.truth() - level


def above_level(windows: Windows, values: Floats) -> Floats:
    """Return forecasts of the target from those of its difference from the level, (N,)."""
    level = level_of(windows)
    return values if level is None else values + level


def recent_mean(values: Floats, bars: int) -> Floats:
    """Return the mean of the known ones of the last ``bars`` rows, (T, S); NaN where none is.

    Examples
    --------
    >>> recent_mean(np.array([[np.nan], [1.0], [3.0], [5.0]]), 2).ravel().tolist()
    [nan, 1.0, 2.0, 4.0]
    """
    known = np.isfinite(values)
    before = np.zeros((bars - 1, known.shape[1]))
    total, count = (
        sliding_window_view(np.vstack([before, part]), bars, axis=0).sum(axis=-1)
        for part in (np.where(known, values, 0.0), known)
    )
    return ratio(total, count)


def mean_so_far(values: Floats) -> Floats:
    """Return the mean of the known ones of all rows so far, (T, S); NaN before the first.

    Examples
    --------
    >>> mean_so_far(np.array([[np.nan], [1.0], [4.0]])).ravel().tolist()
    [nan, 1.0, 2.5]
    """
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).cumsum(axis=0), known.cumsum(axis=0))


def ratio(total: Floats, count: Floats) -> Floats:
    """Return a mean from its sum; NaN where nothing is counted."""
    means: Floats = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return means
