"""Logarithm of the close over the mean of the last n closes (default 20)."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._trailing import trailing_mean


def compute(dataset: Dataset, bars: int = 20) -> Floats:
    """Return ``log(close / mean of the last bars closes)``; NaN for the first ``bars - 1`` rows."""
    return np.log(dataset["close"] / trailing_mean(dataset["close"], bars))
