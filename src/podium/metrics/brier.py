"""Brier score: summed squared errors of probabilities, from 0 to 2; lower is better."""

from __future__ import annotations

from podium.arrays import Floats
from podium.stats.class_figures import Counts, brier

DIRECTION = "min"
TASK = "classify"


def score(truth: Counts, probabilities: Floats) -> float:
    """Return the mean Brier score over the samples, all classes summed."""
    return brier(truth, probabilities)
