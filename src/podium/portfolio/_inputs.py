"""What a simulation is given: checked, aligned by name, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats, Ints, Mask
from podium.errors import DataError, UsageError, suggest


def aligned(prices: Any, name: str, other: Any) -> Any:
    """A frame with its columns in the order of the prices', if those are one; else as it is.

    Raises
    ------
    DataError
        A frame with other rows or columns than the prices.
    """
    if not (hasattr(prices, "columns") and hasattr(other, "columns")):
        return other
    wanted, found = list(prices.columns), list(other.columns)
    for one, two, lacking in ((wanted, found, name), (found, wanted, "prices")):
        missing = [column for column in one if column not in two]
        if missing:
            raise DataError(
                f"{lacking} has no column {missing[0]!r}, one of {len(missing)} missing",
                "the same columns in both, in any order",
                suggest(str(missing[0]), [str(column) for column in two]),
            )
    if not prices.index.equals(other.index):
        raise DataError(
            f"the rows of {name} are not those of prices", "the same index in both, in one order"
        )
    return other[wanted]


def matrix(name: str, values: ArrayLike | None) -> Floats:
    found = np.asarray(values, dtype=np.float64, order="C")
    if found.ndim != 2:
        raise DataError(f"{name} has shape {found.shape}", "a matrix of bars by items")
    return found


def require_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise DataError(
            f"{name} has shape {found} and prices {expected}",
            "the same bars and items in both, in the same order",
        )


def prices_of(name: str, values: ArrayLike | None) -> Floats:
    found = matrix(name, values)
    # The extremes tell, in two passes, that nothing is wrong, as nearly always.
    if np.fmin.reduce(found, axis=None, initial=1.0) <= 0.0 or np.isposinf(
        np.fmax.reduce(found, axis=None, initial=1.0)
    ):
        _refuse(name, found, (found <= 0.0) | np.isposinf(found), "prices above 0, or NaN for none")
    return found


def volume_of(values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    found = matrix("impact.volume", values)
    require_shape("impact.volume", found.shape, shape)
    _refuse(
        "impact.volume", found, (found < 0.0) | np.isposinf(found), "units of 0 or more, or NaN"
    )
    return found


def targets_of(values: ArrayLike, shape: tuple[int, ...]) -> tuple[Floats, Mask]:
    """Target weights (K, T, S), and of each portfolio and bar whether it orders anything (K, T)."""
    found = np.asarray(values, dtype=np.float64, order="C")
    if found.ndim != 3:
        raise DataError(
            f"weights has shape {found.shape}", "a stack of matrices: portfolios by bars by items"
        )
    require_shape("weights", found.shape[1:], shape)
    # Either all of a row is NaN or none of it: its first number tells which.
    silent = np.isnan(found[:, :, :1])
    if (np.isnan(found) != silent).any() or np.isinf(found).any():
        _refuse_weights(found)
    return found, ~silent[:, :, 0] if found.shape[2] else np.zeros(found.shape[:2], dtype=bool)


def _refuse_weights(found: Floats) -> None:
    blank = np.isnan(found)
    torn = blank & ~blank.all(axis=2, keepdims=True)
    for wrong, expected in (
        (torn, "a row of NaN for no order, or a number for every item, 0 for none"),
        (np.isinf(found), "a finite share of equity"),
    ):
        for run in np.flatnonzero(np.any(wrong, axis=(1, 2))):
            name = "weights" if len(found) == 1 else f"weights of portfolio {run}:"
            _refuse(name, found[run], wrong[run], expected)


def _refuse(name: str, found: Floats, wrong: Mask, expected: str) -> None:
    if wrong.any():
        bar, item = (int(at) for at in np.argwhere(wrong)[0])
        raise DataError(
            f"{name} of item {item} at bar {bar} is {found[bar, item]},"
            f" one of {int(wrong.sum())} that cannot be used",
            expected,
        )


def per_item(
    name: str, value: ArrayLike, items: int, valid: Callable[[Floats], Mask], expected: str
) -> float | Floats:
    """One number, or one an item.

    Raises
    ------
    UsageError
        A number that is not valid.
    DataError
        Neither one number nor as many as items.
    """
    found = np.asarray(value, dtype=np.float64)
    if found.ndim and found.shape != (items,):
        raise DataError(
            f"{name} has shape {found.shape}", f"one number, or one an item: ({items},)"
        )
    row = np.atleast_1d(found)
    wrong = ~valid(row)
    if wrong.any():
        item = int(wrong.argmax())
        raise UsageError(f"{name}{f' of item {item}' * found.ndim} is {row[item]}", expected)
    return found if found.ndim else float(found)


@dataclass(frozen=True, slots=True)
class Market:
    """Prices to mark at and to fill at, (T, S), with the last known one where there is none.

    ``no_close`` and ``no_fill`` are where there was none, None if nowhere, the usual case; without
    a volume, if that is asked for, nothing can be filled either.
    """

    marks: Floats
    fills: Floats
    no_close: Mask | None
    no_fill: Mask | None
    volume: Floats | None


def market_of(prices: Any, opens: Any, volume: Any) -> Market:
    """Closes, and opens and volume if they count, checked; those may be frames like the closes."""
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
    still = ~(traded > 0.0)
    return Market(marks, fills, no_close, still if no_fill is None else no_fill | still, traded)


def gaps(prices: Floats) -> Mask | None:
    """Where a price is missing; None, the usual case, if nowhere."""
    missing = np.isnan(prices)
    return missing if missing.any() else None


def last_known(closes: Floats, opens: Floats | None, holes: Mask) -> tuple[Floats, Floats]:
    """Last price known at each close, and at each execution."""
    item = np.flatnonzero(np.any(holes, axis=0))
    bars = len(closes)
    # Open and close of a bar take turns, so that only the past fills a gap.
    path = closes[:, item]
    if opens is not None:
        path = np.stack([opens[:, item], path], axis=1).reshape(2 * bars, item.size)
    step = np.where(np.isnan(path), 0, np.arange(len(path))[:, np.newaxis])
    known = np.take_along_axis(path, np.maximum.accumulate(step, axis=0), axis=0)
    # Before its first price an item is never held, so any number will do.
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
        raise DataError(f"limits.groups names {len(groups)} items", f"a group for each of {items}")
    names = np.asarray(groups, dtype=object)
    return {name: (names == name).nonzero()[0] for name in dict.fromkeys(groups)}
