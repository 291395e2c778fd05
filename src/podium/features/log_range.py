"""Logarithm of high over low: how far a bar moved inside itself."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset


def compute(dataset: Dataset) -> Floats:
    """``log(high / low)``, zero for a bar without movement."""
    return np.log(dataset["high"] / dataset["low"])
