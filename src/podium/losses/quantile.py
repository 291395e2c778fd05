"""Quantile (pinball) loss: each output is best at its quantile of the target."""

from __future__ import annotations

import torch
from torch import Tensor


class Quantile:
    """Mean of the pinball losses over samples and levels.

    Parameters
    ----------
    levels : tuple of float in (0, 1)
        One output each, in this order.
    """

    task = "forecast"

    def __init__(self, levels: tuple[float, ...] = (0.1, 0.5, 0.9)) -> None:
        self.levels = levels

    @property
    def outputs(self) -> int:
        """Outputs for each target: one for each level."""
        return len(self.levels)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of forecasts (B, levels); targets (B,)."""
        levels = torch.tensor(self.levels, dtype=outputs.dtype, device=outputs.device)
        errors = targets[:, None] - outputs
        return torch.maximum(levels * errors, (levels - 1) * errors).mean()


LOSS = Quantile
