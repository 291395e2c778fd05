"""Logarithm of the realized volatility of the last n bars (default 21)."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._trailing import trailing_mean

# One basis point squared: keeps the logarithm finite for a constant price.
FLOOR = 1e-8


def compute(dataset: Dataset, bars: int = 21) -> Floats:
    """Return ``log(sqrt(mean(r**2)))`` of ``bars`` returns; NaN for the first ``bars`` rows."""
    squared = np.diff(np.log(dataset["close"]), axis=0, prepend=np.nan) ** 2
    return 0.5 * np.log(trailing_mean(squared, bars) + FLOOR)
