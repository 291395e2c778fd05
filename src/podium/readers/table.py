"""One table of all tickers: a pandas frame, or a file read by the reader ``csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podium import registry
from podium.arrays import Floats
from podium.dataset import Dataset
from podium.errors import DataError
from podium.readers import _bars
from podium.readers._bars import Inspection, LazyTable
from podium.readers._columns import Layout, find_layout
from podium.readers._findings import problems
from podium.readers._frame import FrameTable
from podium.readers._options import ReadOptions
from podium.readers._series import split, to_utc
from podium.readers._times import parse


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
    table, layout = _layout(frame, name, ReadOptions(**options))
    if layout.kind == "wide":
        return list(layout.fields)
    codes = table.load((), layout.ticker, ()).ticker
    return codes.names if codes else []


def columns_of(
    frame: pd.DataFrame, columns: Sequence[str], dataset: Dataset, **options: Any
) -> Mapping[str, Floats]:
    """Values of further number columns at each bar of a dataset that was read from the frame.

    Parameters
    ----------
    columns : sequence of str
        Columns of a long frame, or of a frame of one ticker.

    Returns
    -------
    mapping of str to (T, S) float
        NaN where a cell is empty or a bar has no row.

    Raises
    ------
    DataError
        The frame lacks a column, or has tickers side by side.
    """
    settings = ReadOptions(**options)
    table, layout = _layout(frame, dataset.name, settings)
    missing = [name for name in columns if name not in table.names]
    if layout.kind == "wide" or missing:
        found = "has its tickers side by side" if layout.kind == "wide" else "lacks"
        raise DataError(
            f"{table.source.name} {found} {', '.join(missing)}".strip(),
            f"one row per ticker and bar with columns {', '.join(columns)}",
        )
    further = replace(layout, fields={"": {name: name for name in columns}})
    loaded = table.load(layout.times, layout.ticker, columns)
    stamps = parse(loaded, table.source, settings.date_format)
    values = {name: np.full((len(dataset), len(dataset.tickers)), np.nan) for name in columns}
    times = dataset.times.astype("datetime64[s]").astype(np.int64)
    parts = split(
        loaded,
        stamps,
        further,
        [table.source],
        ticker=dataset.tickers[0],
        tickers=dataset.tickers,
        absent=(),
    )
    for part in parts:
        series, _ = to_utc(part, dataset.timeframe, settings.timezone, settings.stamp)
        rows = np.minimum(np.searchsorted(times, series.times), len(times) - 1)
        known, column = times[rows] == series.times, dataset.tickers.index(part.ticker)
        for name in columns:
            values[name][rows[known], column] = series.values[name][known]
    return values


def _layout(frame: pd.DataFrame, name: str, settings: ReadOptions) -> tuple[FrameTable, Layout]:
    """A frame's table of bars and its layout; raises DataError where it has none."""
    table = FrameTable.of(frame, f"dataset '{name}'")
    where = table.source.name
    layout, missing = find_layout(table.names, settings, tickers=(), adjust=None, where=where)
    if layout is None:
        raise DataError.of(problems(missing))
    return table, layout
