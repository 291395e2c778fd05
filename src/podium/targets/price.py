"""Close h bars ahead."""

from __future__ import annotations

import numpy as np

from podium.dataset import Dataset, Floats

UNIT = "price"
CENTERED = False


def level(dataset: Dataset) -> Floats:
    """Close, (T, S): what the changes to come are added to."""
    return dataset["close"]


def increments(dataset: Dataset) -> Floats:
    """Change of the close in each bar, (T, S); NaN in the first row."""
    close = dataset["close"]
    found = np.full_like(close, np.nan)
    found[1:] = np.diff(close, axis=0)
    return found


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Change over the horizon of a mean change per bar."""
    return mean * horizon
