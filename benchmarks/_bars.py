"""Bars of simulated and real series, and projects of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

VOLATILITY = 0.01
# Degrees of freedom of heavy-tailed shocks.
FREEDOM = 4.0


@dataclass(frozen=True)
class Bars:
    """Bars of several tickers at the same times.

    Parameters
    ----------
    frames : mapping of ticker to DataFrame
        Index ``date``; columns ``close`` and, where they are known, ``open``, ``high``, ``low``
        and ``volume``.
    timeframe : str
    """

    frames: Mapping[str, pd.DataFrame]
    timeframe: str = "D"

    def __len__(self) -> int:
        return len(self.times)

    @property
    def times(self) -> pd.Index:
        return next(iter(self.frames.values())).index

    @property
    def absent(self) -> list[str]:
        """Fields without data."""
        columns = next(iter(self.frames.values())).columns
        return [name for name in ("open", "high", "low", "volume") if name not in columns]

    def first(self, count: int) -> Bars:
        return Bars({name: one.iloc[:count] for name, one in self.frames.items()}, self.timeframe)

    def last(self, count: int) -> Bars:
        return Bars({name: one.iloc[-count:] for name, one in self.frames.items()}, self.timeframe)

    def write(self, folder: Path) -> None:
        """Write one CSV file a ticker."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in self.frames.items():
            frame.to_csv(folder / f"{name}.csv", index_label="date")

    def section(self) -> dict[str, Any]:
        """Section of podium.toml of the dataset in the folder ``bars``."""
        return {
            "path": "bars",
            "tickers": list(self.frames),
            "timeframe": self.timeframe,
            "adjust": False,
            **({"absent": self.absent} if self.absent else {}),
        }


def simulated(returns: np.ndarray, seed: int) -> Bars:
    """Bars with these logarithmic returns, (T, S); each bar opens at the previous close."""
    rng = np.random.default_rng([seed, 31])
    close = 100.0 * np.exp(np.cumsum(returns, axis=0))
    opened = np.vstack([np.full((1, close.shape[1]), 100.0), close[:-1]])
    wicks = np.exp(0.3 * VOLATILITY * np.abs(rng.standard_normal((2, *close.shape))))
    fields = {
        "open": opened,
        "high": np.maximum(opened, close) * wicks[0],
        "low": np.minimum(opened, close) / wicks[1],
        "close": close,
        "volume": np.round(1e6 * np.exp(0.3 * rng.standard_normal(close.shape))),
    }
    days = np.busday_offset("2010-01-04", np.arange(len(close)))
    return Bars(
        {
            f"T{n}": pd.DataFrame({name: of[:, n] for name, of in fields.items()}, index=days)
            for n in range(close.shape[1])
        }
    )


def noise(seed: int, bars: int, tickers: int) -> np.ndarray:
    """Independent returns of Student's t with 4 degrees of freedom, (T, S)."""
    rng = np.random.default_rng([seed, 32])
    shocks = rng.standard_t(FREEDOM, (bars, tickers))
    return VOLATILITY * shocks / np.sqrt(FREEDOM / (FREEDOM - 2.0))


def autoregressive(seed: int, bars: int, tickers: int, coefficient: float) -> np.ndarray:
    """AR(1) returns, (T, S), with the same volatility for each coefficient."""
    rng = np.random.default_rng([seed, 17])
    scale = VOLATILITY * np.sqrt(1.0 - coefficient**2)
    shocks = rng.normal(0.0, scale, (bars + 100, tickers))
    return lfilter([1.0], [1.0, -coefficient], shocks, axis=0)[100:]


def volatile(seed: int, bars: int, tickers: int, persistence: float, spread: float) -> np.ndarray:
    """Normal returns with AR(1) log volatility of standard deviation ``spread``, (T, S)."""
    rng = np.random.default_rng([seed, 33])
    scale = spread * np.sqrt(1.0 - persistence**2)
    shocks = rng.normal(0.0, scale, (bars + 500, tickers))
    states = lfilter([1.0], [1.0, -persistence], shocks, axis=0)[500:]
    return VOLATILITY * np.exp(states) * rng.standard_normal((bars, tickers))


def _table(package: str, path: str) -> pd.DataFrame:
    """CSV file of an installed package, by its dates; the package is not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the data are in the package {package}; run: make bench")
    frame = pd.read_csv(Path(next(iter(spec.submodule_search_locations))) / path)
    frame.columns = [name.lower() if name in _FIELDS else name for name in frame.columns]
    return frame.set_index(pd.to_datetime(frame.pop("date"))).sort_index()


_FIELDS = {"Date", "Open", "High", "Low", "Close", "Volume"}
_COLUMNS = ["open", "high", "low", "close", "volume"]


def _stocks(*tickers: str, until: str) -> Bars:
    """Bars of bokeh_sampledata, adjusted for splits and dividends."""
    table = _table("bokeh_sampledata", "_data/stocks.csv.gz")
    frames = {}
    for ticker in tickers:
        one = table[table["Ticker"] == ticker]
        factor = one["Adj Close"] / one["close"]
        prices = one[_COLUMNS[:4]].mul(factor, axis=0)
        frames[ticker] = prices.assign(volume=one["volume"])
    return _shared(frames, until)


def _closes(package: str, path: str, *tickers: str, until: str = "2100") -> Bars:
    table = _table(package, path)
    return _shared({name: table[[name]].rename(columns={name: "close"}) for name in tickers}, until)


def _indices(until: str) -> Bars:
    """Bars of two stock indices."""
    names = {"SP500": "sp500", "NASDAQ": "nasdaq"}
    tables = {name: _table("arch", f"data/{of}/{of}.csv.gz") for name, of in names.items()}
    return _shared({name: one[_COLUMNS] for name, one in tables.items()}, until)


def _oil(until: str) -> Bars:
    table = _table("arch", "data/wti/wti.csv.gz")
    prices = pd.to_numeric(table["DCOILWTICO"], errors="coerce")
    return _shared({"WTI": prices.dropna().to_frame("close")}, until)


def _glucose() -> Bars:
    """A glucose sensor every hour, for 1,500 hours."""
    from podium.steps.data.glucose import readings

    frame = readings().assign(glucose=lambda one: pd.to_numeric(one["glucose"], errors="coerce"))
    hours = frame.set_index("datetime")["glucose"].sort_index().resample("1h").last().dropna()
    return Bars({"CGM": hours.to_frame("close")}, "1H")


def _shared(frames: Mapping[str, pd.DataFrame], until: str) -> Bars:
    """Bars that every ticker has, up to a date."""
    times = pd.concat([frame["close"] for frame in frames.values()], axis=1, join="inner").index
    return Bars({name: frame.loc[times].loc[:until] for name, frame in frames.items()})


SP500 = ("skfolio", "datasets/data/sp500_dataset.csv.gz")
FACTORS = ("skfolio", "datasets/data/factors_dataset.csv.gz")
# Real data sets: bars, target and horizon. Each is cut to its last bars.
REAL: Mapping[str, tuple[Callable[[], Bars], str, int]] = {
    "us4 to 2013": (
        lambda: _stocks("AAPL", "GOOG", "IBM", "MSFT", until="2013"),
        "volatility",
        5,
    ),
    "us3 to 2006": (lambda: _stocks("AAPL", "IBM", "MSFT", until="2006"), "log_return", 5),
    "banks and oil to 2009": (
        lambda: _closes(*SP500, "BAC", "CVX", "JPM", "XOM", until="2009"),
        "volatility",
        5,
    ),
    "pharma to 2016": (
        lambda: _closes(*SP500, "JNJ", "LLY", "MRK", "PFE", until="2016"),
        "log_return",
        1,
    ),
    "staples to 1998": (
        lambda: _closes(*SP500, "KO", "PEP", "PG", "WMT", until="1998"),
        "volatility",
        5,
    ),
    "technology to 2022": (
        lambda: _closes(*SP500, "AAPL", "AMD", "MSFT", "UNH", until="2022"),
        "volatility",
        1,
    ),
    "factors to 2022": (
        lambda: _closes(*FACTORS, "MTUM", "QUAL", "SIZE", "USMV"),
        "log_return",
        5,
    ),
    "indices to 2005": (lambda: _indices("2005"), "volatility", 5),
    "oil to 2018": (lambda: _oil("2018"), "volatility", 5),
    "glucose, hours": (_glucose, "log_return", 1),
}


def toml(table: Mapping[str, Any], path: str = "") -> str:
    """TOML of nested tables; scalars and lists are written as JSON."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, Mapping)]
    text = (f"[{path}]\n" if path else "") + "".join(line + "\n" for line in lines)
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = f"{path}.{json.dumps(key)}" if path else key
            text += "\n" + toml(value, inner)
    return text


def write_project(root: Path, bars: Bars, settings: Mapping[str, Any]) -> None:
    """Create a project, or replace the bars and settings of one."""
    bars.write(root / "bars")
    (root / "podium.toml").write_text(toml(settings), encoding="utf-8")
