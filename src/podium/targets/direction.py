"""1 if the close is higher h bars ahead, 0 if it is lower or unchanged."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "1 up, 0 not up"
CENTERED = False
# Logarithmic returns of a price that comes back to where it was add up to rounding, not to zero.
# No price of double precision that anybody quotes moves by so little.
UNCHANGED = 1e-12


def increments(dataset: Dataset) -> Floats:
    """Logarithmic return of each bar, (T, S); NaN in the first row."""
    return changes(np.log(dataset["close"]))


def aggregate(mean: Floats, horizon: int) -> Floats:
    """1 where a mean logarithmic return per bar leads upwards, else 0; NaN where it is unknown."""
    return np.where(np.isnan(mean), np.nan, mean * horizon > UNCHANGED)
