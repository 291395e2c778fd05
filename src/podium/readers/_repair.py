"""Repairs of a dataset; each uses only the bar itself and earlier bars.

They are applied in the order of ``REPAIRS``, whatever their order in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from podium.arrays import Floats, Mask
from podium.errors import UsageError, suggest
from podium.readers._series import PRICES, Series
from podium.timeframe import Seconds

REPAIRS = {
    "drop_doubtful": "drop local times that daylight saving repeats or skips",
    "sort": "sort the rows by time",
    "drop_duplicates": "keep one of rows with the same stamp and values",
    "keep_last": "keep the last row of each stamp",
    "drop_zero_prices": "drop bars with a price at or below zero",
    "drop_nan": "drop bars with a missing number",
    "clip_candles": "move high and low to contain open and close",
    "forward_fill": "N: fill missing bars with the last close and volume 0, at most N in a row",
    "intersect": "drop bars that a ticker lacks",
}


def parse_repairs(names: Sequence[str]) -> dict[str, int]:
    """Return the repairs and the number of each (0 if it takes none).

    Raises
    ------
    UsageError
        An unknown name, a missing number or an excess one.

    Examples
    --------
    >>> parse_repairs(["sort", "forward_fill:3"])
    {'sort': 0, 'forward_fill': 3}
    """
    repairs: dict[str, int] = {}
    for text in names:
        name, _, number = text.partition(":")
        if name not in REPAIRS:
            raise UsageError(f"repair '{text}'", fix=suggest(name, REPAIRS))
        takes = name == "forward_fill"
        if takes != (number.isdigit() and int(number) > 0) or (number and not takes):
            raise UsageError(
                f"repair '{text}'", "forward_fill:3, at most 3 bars in a row" if takes else name
            )
        repairs[name] = int(number) if takes else 0
    return repairs


def apply_repairs(
    series: Series, doubtful: Mask, repairs: dict[str, int], notes: list[str]
) -> tuple[Series, Mask]:
    """Apply the repairs of a single series with doubtful rows, (N,); each adds a note."""
    if "drop_doubtful" in repairs and doubtful.any():
        notes.append(f"{series.ticker}: dropped {doubtful.sum()} bars at doubtful local times")
        series = series.take(~doubtful)
        doubtful = doubtful[~doubtful]
    for name, (repair, done) in _ALONE.items():
        if name in repairs:
            series, count = repair(series)
            if count:
                notes.append(f"{series.ticker}: {done.format(count)}")
    if len(doubtful) != len(series):
        doubtful = np.zeros(len(series), dtype=bool)
    return series, doubtful


def _sort(series: Series) -> tuple[Series, int]:
    back = int((np.diff(series.times) < 0).sum())
    return (series.take(np.argsort(series.times, kind="stable")) if back else series), back


def _drop_duplicates(series: Series) -> tuple[Series, int]:
    same = np.zeros(len(series), dtype=bool)
    first: dict[tuple[float, ...], int] = {}
    for row in np.flatnonzero(repeated(series.times)).tolist():
        key = (series.times[row], *(column[row] for column in series.values.values()))
        same[row] = first.setdefault(key, row) != row
    return series.take(~same), int(same.sum())


def _keep_last(series: Series) -> tuple[Series, int]:
    if not repeated(series.times).any():
        return series, 0
    _, last = np.unique(series.times[::-1], return_index=True)
    keep = np.sort(len(series) - 1 - last)
    return series.take(keep), len(series) - len(keep)


def _drop_zero_prices(series: Series) -> tuple[Series, int]:
    prices = [column for role, column in series.values.items() if role != "volume"]
    low = np.logical_or.reduce([column <= 0 for column in prices])
    return series.take(~low), int(low.sum())


def _drop_nan(series: Series) -> tuple[Series, int]:
    known = np.logical_and.reduce([np.isfinite(column) for column in series.values.values()])
    return series.take(known), int((~known).sum())


def _clip_candles(series: Series) -> tuple[Series, int]:
    values = series.values
    high = np.maximum.reduce([values[role] for role in PRICES])
    low = np.minimum.reduce([values[role] for role in PRICES])
    changed = (high != values["high"]) | (low != values["low"])
    changed &= ~(np.isnan(high) | np.isnan(low))
    return replace(series, values={**values, "high": high, "low": low}), int(changed.sum())


# Repairs of a single series, and the notes about them.
_ALONE: dict[str, tuple[Callable[[Series], tuple[Series, int]], str]] = {
    "sort": (_sort, "sorted the rows by time, {} were out of order"),
    "drop_duplicates": (_drop_duplicates, "dropped {} repeated rows"),
    "keep_last": (_keep_last, "kept the last row of each stamp, dropped {}"),
    "drop_zero_prices": (_drop_zero_prices, "dropped {} bars with a price at or below zero"),
    "drop_nan": (_drop_nan, "dropped {} bars without a number"),
    "clip_candles": (_clip_candles, "moved high and low of {} bars to contain open and close"),
}


def repeated(times: Seconds) -> Mask:
    """Return a mask of the repeated stamps, (N,)."""
    if len(times) < 2 or (np.diff(times) > 0).all():
        return np.zeros(len(times), dtype=bool)
    _, back, counts = np.unique(times, return_inverse=True, return_counts=True)
    return counts[back] > 1


def forward_filled(series: Series, calendar: Seconds, limit: int, notes: list[str]) -> Series:
    """Fill missing bars of a calendar with the last close, at most ``limit`` in a row.

    A bar that lacks a price is a missing one; a missing volume alone is 0. Bars before the first
    known one and beyond the limit stay missing.

    Parameters
    ----------
    calendar : (T,) int64
        Increasing; contains every stamp of the series.
    """
    at = np.searchsorted(calendar, series.times)
    columns: dict[str, Floats] = {}
    for role, column in series.values.items():
        columns[role] = np.full(len(calendar), np.nan)
        columns[role][at] = column
    prices = [role for role in columns if role != "volume"]
    known = np.logical_and.reduce([np.isfinite(columns[role]) for role in prices])
    if not known.any():
        return series
    rows = np.arange(len(calendar))
    last = np.maximum.accumulate(np.where(known, rows, -1))
    fill = ~known & (last >= 0) & (rows - last <= limit)
    for role in prices:
        source = role if role in ("adj_close", "factor") else "close"
        columns[role] = np.where(fill, columns[source][last], columns[role])
    columns["volume"] = np.where(fill, 0.0, columns["volume"])
    silent = known & ~np.isfinite(columns["volume"])
    columns["volume"][silent] = 0.0
    if fill.any() or silent.any():
        more = f", {silent.sum()} missing volumes set to 0" if silent.any() else ""
        notes.append(f"{series.ticker}: {fill.sum()} bars filled with the last close{more}")
    origin = np.full(len(calendar), series.origin[0], dtype=np.int64)
    origin[at] = series.origin
    there = np.zeros(len(calendar), dtype=bool)
    there[at] = True
    whole = replace(series, times=calendar, origin=origin, values=columns)
    return whole.take(fill | there)
