"""Close h bars ahead."""

from __future__ import annotations

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.targets._changes import changes

UNIT = "price"
CENTERED = False


def level(dataset: Dataset) -> Floats:
    """Close, (T, S): what the changes to come are added to."""
    return dataset["close"]


def increments(dataset: Dataset) -> Floats:
    """Change of the close in each bar, (T, S); NaN in the first row."""
    return changes(dataset["close"])


def to_price(values: Floats, last: Floats) -> Floats:
    """The price itself."""
    del last
    return values


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Change over the horizon of a mean change per bar."""
    return mean * horizon
