"""Logarithmic return of the last n bars (default 1)."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset


def compute(dataset: Dataset, bars: int = 1) -> Floats:
    """``log(close[t] / close[t - bars])``; NaN for the first ``bars`` rows."""
    log_close = np.log(dataset["close"])
    found = np.full_like(log_close, np.nan)
    found[bars:] = log_close[bars:] - log_close[:-bars]
    return found
