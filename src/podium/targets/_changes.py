"""What targets that are made of changes share."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats


def changes(values: Floats) -> Floats:
    """Each row less the one before, (T, S); NaN in the first row."""
    found = np.full_like(values, np.nan)
    found[1:] = np.diff(values, axis=0)
    return found
