"""Mean squared error: the mean of the target is its best forecast."""

from __future__ import annotations

from torch import Tensor, nn


class MSE:
    """Mean of the squared errors."""

    task = "forecast"
    outputs = 1

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of forecasts (B,); targets (B,)."""
        return nn.functional.mse_loss(outputs, targets)


LOSS = MSE
