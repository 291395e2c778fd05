"""Logarithmic return over the next h bars."""

from __future__ import annotations

import numpy as np

from podium.dataset import Dataset, Floats

UNIT = "log return"
CENTERED = True


def increments(dataset: Dataset) -> Floats:
    """Logarithmic return of each bar, (T, S); NaN in the first row."""
    log_close = np.log(dataset["close"])
    found = np.full_like(log_close, np.nan)
    found[1:] = np.diff(log_close, axis=0)
    return found


def aggregate(mean: Floats, horizon: int) -> Floats:
    """Sum over the horizon of a mean return per bar."""
    return mean * horizon
