"""Logarithm of the volume against its mean over the last n bars (default 21)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from podium.arrays import Floats
from podium.dataset import Dataset


def compute(dataset: Dataset, bars: int = 21) -> Floats:
    """Return ``log(1 + volume)`` less its trailing mean; NaN for the first ``bars - 1`` rows."""
    log_volume = np.log1p(dataset["volume"])
    result = np.full_like(log_volume, np.nan)
    if len(log_volume) >= bars:
        means = sliding_window_view(log_volume, bars, axis=0).mean(axis=-1)
        result[bars - 1 :] = log_volume[bars - 1 :] - means
    return result
