"""Small bars with known answers, and the forms in which people keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podium import registry
from podium.errors import DataError

FIELDS = ("open", "high", "low", "close", "volume")
LAYOUTS = ("files", "long", "time-major long", "wide", "field first", "two levels", "tuples")


def bars(ticker: str, times: pd.DatetimeIndex, *, adjusted: bool = True) -> pd.DataFrame:
    """Bars of one ticker, the same for the same name and length; prices have two decimals."""
    rng = np.random.default_rng([len(times), *ticker.encode()])
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(times)))), 2)
    start = np.round(np.concatenate([[100.0], close[:-1]]) + rng.normal(0, 0.1, len(times)), 2)
    frame = pd.DataFrame(
        {
            "date": times,
            "open": start,
            "high": np.round(np.maximum(start, close) + 0.25, 2),
            "low": np.round(np.minimum(start, close) - 0.25, 2),
            "close": close,
            "volume": rng.integers(100, 10_000, len(times)),
        }
    )
    if adjusted:
        frame["adj_close"] = np.round(close * 0.5, 2)
    return frame


def days(count: int = 30, first: str = "2020-01-01") -> pd.DatetimeIndex:
    return pd.bdate_range(first, periods=count, unit="s")


def long(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frame.assign(ticker=t) for t, frame in frames.items()], ignore_index=True)


def write(place: Path, frames: dict[str, pd.DataFrame], layout: str, ending: str) -> Path:
    """The bars in one layout and format; returns the path of the dataset."""
    if layout == "files":
        place.mkdir(exist_ok=True)
        for ticker, frame in frames.items():
            _save(frame, place / f"{ticker}{ending}")
        return place
    path = place.with_suffix(ending)
    table = long(frames)
    if layout == "time-major long":
        table = table.sort_values(["date", "ticker"], kind="stable")
    if layout in ("long", "time-major long"):
        return _save(table, path)
    wide = table.pivot(index="date", columns="ticker").sort_index()
    if layout == "two levels":
        wide.to_csv(path) if ending.startswith(".csv") else wide.to_parquet(path)
        return path
    form = {"wide": "{0}_{1}", "field first": "{1} {0}", "tuples": "('{0}', '{1}')"}[layout]
    wide.columns = [form.format(field, ticker) for field, ticker in wide.columns]
    return _save(wide.reset_index(), path)


def _save(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def read(path: Path, tickers: tuple[str, ...] = ("AAA",), **settings: Any) -> Any:
    """Bars of a path, by the reader its ending asks for."""
    reader = "parquet" if any(p.suffix == ".parquet" for p in _files(path)) else "csv"
    told = {"name": "d", "timeframe": "D", "adjust": False, **settings}
    return registry.load("readers", reader).read(path, tickers=tickers, **told)


def examine(path: Path, **settings: Any) -> Any:
    reader = "parquet" if any(p.suffix == ".parquet" for p in _files(path)) else "csv"
    return registry.load("readers", reader).examine(path, name="d", **settings)


def refused(path: Path, tickers: tuple[str, ...] = ("AAA",), **settings: Any) -> list[str]:
    """Sentences with which a path is refused."""
    try:
        read(path, tickers, **settings)
    except DataError as error:
        return [str(problem) for problem in error.problems]
    raise AssertionError(f"{path} was not refused")


def _files(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else [path]


def csv(place: Path, *lines: str, name: str = "AAA.csv") -> Path:
    """A file of these lines, its folder."""
    place.mkdir(exist_ok=True)
    (place / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


HEADER = "date,open,high,low,close,volume"
ROWS = [f"2010-01-{4 + n:02d},100,110,98,{100 + n},1000" for n in range(5)]
