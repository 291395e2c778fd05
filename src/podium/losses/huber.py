"""Huber loss: squared for small errors, linear for large ones; robust to outliers."""

from __future__ import annotations

from torch import Tensor, nn


class Huber:
    """Mean of half the squared errors up to ``delta``, linear beyond.

    Parameters
    ----------
    delta : float, > 0
        Error at which the loss becomes linear, in the unit of the targets.
    """

    task = "forecast"
    outputs = 1

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of forecasts (B,) and targets (B,)."""
        return nn.functional.huber_loss(outputs, targets, delta=self.delta)


LOSS = Huber
