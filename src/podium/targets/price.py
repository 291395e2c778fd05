"""Close h bars ahead."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "price"
CENTERED = False


def level(dataset: Dataset) -> Floats:
    """Return the close, (T, S), to which future changes are added."""
    return dataset["close"]


def increments(dataset: Dataset) -> Floats:
    """Return the change of the close in each bar, (T, S); NaN in the first row."""
    return changes(dataset["close"])


def to_price(values: Floats, last: Floats) -> Floats:
    """Return the forecast price."""
    del last
    return values


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Return the change over the horizon of a mean change per bar."""
    return mean * horizon
