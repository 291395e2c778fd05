"""Logarithm of the close over its exponential moving average of span n (default 20)."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._trailing import since_first


def compute(dataset: Dataset, bars: int = 20) -> Floats:
    """Return ``log(close / average)``; NaN for the first ``bars - 1`` rows.

    Each older close weighs ``1 - 2 / (bars + 1)`` times the next. Weights are normalized over the
    available bars, so the first close has no extra weight.
    """
    return since_first(dataset["close"], lambda close: _log_ratio(close, bars))


def _log_ratio(close: Floats, bars: int) -> Floats:
    decay = 1 - 2 / (bars + 1)
    total, weight = np.zeros(close.shape[1]), 0.0
    average = np.full_like(close, np.nan)
    for t, row in enumerate(close):
        total = total * decay + row
        weight = weight * decay + 1
        average[t] = total / weight
    average[: bars - 1] = np.nan
    return np.log(close / average)
