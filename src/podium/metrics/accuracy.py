"""Share of samples whose class is the likeliest; higher is better."""

from __future__ import annotations

from podium.arrays import Floats
from podium.metrics._figures import of_choices
from podium.stats.class_figures import Counts, accuracy

DIRECTION = "max"
TASK = "classify"


def score(truth: Counts, probabilities: Floats) -> float:
    """Return the accuracy of the likeliest classes, from 0 to 1."""
    return of_choices(accuracy, truth, probabilities)
