"""Time to load 5 million bars of Parquet and 1 million of CSV, compared with the bare libraries.

Run with ``make bench``, or directly. The comparison is the same file read by pyarrow or pandas into
columns, without arranging tickers side by side and without checks.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from podium import registry

TICKERS, BARS = 50, 100_000
TARGET_SECONDS = 2.0
REPEATS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        frame = _bars(TICKERS, BARS)
        frame.to_parquet(place / "by_ticker.parquet", index=False)
        by_time = frame.sort_values(["time", "ticker"], kind="stable")
        by_time.to_parquet(place / "by_time.parquet", index=False)
        few = frame[frame["ticker"].isin(sorted(frame["ticker"].unique())[:10])]
        few.to_csv(place / "bars.csv", index=False)
        tickers = tuple(sorted(frame["ticker"].unique()))
        del by_time, frame
        print(f"{TICKERS} tickers x {BARS:,} bars of one minute; median of {REPEATS}")
        for file in ("by_ticker.parquet", "by_time.parquet"):
            ours = _timed(lambda file=file: _load("parquet", place / file, tickers))
            bare = _timed(lambda file=file: pq.read_table(place / file))
            verdict = "reached" if ours <= TARGET_SECONDS else "missed"
            print(
                f"{file}: {ours:.2f} s (target {TARGET_SECONDS:g} s, {verdict}); "
                f"pyarrow alone {bare:.2f} s"
            )
        ours = _timed(lambda: _load("csv", place / "bars.csv", tickers[:10]))
        bare = _timed(lambda: pd.read_csv(place / "bars.csv"))
        size = (place / "bars.csv").stat().st_size / 2**20
        print(f"bars.csv, 1 million bars, {size:.0f} MiB: {ours:.2f} s; pandas alone {bare:.2f} s")


def _bars(tickers: int, bars: int) -> pd.DataFrame:
    """A long table with a random walk of each ticker, ordered by ticker, then time."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2020-01-01", periods=bars, freq="min", unit="s", tz="UTC")
    parts = []
    for number in range(tickers):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, bars)))
        start = np.concatenate([[100.0], close[:-1]])
        parts.append(
            pd.DataFrame(
                {
                    "time": times,
                    "ticker": f"T{number:03d}",
                    "open": start,
                    "high": np.maximum(start, close) * 1.0001,
                    "low": np.minimum(start, close) * 0.9999,
                    "close": close,
                    "volume": rng.integers(1, 10_000, bars).astype(float),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _load(reader: str, path: Path, tickers: tuple[str, ...]) -> None:
    columns = registry.load("readers", reader).read(
        path, name="bench", tickers=tickers, timeframe="1M", adjust=False
    )
    assert columns["close"].shape == (BARS, len(tickers))


def _timed(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


if __name__ == "__main__":
    main()
