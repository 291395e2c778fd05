"""Mean absolute error: the median of the target is its best forecast."""

from __future__ import annotations

from torch import Tensor, nn


class MAE:
    """Mean of the absolute errors."""

    task = "forecast"
    outputs = 1

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of forecasts (B,); targets (B,)."""
        return nn.functional.l1_loss(outputs, targets)


LOSS = MAE
