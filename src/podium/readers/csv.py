"""One CSV file a ticker: date, open, high, low, close, volume, and adj_close when adjusted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from podium.dataset import FIELDS, Dataset
from podium.errors import DataError, Problem, suggest

PRICES = ("open", "high", "low", "close")


def read(
    folder: Path, *, name: str, tickers: Sequence[str], timeframe: str, adjust: bool
) -> Dataset:
    """Aligned bars of the tickers in the order asked for.

    Bars start where the youngest ticker starts and end where the first one ends; inside that
    span every ticker must have every bar.

    Parameters
    ----------
    folder : Path
        Holds ``<ticker>.csv``.
    adjust : bool
        Multiply prices by ``adj_close / close`` and divide the volume by it, so that splits and
        dividends leave no jump.

    Raises
    ------
    DataError
        With everything that is wrong in all files: missing files or columns, unreadable or
        repeated or unordered dates, NaN, prices at or below zero, a high below the low, a gap.
    """
    if not folder.is_dir():
        raise DataError(f"dataset '{name}': no folder {folder}", "one <ticker>.csv a ticker in it")
    problems: list[Problem] = []
    frames = {}
    for ticker in tickers:
        frame = _one(folder / f"{ticker}.csv", adjust, problems)
        if frame is not None:
            frames[ticker] = frame
    if not problems:
        problems = _gaps(frames)
    if problems:
        raise DataError.of(problems)
    start = max(frame.index[0] for frame in frames.values())
    stop = min(frame.index[-1] for frame in frames.values())
    cut = [frame.loc[start:stop] for frame in frames.values()]
    if not len(cut[0]):
        raise DataError(f"dataset '{name}': the tickers share no bar", "an overlapping period")
    return Dataset(
        name=name,
        timeframe=timeframe,
        tickers=tuple(tickers),
        times=cut[0].index.to_numpy().astype("datetime64[s]"),
        fields={
            field: np.column_stack([frame[field].to_numpy(np.float64) for frame in cut])
            for field in FIELDS
        },
    )


def _one(path: Path, adjust: bool, problems: list[Problem]) -> pd.DataFrame | None:
    """One ticker's adjusted bars, or None with what is wrong appended to ``problems``."""
    try:
        with warnings.catch_warnings():
            # A row with more values than the header has columns: pandas would cut it off.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, dtype={"date": str}, index_col=False)
    except FileNotFoundError:
        known = [p.stem for p in path.parent.glob("*.csv")]
        problems.append(
            Problem(f"ticker '{path.stem}': no file {path}", fix=suggest(path.stem, known))
        )
        return None
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        problems.append(Problem(f"{path}: {error}", "comma separated values with a header"))
        return None
    needed = ["date", *FIELDS, *(["adj_close"] if adjust else [])]
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        problems.append(
            Problem(
                f"{path} has no column {', '.join(missing)} (found: {', '.join(frame.columns)})",
                fix="set adjust = false for prices that are adjusted already"
                if missing == ["adj_close"]
                else "rename the columns",
            )
        )
        return None
    if not len(frame):
        problems.append(Problem(f"{path} has a header and no rows", "one row a bar"))
        return None
    before = len(problems)
    dates = pd.to_datetime(frame["date"], errors="coerce", utc=True, format="ISO8601")
    unreadable = np.flatnonzero(dates.isna())
    if len(unreadable):
        text = frame["date"].iloc[unreadable[0]]
        problems.append(Problem(f"{_row(path, unreadable)} has date {text!r}", "an ISO 8601 date"))
        return None
    frame.index = pd.DatetimeIndex(dates.dt.tz_localize(None))
    repeated = np.flatnonzero(frame.index.duplicated())
    if len(repeated):
        problems.append(
            Problem(
                f"{_row(path, repeated)} repeats {frame.index[repeated[0]]}",
                "one row a bar",
                "remove the repeated rows",
            )
        )
    elif not frame.index.is_monotonic_increasing:
        back = np.flatnonzero(np.diff(frame.index.to_numpy()) < np.timedelta64(0)) + 1
        problems.append(
            Problem(
                f"{_row(path, back)} goes back in time", "rows ordered by date", "sort the file"
            )
        )
    for column in needed[1:]:
        numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
        frame[column] = numbers
        _bad_numbers(path, column, numbers, frame.index, problems)
    if len(problems) > before:
        return None
    impossible = np.flatnonzero(frame["high"] < frame["low"])
    if len(impossible):
        problems.append(
            Problem(
                f"{_row(path, impossible)} ({frame.index[impossible[0]].date()}) has its high "
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


def _bad_numbers(
    path: Path,
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
                    f"{_row(path, rows)} ({dates[rows[0]].date()}) has {what} in '{column}'"
                    + (f": {numbers[rows[0]]:g}" if rows is low else ""),
                    "a finite volume at or above zero"
                    if column == "volume"
                    else "a finite price above zero",
                    "correct the file or remove the bar from every ticker",
                )
            )


def _row(path: Path, rows: np.ndarray) -> str:
    """Place of the first bad row as an editor counts, and how many more there are."""
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    return f"{path} line {rows[0] + 2}{more}"


def _gaps(frames: dict[str, pd.DataFrame]) -> list[Problem]:
    """Bars that one ticker lacks while others have them, inside the span all share."""
    start = max(frame.index[0] for frame in frames.values())
    stop = min(frame.index[-1] for frame in frames.values())
    cut = {t: frame.loc[start:stop].index for t, frame in frames.items()}
    union = sorted(set().union(*cut.values()))
    problems = []
    for ticker, index in cut.items():
        missing = [moment for moment in union if moment not in index]
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
