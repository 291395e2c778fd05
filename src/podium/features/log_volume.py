"""Logarithm of the volume against its mean over the last n bars (default 21)."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._trailing import trailing_mean


def compute(dataset: Dataset, bars: int = 21) -> Floats:
    """Return ``log(1 + volume)`` less its trailing mean; NaN for the first ``bars - 1`` rows."""
    log_volume = np.log1p(dataset["volume"])
    return log_volume - trailing_mean(log_volume, bars)
