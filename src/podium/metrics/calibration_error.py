"""Gap between confidence and accuracy of the likeliest classes; lower is better."""

from __future__ import annotations

from podium.arrays import Floats
from podium.stats.class_figures import Counts, calibration_error

DIRECTION = "min"
TASK = "classify"


def score(truth: Counts, probabilities: Floats) -> float:
    """Return the expected calibration error of the likeliest class, from 0 to 1."""
    return calibration_error(truth, probabilities)
