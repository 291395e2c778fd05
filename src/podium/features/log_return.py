"""Logarithmic return of the last n bars (default 1)."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset


def compute(dataset: Dataset, bars: int = 1) -> Floats:
    """Return ``log(close[t] / close[t - bars])``; NaN for the first ``bars`` rows."""
    log_close = np.log(dataset["close"])
    result = np.full_like(log_close, np.nan)
    result[bars:] = log_close[bars:] - log_close[:-bars]
    return result
