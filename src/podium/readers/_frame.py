"""Checks on bars that all readers share: everything that is wrong, told at once with its place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from podium.dataset import FIELDS, Dataset
from podium.errors import DataError, Problem

PRICES = ("open", "high", "low", "close")
# Where a row of that number, counted from 0, stands for a person: "a.csv line 2".
Place = Callable[[int], str]
UNREADABLE = (pd.errors.ParserError, pd.errors.ParserWarning, ValueError)


def parsed(path: Path, *texts: str) -> pd.DataFrame:
    """Table of a CSV file; these columns stay texts.

    Raises
    ------
    FileNotFoundError
    UNREADABLE
        It is no table.
    """
    with warnings.catch_warnings():
        # A row with more values than the header has columns: pandas would cut it off.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(path, dtype=dict.fromkeys(texts, str), index_col=False)


def checked(
    frame: pd.DataFrame, *, adjust: bool, told: str, place: Place, problems: list[Problem]
) -> pd.DataFrame | None:
    """One ticker's adjusted bars by their time, or None with what is wrong in ``problems``.

    Parameters
    ----------
    frame : pd.DataFrame
        Columns ``date open high low close volume`` and, to adjust, ``adj_close``; a row a bar.
    adjust : bool
        Multiply prices by ``adj_close / close`` and divide the volume by it.
    told : str
        What the frame is, for a sentence.
    place : callable
        Where a row stands, for a sentence.
    """
    needed = ["date", *FIELDS, *(["adj_close"] if adjust else [])]
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        problems.append(
            Problem(
                f"{told} has no column {', '.join(missing)} (found: {found})",
                fix="set adjust = false for prices that are adjusted already"
                if missing == ["adj_close"]
                else "rename the columns",
            )
        )
        return None
    if not len(frame):
        problems.append(Problem(f"{told} has a header and no rows", "one row a bar"))
        return None
    before = len(problems)
    dates = pd.to_datetime(frame["date"], errors="coerce", utc=True, format="ISO8601")
    unreadable = np.flatnonzero(dates.isna())
    if len(unreadable):
        text = frame["date"].iloc[unreadable[0]]
        problems.append(Problem(f"{_row(place, unreadable)} has date {text!r}", "an ISO 8601 date"))
        return None
    frame.index = pd.DatetimeIndex(dates.dt.tz_localize(None))
    repeated = np.flatnonzero(frame.index.duplicated())
    if len(repeated):
        problems.append(
            Problem(
                f"{_row(place, repeated)} repeats {frame.index[repeated[0]]}",
                "one row a bar",
                "remove the repeated rows",
            )
        )
    elif not frame.index.is_monotonic_increasing:
        back = np.flatnonzero(np.diff(frame.index.to_numpy()) < np.timedelta64(0)) + 1
        problems.append(
            Problem(
                f"{_row(place, back)} goes back in time",
                "rows ordered by date",
                "sort the file, or the frame, by date",
            )
        )
    for column in needed[1:]:
        numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
        frame[column] = numbers
        _bad_numbers(place, column, numbers, frame.index, problems)
    if len(problems) > before:
        return None
    impossible = np.flatnonzero(frame["high"] < frame["low"])
    if len(impossible):
        problems.append(
            Problem(
                f"{_row(place, impossible)} ({frame.index[impossible[0]].date()}) has its high "
                "below its low",
                "high at or above low",
            )
        )
        return None
    if adjust:
        factor = frame["adj_close"] / frame["close"]
        for column in PRICES:
            frame[column] = frame[column] * factor
        frame["volume"] = frame["volume"] / factor
    return frame


def aligned(
    frames: Mapping[str, pd.DataFrame],
    problems: Sequence[Problem],
    *,
    name: str,
    timeframe: str,
    align: str = "intersection",
) -> Dataset:
    """Dataset of checked frames, over the span that all of them share, or each over its own.

    Raises
    ------
    DataError
        With all problems, or the bars that some tickers lack inside that span.
    """
    problems = problems or _gaps(frames, align)
    if problems:
        raise DataError.of(problems)
    if align == "union":
        index = sorted(set().union(*(frame.index for frame in frames.values())))
        cut = [frame.reindex(index) for frame in frames.values()]
    else:
        start = max(frame.index[0] for frame in frames.values())
        stop = min(frame.index[-1] for frame in frames.values())
        cut = [frame.loc[start:stop] for frame in frames.values()]
    if not len(cut[0]):
        raise DataError(f"dataset '{name}': the tickers share no bar", "an overlapping period")
    bars = Dataset(
        name=name,
        timeframe=timeframe,
        tickers=tuple(frames),
        times=cut[0].index.to_numpy().astype("datetime64[s]"),
        fields={
            field: np.column_stack([frame[field].to_numpy(np.float64) for frame in cut])
            for field in FIELDS
        },
    )
    return bars.among(np.isfinite(bars["close"]))


def _bad_numbers(
    place: Place,
    column: str,
    numbers: np.ndarray,
    dates: pd.DatetimeIndex,
    problems: list[Problem],
) -> None:
    unknown = np.flatnonzero(~np.isfinite(numbers))
    low = np.flatnonzero(numbers < 0 if column == "volume" else numbers <= 0)
    for rows, what in ((unknown, "no number"), (low, "a value too low")):
        if len(rows):
            problems.append(
                Problem(
                    f"{_row(place, rows)} ({dates[rows[0]].date()}) has {what} in '{column}'"
                    + (f": {numbers[rows[0]]:g}" if rows is low else ""),
                    "a finite volume at or above zero"
                    if column == "volume"
                    else "a finite price above zero",
                    "correct it, or remove the bar from every ticker",
                )
            )


def _row(place: Place, rows: np.ndarray) -> str:
    """Place of the first bad row, and how many more there are."""
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    return place(int(rows[0])) + more


def _gaps(frames: Mapping[str, pd.DataFrame], align: str) -> list[Problem]:
    """Bars that one ticker lacks while others have them, inside the span all share, or its own."""
    start = max(frame.index[0] for frame in frames.values())
    stop = min(frame.index[-1] for frame in frames.values())
    whole = align == "union"
    cut = {t: (frame if whole else frame.loc[start:stop]).index for t, frame in frames.items()}
    union = sorted(set().union(*cut.values()))
    problems = []
    for ticker, index in cut.items():
        missing = [
            moment
            for moment in union
            if moment not in index and not (whole and not index[0] < moment < index[-1])
        ]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            problems.append(
                Problem(
                    f"ticker '{ticker}' has no bar at {missing[0]}{more}, other tickers do",
                    "every bar for every ticker",
                    "add the bar, or remove it from every ticker",
                )
            )
    return problems
