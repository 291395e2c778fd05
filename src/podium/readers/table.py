"""One table of all tickers: a pandas frame, or a file as the reader ``csv`` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from podium import registry
from podium.dataset import Dataset
from podium.errors import DataError
from podium.readers import _bars
from podium.readers._bars import Examined, Unopened
from podium.readers._columns import find_layout
from podium.readers._findings import problems
from podium.readers._frame import FrameTable
from podium.readers._options import ReadOptions


def read(
    source: Path | pd.DataFrame,
    *,
    name: str,
    tickers: Sequence[str],
    timeframe: str,
    adjust: bool | None,
    **options: Any,
) -> Dataset:
    """Aligned bars of the tickers in the order asked for.

    Parameters
    ----------
    source : Path or DataFrame
        A frame has a row a ticker and bar, or columns of every ticker; small or capital letters,
        usual names. Times and tickers may be its index. A frame without tickers holds one, whatever
        it is called.
    adjust : bool or None
        As of files; None: when the frame has what it takes.
    options
        Of :class:`podium.readers._options.Options`, as of files.

    Raises
    ------
    DataError
        With everything that is wrong, as of files; rows are counted from 0.
    """
    if isinstance(source, Path):
        dataset: Dataset = registry.load("readers", "csv").read(
            source, name=name, tickers=tickers, timeframe=timeframe, adjust=adjust, **options
        )
        return dataset
    table = FrameTable.of(source, f"dataset '{name}'")
    one = Unopened(table.source.name, tickers[0] if len(tickers) == 1 else "", False, lambda: table)
    asked = Examined(name, tickers=tuple(tickers), timeframe=timeframe)
    return _bars.load(asked, lambda found: [one], adjust, ReadOptions(**options))


def tickers_of(frame: pd.DataFrame, *, name: str, **options: Any) -> list[str]:
    """Names of a frame's tickers, in the order they appear; empty where it names none.

    Raises
    ------
    DataError
        Its columns are not those of bars.
    """
    how = ReadOptions(**options)
    table = FrameTable.of(frame, f"dataset '{name}'")
    where = table.source.name
    layout, missing = find_layout(table.names, how, tickers=(), adjust=None, where=where)
    if layout is None:
        raise DataError.of(problems(missing))
    if layout.kind == "wide":
        return list(layout.fields)
    codes = table.load((), layout.ticker, ()).ticker
    return codes.names if codes else []
