"""Mean absolute error; minimized by the median of the target."""

from __future__ import annotations

from torch import Tensor, nn


class MAE:
    """Mean of the absolute errors."""

    task = "forecast"
    outputs = 1

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of forecasts (B,) and targets (B,)."""
        return nn.functional.l1_loss(outputs, targets)


LOSS = MAE
