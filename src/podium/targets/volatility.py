"""Logarithm of the realized volatility per bar over the next h bars."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "log volatility per bar"
# Whether a forecast of exactly zero means "nothing will happen".
CENTERED = False
# One basis point squared: keeps the logarithm finite where a price did not move.
FLOOR = 1e-8


def increments(dataset: Dataset) -> Floats:
    """Squared logarithmic return of each bar, (T, S); NaN in the first row."""
    return changes(np.log(dataset["close"])) ** 2


def aggregate(mean: Floats, horizon: int) -> Floats:
    """``log(sqrt(mean))`` of a mean squared return, whatever the horizon."""
    del horizon
    return 0.5 * np.log(mean + FLOOR)
