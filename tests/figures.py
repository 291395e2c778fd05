"""Small covariates with known answers, as rows and as files; shared by several test files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from podium.covariates import Covariate
from podium.dataset import Dataset
from projects import SLOT, small_project

# A feature of a user's own that joins earnings where their period ends.
BY_PERIOD = """import numpy as np


def compute(dataset):
    one = dataset.covariates["earnings"]
    found = np.full((len(dataset), len(dataset.tickers)), np.nan)
    for place, ticker in enumerate(dataset.tickers):
        rows = one.tickers == ticker
        at = np.searchsorted(one.periods[rows], dataset.times, "right") - 1
        found[:, place] = np.where(at >= 0, one.values["eps"][rows][at], np.nan)
    return found
"""
DAY = np.timedelta64(1, "D")
FEATURES = ("log_return", "covariate:earnings.eps")


def seconds(*dates: str) -> np.ndarray:
    return np.array(dates, dtype="datetime64[s]")


def with_figures(dataset: Dataset, seed: int = 0) -> Dataset:
    """Monthly earnings, published ten to twenty days late and revised 25 days later; sizes of
    tickers; and days that are closed, known ahead.
    """
    rng = np.random.default_rng(seed)
    first = dataset.times[0].astype("datetime64[M]")
    ends = (first + np.arange(-2, len(dataset) // 15)).astype("datetime64[D]").astype("M8[s]")
    tickers = [ticker for ticker in dataset.tickers for _ in ends]
    periods = np.tile(ends, len(dataset.tickers))
    late = rng.integers(10, 20, len(periods)).astype("timedelta64[D]")
    days = dataset.times[0] + np.arange(-5, 2 * len(dataset)).astype("timedelta64[D]")
    return dataset.with_covariates(
        {
            "earnings": Covariate.of(
                "dated",
                {"eps": rng.standard_normal(2 * len(periods))},
                moments=np.concatenate([periods + late, periods + late + 25 * DAY]),
                periods=np.tile(periods, 2),
                tickers=tickers * 2,
            ),
            "sizes": Covariate.of(
                "static",
                {"size": [float(ord(t[0])) for t in dataset.tickers]},
                tickers=dataset.tickers,
            ),
            "closing": Covariate.of(
                "known_ahead", {"closed": ~np.is_busday(days.astype("M8[D]"))}, moments=days
            ),
        }
    )


def earnings(
    tickers: tuple[str, ...] = ("AAPL", "IBM"), last: str = "2013-03-31", seed: int = 0
) -> pd.DataFrame:
    """A figure a quarter and ticker, published some weeks later as a date, sometimes revised."""
    rng = np.random.default_rng(seed)
    rows = []
    for period in pd.date_range("1999-12-31", last, freq="QE"):
        for ticker in tickers:
            late, eps, again, revised = rng.integers(15, 50), *rng.normal(1, 1, 3)
            out = period + pd.Timedelta(days=int(late) - 60 * (period.year < 2000))
            rows.append((ticker, max(out, period + pd.Timedelta(days=1)), period, round(eps, 3)))
            if again > 1.5:
                rows.append((ticker, out + pd.Timedelta(days=100), period, round(revised, 3)))
    frame = pd.DataFrame(rows, columns=["symbol", "filing_date", "fiscalDateEnding", "eps"])
    return frame.assign(
        filing_date=frame["filing_date"].dt.strftime("%Y-%m-%d"),
        fiscalDateEnding=frame["fiscalDateEnding"].dt.strftime("%Y-%m-%d"),
    )


def with_earnings(folder: Path, **settings: dict[str, object]) -> Path:
    """Small project whose slot uses earnings."""
    root = small_project(
        folder,
        datasets={"us4": {"covariates": {"earnings": {"path": "eps.csv", "kind": "dated"}}}},
        slots={SLOT: {"features": list(FEATURES)}},
        **settings,
    )
    earnings().to_csv(root / "eps.csv", index=False)
    return root
