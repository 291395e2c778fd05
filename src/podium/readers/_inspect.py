"""Errors and warnings about a ticker's bars."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.dataset import FIELDS
from podium.readers._findings import ERROR, WARNING, DataIssue
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


def errors(
    series: Series, timezone: str = "UTC", doubtful: NDArray[np.bool_] | None = None
) -> list[DataIssue]:
    """Return the errors that stop loading a ticker; prices are unadjusted."""
    if doubtful is None:
        doubtful = np.zeros(len(series), dtype=bool)
    issues = list(_order(series, timezone, doubtful))
    possible = np.ones(len(series), dtype=bool)
    for role in series.columns:
        issues += _numbers(series, role, series.values[role], possible)
    issues += _candles(series, possible)
    return issues


def _row_error(
    series: Series, rows: NDArray[np.intp], what: str, found: str, expected: str, fix: str,
    repair: str = "",
) -> DataIssue:  # fmt: skip
    """Return an error about rows of a ticker."""
    stamp = series.stamp(int(rows[0]))
    return DataIssue(ERROR, what, found, expected, fix, series.ticker, len(rows), stamp, repair)


def _order(series: Series, timezone: str, doubtful: NDArray[np.bool_]) -> Iterator[DataIssue]:
    rows = np.flatnonzero(doubtful)
    if len(rows):
        yield _row_error(
            series,
            rows,
            "local times",
            f"{series.where(rows)} has a local time that {timezone} repeats or skips (daylight "
            "saving)",
            "stamps of one instant each",
            "write stamps with their offset from UTC, or name a zone without daylight saving",
            "drop_doubtful",
        )
        # A time that is no instant has no order among the others.
        series = series.take(~doubtful)
    again = np.flatnonzero(repeated(series.times))
    if len(again):
        _, firsts = np.unique(series.times, return_index=True)
        rows = np.setdiff1d(again, firsts)
        same = _same_values(series, again)
        hint = ""
        if timezone == "UTC" and _when_clocks_go_back(series.times[rows]):
            hint = "set timezone: these are nights when clocks go back; otherwise "
        yield _row_error(
            series,
            rows,
            "duplicates",
            f"{series.places(rows)} repeats {series.stamp(int(rows[0]))}"
            + ("" if same else " with other values"),
            "one row per bar",
            hint + "remove the repeated rows",
            "drop_duplicates" if same else "keep_last",
        )
    rows = np.flatnonzero(np.diff(series.times) < 0) + 1
    if len(rows):
        yield _row_error(
            series,
            rows,
            "order",
            f"{series.places(rows)} goes back in time, to {series.stamp(int(rows[0]))}",
            "rows ordered by date",
            "sort the rows by time",
            "sort",
        )


def _numbers(
    series: Series, role: str, values: Floats, possible: NDArray[np.bool_]
) -> Iterator[DataIssue]:
    column = series.columns[role]
    finite = np.isfinite(values)
    low = (values < 0) if role == "volume" else (values <= 0)
    expected = (
        "a finite volume at or above zero" if role == "volume" else "a finite price above zero"
    )
    if not finite.all():
        rows = np.flatnonzero(~finite)
        possible[rows] = False
        cell = _text(series, role, rows)
        fix, repair = "correct it or remove the bar from every ticker", "drop_nan"
        if cell.startswith("="):
            fix, repair = "export the values of the sheet instead of its formulas", ""
        elif _separated(cell):
            fix, repair = _decimal_advice(cell), ""
        yield _row_error(
            series,
            rows,
            "numbers",
            f"{series.where(rows)} has no number in '{column}'" + (f": {cell!r}" if cell else ""),
            expected,
            fix,
            repair,
        )
    if low.any():
        rows = np.flatnonzero(low)
        if role != "volume":
            possible[rows] = False
        yield _row_error(
            series,
            rows,
            "zero prices" if role != "volume" else "volume",
            f"{series.where(rows)} has a value too low in '{column}': {values[rows[0]]:g}",
            expected,
            "correct it or remove the bar from every ticker",
            "" if role == "volume" else "drop_zero_prices",
        )


def _candles(series: Series, possible: NDArray[np.bool_]) -> Iterator[DataIssue]:
    start, high, low, close = (series.values[role] for role in PRICES)
    crossed = possible & (high < low)
    slack = 1 + _ROUNDING
    outside = possible & ~crossed
    outside &= (np.maximum(start, close) > high * slack) | (np.minimum(start, close) < low / slack)
    for rows, what, expected in (
        (np.flatnonzero(crossed), "has its high below its low", "high at or above low"),
        (
            np.flatnonzero(outside),
            "has its open or close outside of low and high",
            "open and close between low and high",
        ),
    ):
        if len(rows):
            yield _row_error(
                series,
                rows,
                "candles",
                f"{series.where(rows)} {what}",
                expected,
                "correct the row",
                "clip_candles",
            )


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
        at = rows[0]
        split = f"{ratio:g} to 1" if close[at] < close[at - 1] else f"1 to {ratio:g}"
        yield DataIssue(
            WARNING,
            "splits",
            f"{series.places(np.asarray(rows))} jumps from {close[at - 1]:g} to {close[at]:g} at "
            f"{series.stamp(at)}, like an unadjusted split of {split}",
            "adjusted prices",
            "add an adj_close or factor column and set adjust = true, unless the move is real",
            series.ticker,
            len(rows),
            series.stamp(at),
        )


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
        long = lengths >= least
        if long.any():
            first = int(starts[long][0])
            yield DataIssue(
                WARNING,
                what,
                f"{series.ticker} has {words} for {int(lengths[long].max())} bars in a row at most "
                f"({int(long.sum())} runs of {least} or more), first at {series.stamp(first)}",
                ticker=series.ticker,
                count=int(long.sum()),
                first=series.stamp(first),
            )


def _constant(series: Series) -> Iterator[DataIssue]:
    for role in (role for role in FIELDS if role in series.columns):
        column = series.values[role]
        if (column == column[0]).all():
            yield DataIssue(
                WARNING,
                "constant",
                f"{series.ticker}: '{series.columns[role]}' is {column[0]:g} in every bar",
                ticker=series.ticker,
                count=len(column),
                first=series.stamp(0),
            )


def runs_of(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
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
