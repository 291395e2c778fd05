"""Logarithmic return over the next h bars."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "log return"
CENTERED = True


def increments(dataset: Dataset) -> Floats:
    """Return the logarithmic return of each bar, (T, S); NaN in the first row."""
    return changes(np.log(dataset["close"]))


def to_price(values: Floats, last: Floats) -> Floats:
    """Return the price after a return from the last price."""
    return last * np.exp(values)


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Return the return over the horizon of a mean return per bar."""
    return mean * horizon
