"""Classification: classes and probabilities in, numbers out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_losses(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the logarithm of each sample's probability of its own class, (N,), in nats.

    Parameters
    ----------
    truth : (N,) int, from 0 to K - 1
    probabilities : (N, K) float
        A probability below the smallest step of a double is taken for that, so that no loss is
        infinite; NaN stays NaN.
    """
    own = probabilities[np.arange(len(truth)), truth]
    found: NDArray[np.float64] = -np.log(np.maximum(own, np.finfo(np.float64).eps))
    return found
