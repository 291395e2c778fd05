"""1 if the close is higher h bars ahead, 0 if it is lower or unchanged."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "1 up, 0 not up"
CENTERED = False
# Logarithmic returns of an unchanged price sum to a rounding error, not to zero; quoted prices
# never move by so little.
UNCHANGED = 1e-12


def increments(dataset: Dataset) -> Floats:
    """Return the logarithmic return of each bar, (T, S); NaN in the first row."""
    return changes(np.log(dataset["close"]))


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Return 1 for a positive mean logarithmic return, else 0; NaN stays NaN."""
    return np.where(np.isnan(mean), np.nan, mean * horizon > UNCHANGED)
