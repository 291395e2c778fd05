"""Checks of the arguments of signals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats, Mask
from podium.errors import DataError, UsageError


def checked(forecast: ArrayLike, gross: float) -> Floats:
    """Return the forecast as a (T, S) matrix.

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


def finite(forecast: Floats, expected: str) -> Floats:
    """Return the forecast; DataError with the place of an infinite one."""
    if np.isinf(forecast).any():
        bar, item = (int(at) for at in np.argwhere(np.isinf(forecast))[0])
        raise DataError(f"forecast of item {item} at bar {bar} is {forecast[bar, item]}", expected)
    return forecast


def silenced(sized: Floats, missing: Mask) -> Floats:
    """Write NaN, no order, into the rows without any forecast."""
    sized[missing.all(axis=1)] = np.nan
    return sized


def evenly(side: Floats, missing: Mask, gross: float) -> Floats:
    """Positions of one size: the gross divided among the items with a forecast."""
    present = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
    return silenced(side * (gross / present), missing)


def sides(held: ArrayLike | None, items: int) -> Floats:
    """Sign of each position, 0 for None; DataError for a wrong number of items."""
    if held is None:
        return np.zeros(items)
    positions = np.asarray(held, dtype=np.float64)
    if positions.shape != (items,):
        raise DataError(f"held has shape {positions.shape}", f"a position per item: ({items},)")
    return np.sign(np.nan_to_num(positions))
