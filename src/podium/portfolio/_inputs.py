"""Arguments of a simulation: checked, aligned by name, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats, Ints, Mask
from podium.errors import DataError, UsageError, suggest


def aligned(prices: Any, name: str, other: Any) -> Any:
    """Return a frame with its columns in the order of the prices'; other arrays unchanged.

    Raises
    ------
    DataError
        The rows or columns differ from those of the prices.
    """
    if not (hasattr(prices, "columns") and hasattr(other, "columns")):
        return other
    expected, columns = list(prices.columns), list(other.columns)
    for one, two, lacking in ((expected, columns, name), (columns, expected, "prices")):
        missing = [column for column in one if column not in two]
        if missing:
            raise DataError(
                f"{lacking} has no column {missing[0]!r}, one of {len(missing)} missing",
                "the same columns in both, in any order",
                suggest(str(missing[0]), [str(column) for column in two]),
            )
    if not prices.index.equals(other.index):
        raise DataError(
            f"{name} and prices have different rows", "the same index in both, in the same order"
        )
    return other[expected]


def matrix(name: str, values: ArrayLike | None) -> Floats:
    array = np.asarray(values, dtype=np.float64, order="C")
    if array.ndim != 2:
        raise DataError(f"{name} has shape {array.shape}", "a matrix of bars by items")
    return array


def require_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise DataError(
            f"{name} has shape {shape} and prices {expected}",
            "the same bars and items in both, in the same order",
        )


def prices_of(name: str, values: ArrayLike | None) -> Floats:
    array = matrix(name, values)
    # The extremes show in two passes that all prices are valid, the usual case.
    if np.fmin.reduce(array, axis=None, initial=1.0) <= 0.0 or np.isposinf(
        np.fmax.reduce(array, axis=None, initial=1.0)
    ):
        _refuse(name, array, (array <= 0.0) | np.isposinf(array), "prices above 0, or NaN for none")
    return array


def volume_of(values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = matrix("impact.volume", values)
    require_shape("impact.volume", array.shape, shape)
    wrong = (array < 0.0) | np.isposinf(array)
    _refuse("impact.volume", array, wrong, "units of 0 or more, or NaN")
    return array


def targets_of(values: ArrayLike, shape: tuple[int, ...]) -> tuple[Floats, Mask]:
    """Target weights (K, T, S), and whether each portfolio orders at each bar (K, T)."""
    array = np.asarray(values, dtype=np.float64, order="C")
    if array.ndim != 3:
        raise DataError(
            f"weights has shape {array.shape}", "a stack of matrices: portfolios by bars by items"
        )
    require_shape("weights", array.shape[1:], shape)
    # A row is NaN as a whole or not at all, so its first number shows which.
    silent = np.isnan(array[:, :, :1])
    if (np.isnan(array) != silent).any() or np.isinf(array).any():
        _refuse_weights(array)
    return array, ~silent[:, :, 0] if array.shape[2] else np.zeros(array.shape[:2], dtype=bool)


def _refuse_weights(values: Floats) -> None:
    blank = np.isnan(values)
    torn = blank & ~blank.all(axis=2, keepdims=True)
    for wrong, expected in (
        (torn, "a row of NaN for no order, or a number for every item, 0 for no position"),
        (np.isinf(values), "a finite share of equity"),
    ):
        for run in np.flatnonzero(np.any(wrong, axis=(1, 2))):
            name = "weights" if len(values) == 1 else f"weights of portfolio {run}:"
            _refuse(name, values[run], wrong[run], expected)


def _refuse(name: str, values: Floats, wrong: Mask, expected: str) -> None:
    if wrong.any():
        bar, item = (int(at) for at in np.argwhere(wrong)[0])
        raise DataError(
            f"{name} of item {item} at bar {bar} is {values[bar, item]},"
            f" one of {int(wrong.sum())} invalid values",
            expected,
        )


def per_item(
    name: str, value: ArrayLike, items: int, valid: Callable[[Floats], Mask], expected: str
) -> float | Floats:
    """One number, or one per item.

    Raises
    ------
    UsageError
        A number that is not valid.
    DataError
        Neither one number nor one per item.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim and array.shape != (items,):
        raise DataError(f"{name} has shape {array.shape}", f"a number, or one per item: ({items},)")
    row = np.atleast_1d(array)
    wrong = ~valid(row)
    if wrong.any():
        item = int(wrong.argmax())
        raise UsageError(f"{name}{f' of item {item}' * array.ndim} is {row[item]}", expected)
    return array if array.ndim else float(array)


@dataclass(frozen=True, slots=True)
class Market:
    """Prices to mark and to fill at, (T, S), with gaps filled by the last known price.

    ``no_close`` and ``no_fill`` mark the gaps, None without any; with an impact, bars without a
    volume cannot be filled either.
    """

    marks: Floats
    fills: Floats
    no_close: Mask | None
    no_fill: Mask | None
    volume: Floats | None


def market_of(prices: Any, opens: Any, volume: Any) -> Market:
    """Check closes, opens and volume (None where unused)."""
    closes = prices_of("prices", prices)
    no_close = no_fill = gaps(closes)
    marks = fills = closes
    if opens is not None:
        fills = prices_of("open_prices", aligned(prices, "open_prices", opens))
        require_shape("open_prices", fills.shape, closes.shape)
        no_fill = gaps(fills)
    holes = [gap for gap in (no_close, no_fill) if gap is not None]
    if holes:
        either = np.asarray(np.any(holes, axis=0))
        marks, fills = last_known(closes, None if opens is None else fills, either)
    if volume is None:
        return Market(marks, fills, no_close, no_fill, None)
    traded = volume_of(aligned(prices, "impact.volume", volume), closes.shape)
    idle = ~(traded > 0.0)
    return Market(marks, fills, no_close, idle if no_fill is None else no_fill | idle, traded)


def gaps(prices: Floats) -> Mask | None:
    """Mask of missing prices, or None without any."""
    missing = np.isnan(prices)
    return missing if missing.any() else None


def last_known(closes: Floats, opens: Floats | None, holes: Mask) -> tuple[Floats, Floats]:
    """Last price known at each close, and at each execution."""
    item = np.flatnonzero(np.any(holes, axis=0))
    bars = len(closes)
    # Opens and closes alternate, so that only past prices fill a gap.
    path = closes[:, item]
    if opens is not None:
        path = np.stack([opens[:, item], path], axis=1).reshape(2 * bars, item.size)
    step = np.where(np.isnan(path), 0, np.arange(len(path))[:, np.newaxis])
    known = np.take_along_axis(path, np.maximum.accumulate(step, axis=0), axis=0)
    # Before its first price an item is never held, so any number is valid.
    known[np.isnan(known)] = 1.0
    marks = closes.copy()
    if opens is None:
        marks[:, item] = known
        return marks, marks
    fills = opens.copy()
    fills[:, item], marks[:, item] = known[::2], known[1::2]
    return marks, fills


def group_columns(groups: Sequence[str], items: int) -> dict[str, Ints]:
    if len(groups) != items:
        raise DataError(f"limits.groups has {len(groups)} names", f"a group for each of {items}")
    names = np.asarray(groups, dtype=object)
    return {name: (names == name).nonzero()[0] for name in dict.fromkeys(groups)}
