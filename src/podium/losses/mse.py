"""Mean squared error; minimized by the mean of the target."""

from __future__ import annotations

from torch import Tensor, nn


class MSE:
    """Mean of the squared errors."""

    task = "forecast"
    outputs = 1

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of forecasts (B,) and targets (B,)."""
        return nn.functional.mse_loss(outputs, targets)


LOSS = MSE
