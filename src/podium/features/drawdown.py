"""Logarithm of the close over the highest close of the last n bars (default 252), at most 0."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._trailing import trailing_max


def compute(dataset: Dataset, bars: int = 252) -> Floats:
    """Return the log drawdown from the highest close; NaN for the first ``bars - 1`` rows."""
    return np.log(dataset["close"] / trailing_max(dataset["close"], bars))
