"""Simple return over the next h bars."""
# ruff: noqa: N999 - the name in podium.toml; members are never imported by a statement.

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "return"
CENTERED = True


def increments(dataset: Dataset) -> Floats:
    """Return the logarithmic return of each bar, (T, S); NaN in the first row."""
    return changes(np.log(dataset["close"]))


def to_price(values: Floats, last: Floats) -> Floats:
    """Return the price after a return from the last price."""
    return last * (1.0 + values)


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Return ``close after / close before - 1`` of a mean logarithmic return per bar."""
    return np.expm1(mean * horizon)
