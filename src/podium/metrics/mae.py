"""Mean absolute error, in the target's unit; lower is better."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats


def losses(truth: Floats, forecast: Floats) -> Floats:
    """Return the absolute error per window, (N,)."""
    return np.abs(truth - forecast)
