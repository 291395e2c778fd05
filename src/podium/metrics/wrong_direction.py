"""Share of forecasts with the wrong sign; lower is better."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats


def losses(truth: Floats, forecast: Floats) -> Floats:
    """Return 1 where the signs differ, 0 where they agree, (N,)."""
    return np.asarray(np.sign(truth) != np.sign(forecast), dtype=np.float64)
