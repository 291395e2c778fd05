"""Logarithm of high over low."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset


def compute(dataset: Dataset) -> Floats:
    """Return ``log(high / low)``."""
    return np.log(dataset["high"] / dataset["low"])
