"""Quantile (pinball) loss; each output is minimized by its quantile of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from podium.intervals import LEVELS


class Quantile:
    """Mean pinball loss over samples and levels.

    Parameters
    ----------
    levels : tuple of float in (0, 1)
        Level of each output, in this order. Default: those of calibrated intervals.
    """

    task = "forecast"

    def __init__(self, levels: tuple[float, ...] = LEVELS) -> None:
        self.levels = levels

    @property
    def outputs(self) -> int:
        """Outputs per target: one per level."""
        return len(self.levels)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of forecasts (B, levels) and targets (B,)."""
        levels = torch.tensor(self.levels, dtype=outputs.dtype, device=outputs.device)
        errors = targets[:, None] - outputs
        return torch.maximum(levels * errors, (levels - 1) * errors).mean()


LOSS = Quantile
