"""One CSV file a ticker: date, open, high, low, close, volume, and adj_close when adjusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from podium.dataset import Dataset
from podium.errors import DataError, Problem, suggest
from podium.readers._bars import UNREADABLE, aligned, checked, parsed


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
    return aligned(frames, problems, name=name, timeframe=timeframe)


def _one(path: Path, adjust: bool, problems: list[Problem]) -> pd.DataFrame | None:
    """One ticker's adjusted bars, or None with what is wrong appended to ``problems``."""
    try:
        frame = parsed(path, "date")
    except FileNotFoundError:
        known = [p.stem for p in path.parent.glob("*.csv")]
        problems.append(
            Problem(f"ticker '{path.stem}': no file {path}", fix=suggest(path.stem, known))
        )
        return None
    except UNREADABLE as error:
        problems.append(Problem(f"{path}: {error}", "comma separated values with a header"))
        return None

    def place(row: int) -> str:
        # As an editor counts: from 1, after the header.
        return f"{path} line {row + 2}"

    return checked(frame, adjust=adjust, told=str(path), place=place, problems=problems)
