"""One table of all tickers: a CSV file with a ticker column, or a pandas frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from podium.dataset import Dataset
from podium.errors import DataError, Problem, suggest
from podium.readers._frame import UNREADABLE, aligned, checked, parsed

TIMES = ("date", "datetime", "timestamp", "time")


def read(
    source: Path | pd.DataFrame,
    *,
    name: str,
    tickers: Sequence[str],
    timeframe: str,
    adjust: bool,
    align: str = "intersection",
) -> Dataset:
    """Aligned bars of the tickers in the order asked for.

    Parameters
    ----------
    source : Path or pd.DataFrame
        A row a ticker and bar, in columns ``ticker date open high low close volume`` and, to
        adjust, ``adj_close``; small or capital letters. The date may be the frame's index. A
        frame without tickers holds one, whatever it is called.
    adjust : bool
        Multiply prices by ``adj_close / close`` and divide the volume by it.

    Raises
    ------
    DataError
        With everything that is wrong: missing tickers or columns, unreadable, repeated or
        unordered dates, NaN, prices at or below zero, a high below the low, a gap.
    """
    is_frame = isinstance(source, pd.DataFrame)
    told = f"dataset '{name}'" if is_frame else str(source)
    table = _plain(source if isinstance(source, pd.DataFrame) else _file(source))
    known = tickers_of(table)
    problems: list[Problem] = []
    frames = {}
    for ticker in tickers:
        rows = np.flatnonzero(table["ticker"] == ticker) if known else np.arange(len(table))
        if known and not len(rows):
            problems.append(Problem(f"{told} has no ticker '{ticker}'", fix=suggest(ticker, known)))
            continue

        def place(row: int, rows: np.ndarray = rows) -> str:
            # A frame's rows as pandas counts them, a file's as an editor does.
            return f"{told} row {rows[row]}" if is_frame else f"{told} line {rows[row] + 2}"

        bars = table.iloc[rows].copy()
        frame = checked(bars, adjust=adjust, told=told, place=place, problems=problems)
        if frame is not None:
            frames[ticker] = frame
    return aligned(frames, problems, name=name, timeframe=timeframe, align=align)


def tickers_of(frame: pd.DataFrame) -> list[str]:
    """Names in the ticker column, in the order they appear; empty where there is none."""
    table = _plain(frame)
    return list(dict.fromkeys(table["ticker"])) if "ticker" in table else []


def columns_of(frame: pd.DataFrame) -> list[str]:
    """Names of the columns as podium writes them."""
    return list(_plain(frame).columns)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table with date and ticker as columns, and the columns' names as podium writes them."""
    if isinstance(table.index, pd.DatetimeIndex) and table.index.name is None:
        table = table.rename_axis("date")
    if any(name is not None and name not in table.columns for name in table.index.names):
        table = table.reset_index()
    names = {column: str(column).strip().lower().replace(" ", "_") for column in table.columns}
    time = next((t for t in TIMES if t in names.values()), "date")
    names = {column: "date" if name == time else name for column, name in names.items()}
    return table.rename(columns=names)


def _file(path: Path) -> pd.DataFrame:
    try:
        return parsed(path, "date", "ticker")
    except OSError as error:
        told = f"{path} cannot be read: {(error.strerror or str(error)).lower()}"
        raise DataError(told, "a CSV file with a ticker column") from None
    except UNREADABLE as error:
        raise DataError(f"{path}: {error}", "comma separated values with a header") from None
