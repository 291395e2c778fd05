"""Mean average precision of the classes, each against the rest; higher is better."""

from __future__ import annotations

from podium.arrays import Floats
from podium.stats.class_figures import Counts, pr_auc_macro

DIRECTION = "max"
TASK = "classify"


def score(truth: Counts, probabilities: Floats) -> float:
    """Return the mean average precision of the classes that have samples."""
    return pr_auc_macro(truth, probabilities)
