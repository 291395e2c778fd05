"""Metrics of the likeliest class, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from podium.arrays import Floats
from podium.stats.class_figures import Counts, confusion


def of_choices(figure: Callable[[Counts], float], truth: Counts, probabilities: Floats) -> float:
    """Return a figure of the confusion matrix; NaN if a probability is NaN.

    Parameters
    ----------
    figure : function of a (K, K) confusion matrix
    truth : (N,) int
    probabilities : (N, K) float
    """
    if np.isnan(probabilities).any():
        return float("nan")
    return figure(confusion(truth, probabilities.argmax(axis=1), probabilities.shape[1]))
