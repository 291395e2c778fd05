"""Mean F1 of all classes with equal weights; higher is better."""

from __future__ import annotations

from podium.arrays import Floats
from podium.metrics._figures import of_choices
from podium.stats.class_figures import Counts, macro_f1

DIRECTION = "max"
TASK = "classify"


def score(truth: Counts, probabilities: Floats) -> float:
    """Return the macro-F1 of the likeliest classes, from 0 to 1."""
    return of_choices(macro_f1, truth, probabilities)
