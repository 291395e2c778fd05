"""Logarithm of the realized volatility of the last n bars (default 21)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from podium.arrays import Floats
from podium.dataset import Dataset

# One basis point squared: keeps the logarithm finite for a constant price.
FLOOR = 1e-8


def compute(dataset: Dataset, bars: int = 21) -> Floats:
    """Return ``log(sqrt(mean(r**2)))`` of ``bars`` returns; NaN for the first ``bars`` rows."""
    squared = np.diff(np.log(dataset["close"]), axis=0) ** 2
    result = np.full(dataset["close"].shape, np.nan)
    if len(squared) >= bars:
        means = sliding_window_view(squared, bars, axis=0).mean(axis=-1)
        result[bars:] = 0.5 * np.log(means + FLOOR)
    return result
