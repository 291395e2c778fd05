"""Mean squared error, in the target's unit squared; lower is better."""

from __future__ import annotations

from podium.arrays import Floats


def losses(truth: Floats, forecast: Floats) -> Floats:
    """Return the squared error per window, (N,)."""
    return (truth - forecast) ** 2
