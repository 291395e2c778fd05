"""Errors and warnings about a ticker's bars."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats, Mask
from podium.dataset import FIELDS
from podium.readers._findings import WARNING, DataIssue
from podium.readers._repair import repeated
from podium.readers._series import PRICES, Series
from podium.timeframe import DAY, Seconds

# Rounding of prices stored in 32 bits; larger differences are no rounding.
_ROUNDING = 1e-6
# Ratios of consecutive closes at splits.
_SPLITS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 1.5, 1.25)
_NEAR = 0.03
# Smaller moves are ordinary and not checked.
_JUMP = np.log(1.2)
_STALE = 10
_SILENT = 10


def errors(series: Series, timezone: str = "UTC", doubtful: Mask | None = None) -> list[DataIssue]:
    """Return the errors that stop loading a ticker; prices are unadjusted."""
    issues = list(_order(series, timezone, doubtful))
    possible = np.ones(len(series), dtype=bool)
    for role in series.columns:
        issues += _numbers(series, role, series.values[role], possible)
    issues += _candles(series, possible)
    return issues


def _order(series: Series, timezone: str, doubtful: Mask | None) -> Iterator[DataIssue]:
    if doubtful is not None and doubtful.any():
        rows = np.flatnonzero(doubtful)
        found = (
            f"{series.where(rows)} has a local time that {timezone} repeats or skips (daylight "
            "saving)"
        )
        expected = "stamps of one instant each"
        fix = "write stamps with their offset from UTC, or name a zone without daylight saving"
        yield series.issue(rows, "local times", found, expected, fix, "drop_doubtful")
        # A time that is no instant has no order among the others.
        series = series.take(~doubtful)
    again = np.flatnonzero(repeated(series.times))
    if len(again):
        _, firsts = np.unique(series.times, return_index=True)
        rows = np.setdiff1d(again, firsts)
        repair, found = "drop_duplicates", f"{series.places(rows)} repeats {series.stamp(rows[0])}"
        if not _same_values(series, again):
            repair, found = "keep_last", f"{found} with other values"
        fix = "remove the repeated rows"
        if timezone == "UTC" and _when_clocks_go_back(series.times[rows]):
            fix = f"set timezone: these are nights when clocks go back; otherwise {fix}"
        yield series.issue(rows, "duplicates", found, "one row per bar", fix, repair)
    rows = np.flatnonzero(np.diff(series.times) < 0) + 1
    if len(rows):
        found = f"{series.places(rows)} goes back in time, to {series.stamp(rows[0])}"
        fix = "sort the rows by time"
        yield series.issue(rows, "order", found, "rows ordered by date", fix, "sort")


def _numbers(series: Series, role: str, values: Floats, possible: Mask) -> Iterator[DataIssue]:
    column = series.columns[role]
    finite = np.isfinite(values)
    what, low, expected = "zero prices", values <= 0, "a finite price above zero"
    if role == "volume":
        what, low, expected = "volume", values < 0, "a finite volume at or above zero"
    if not finite.all():
        rows = np.flatnonzero(~finite)
        possible[rows] = False
        cell = _text(series, role, rows)
        fix, repair = "correct it or remove the bar from every ticker", "drop_nan"
        if cell.startswith("="):
            fix, repair = "export the values of the sheet instead of its formulas", ""
        elif _separated(cell):
            fix, repair = _decimal_advice(cell), ""
        found = f"{series.where(rows)} has no number in '{column}'{f': {cell!r}' if cell else ''}"
        yield series.issue(rows, "numbers", found, expected, fix, repair)
    if low.any():
        rows = np.flatnonzero(low)
        if role != "volume":
            possible[rows] = False
        found = f"{series.where(rows)} has a value too low in '{column}': {values[rows[0]]:g}"
        fix = "correct it or remove the bar from every ticker"
        repair = "" if role == "volume" else "drop_zero_prices"
        yield series.issue(rows, what, found, expected, fix, repair)


def _candles(series: Series, possible: Mask) -> Iterator[DataIssue]:
    start, high, low, close = (series.values[role] for role in PRICES)
    crossed = possible & (high < low)
    slack = 1 + _ROUNDING
    outside = possible & ~crossed
    outside &= (np.maximum(start, close) > high * slack) | (np.minimum(start, close) < low / slack)
    within = "open and close between low and high"
    for wrong, what, expected in (
        (crossed, "has its high below its low", "high at or above low"),
        (outside, "has its open or close outside of low and high", within),
    ):
        if wrong.any():
            rows = np.flatnonzero(wrong)
            found = f"{series.where(rows)} {what}"
            yield series.issue(rows, "candles", found, expected, "correct the row", "clip_candles")


def find_warnings(series: Series) -> list[DataIssue]:
    """Return warnings about a ticker's numbers; prices are adjusted."""
    if len(series) < 2:
        return []
    return [*_splits(series), *_runs(series), *_constant(series)]


def _splits(series: Series) -> Iterator[DataIssue]:
    close = series.values["close"]
    moves = np.diff(np.log(close))
    rows: list[int] = []
    ratio = 0.0
    for row in np.flatnonzero(np.abs(moves) > _JUMP):
        size = float(np.exp(abs(moves[row])))
        near = [ratio for ratio in _SPLITS if abs(size / ratio - 1) < _NEAR]
        # At a split the open moves with the close; an intraday move leaves it behind.
        at_once = abs(np.log(series.values["open"][row + 1] / close[row])) > abs(moves[row]) / 2
        if near and at_once:
            ratio = ratio or float(near[0])
            rows.append(int(row) + 1)
    if rows:
        at, jumps = rows[0], np.asarray(rows)
        split = f"{ratio:g} to 1" if close[at] < close[at - 1] else f"1 to {ratio:g}"
        found = (
            f"{series.places(jumps)} jumps from {close[at - 1]:g} to {close[at]:g} at "
            f"{series.stamp(at)}, like an unadjusted split of {split}"
        )
        fix = "add an adj_close or factor column and set adjust = true, unless the move is real"
        yield series.issue(jumps, "splits", found, "adjusted prices", fix, severity=WARNING)


def _runs(series: Series) -> Iterator[DataIssue]:
    close, volume = series.values["close"], series.values["volume"]
    flat = np.concatenate([[False], np.diff(close) == 0])
    for mask, what, least, words in (
        (flat, "stale prices", _STALE, "the same close"),
        (volume == 0, "zero volume", _SILENT, "no volume"),
    ):
        if mask[1:].all():
            continue  # reported as constant
        starts, lengths = runs_of(mask)
        rows = starts[lengths >= least]
        if len(rows):
            found = (
                f"{series.ticker} has {words} for {lengths.max()} bars in a row at most "
                f"({len(rows)} runs of {least} or more), first at {series.stamp(rows[0])}"
            )
            yield series.issue(rows, what, found, severity=WARNING)


def _constant(series: Series) -> Iterator[DataIssue]:
    for role in (role for role in FIELDS if role in series.columns):
        column = series.values[role]
        if (column == column[0]).all():
            found = f"{series.ticker}: '{series.columns[role]}' is {column[0]:g} in every bar"
            yield series.issue(np.arange(len(column)), "constant", found, severity=WARNING)


def runs_of(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the starts and lengths of runs of true values."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    starts = np.flatnonzero(edges == 1)
    return starts, np.flatnonzero(edges == -1) - starts


def _same_values(series: Series, rows: NDArray[np.intp]) -> bool:
    """Return whether rows with the same stamp agree in every value."""
    seen: dict[int, tuple[float, ...]] = {}
    for row in rows.tolist():
        values = tuple(float(column[row]) for column in series.values.values())
        if seen.setdefault(int(series.times[row]), values) != values:
            return False
    return True


def _when_clocks_go_back(times: Seconds) -> bool:
    """Return whether all are early on Sundays in October, November, March or April."""
    moments = [dt.datetime.fromtimestamp(int(t), dt.UTC) for t in times[:1000]]
    return all(
        m.weekday() == 6 and m.month in (3, 4, 10, 11) and m.hour <= 4 and t % DAY
        for m, t in zip(moments, times.tolist(), strict=False)
    )


def _text(series: Series, role: str, rows: NDArray[np.intp]) -> str:
    """Return the text of the first invalid cell, empty if it has none."""
    cell = series.texts.get(role, {}).get(int(series.origin[rows[0]]), "")
    return cell if len(cell) <= 60 else cell[:57] + "..."


def _separated(cell: str) -> bool:
    return "," in cell and cell.strip("-").replace(",", "").replace(".", "").isdigit()


def _decimal_advice(cell: str) -> str:
    """Return the fix for a number with a comma."""
    if "." in cell and cell.rindex(".") < cell.rindex(","):
        return 'set decimal = "," and thousands = "."'
    if "." in cell or cell.count(",") > 1:
        return 'set thousands = ","'
    return 'set the meaning of the comma: decimal = "," or thousands = ","'
