"""Volume over its mean of the last n bars (default 20); 1 if all of them have no volume."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._trailing import trailing_mean


def compute(dataset: Dataset, bars: int = 20) -> Floats:
    """Return values from 0 to ``bars``; NaN for the first ``bars - 1`` rows."""
    volume = dataset["volume"]
    mean = trailing_mean(volume, bars)
    # A comparison with NaN is False, and the rows before the first mean must stay NaN.
    return np.divide(volume, mean, out=np.where(mean == 0, 1.0, mean), where=mean > 0)
