"""Mean of minus the logarithm of the true class's probability, in nats; lower is better."""

from __future__ import annotations

from podium.arrays import Floats
from podium.stats.class_figures import Counts, log_loss

DIRECTION = "min"
TASK = "classify"


def score(truth: Counts, probabilities: Floats) -> float:
    """Return the log loss of the probabilities, in nats."""
    return log_loss(truth, probabilities)
