"""Changes per bar, for targets."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats


def changes(values: Floats) -> Floats:
    """Return the differences of consecutive rows, (T, S); NaN in the first row."""
    result = np.full_like(values, np.nan)
    result[1:] = np.diff(values, axis=0)
    return result
