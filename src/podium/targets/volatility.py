"""Logarithm of the realized volatility per bar over the next h bars."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "log volatility per bar"
# Whether a forecast of zero means no change.
CENTERED = False
# One basis point squared: keeps the logarithm finite for a constant price.
FLOOR = 1e-8


def increments(dataset: Dataset) -> Floats:
    """Return the squared logarithmic return of each bar, (T, S); NaN in the first row."""
    return changes(np.log(dataset["close"])) ** 2


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Return ``log(sqrt(mean))`` of a mean squared return per bar."""
    del horizon
    return 0.5 * np.log(mean + FLOOR)
