"""One table of all tickers: a pandas frame, or a file read by the reader ``csv``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from podium import registry
from podium.dataset import Dataset
from podium.errors import DataError
from podium.readers import _bars
from podium.readers._bars import Inspection, LazyTable
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
    """Read aligned bars of the tickers, in the given order.

    Parameters
    ----------
    source : Path or DataFrame
        A frame has a row per ticker and bar, or columns of every ticker, with usual names in any
        case. Times and tickers may be its index. A frame without tickers holds a single one.
    adjust : bool or None
        As for files; None: adjust if the frame has ``adj_close`` or ``factor``.
    options
        Fields of :class:`podium.readers._options.ReadOptions`.

    Raises
    ------
    DataError
        Every error, as for files; rows are counted from 0.
    """
    if isinstance(source, Path):
        dataset: Dataset = registry.load("readers", "csv").read(
            source, name=name, tickers=tickers, timeframe=timeframe, adjust=adjust, **options
        )
        return dataset
    table = FrameTable.of(source, f"dataset '{name}'")
    ticker = tickers[0] if len(tickers) == 1 else ""
    one = LazyTable(table.source.name, ticker, False, lambda: table)
    request = Inspection(name, tickers=tuple(tickers), timeframe=timeframe)
    return _bars.load(request, lambda _: [one], adjust, ReadOptions(**options))


def tickers_of(frame: pd.DataFrame, *, name: str, **options: Any) -> list[str]:
    """Return a frame's tickers in order of appearance; empty if it names none.

    Raises
    ------
    DataError
        The columns are not those of bars.
    """
    table = FrameTable.of(frame, f"dataset '{name}'")
    where = table.source.name
    settings = ReadOptions(**options)
    layout, missing = find_layout(table.names, settings, tickers=(), adjust=None, where=where)
    if layout is None:
        raise DataError.of(problems(missing))
    if layout.kind == "wide":
        return list(layout.fields)
    codes = table.load((), layout.ticker, ()).ticker
    return codes.names if codes else []
