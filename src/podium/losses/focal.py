"""Focal loss: a cross entropy in which samples that are sure already count less."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Focal:
    """Mean over samples, weighted by their class and a power of how unsure each is.

    Parameters
    ----------
    weights : (K,) tensor of float, optional
        Of each class; default: all alike.
    smoothing : float in [0, 1)
        Share of each label that is spread over all classes.
    gamma : float, >= 0
        The power; 0: the cross entropy.
    """

    task = "classify"
    outputs = 1

    def __init__(
        self, weights: Tensor | None = None, smoothing: float = 0.0, gamma: float = 2.0
    ) -> None:
        self.weights, self.smoothing, self.gamma = weights, smoothing, gamma

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of scores (B, K) before the softmax; labels (B,)."""
        scores = outputs.float()
        if not self.gamma:
            return nn.functional.cross_entropy(
                scores, targets, self.weights, label_smoothing=self.smoothing
            )
        each = nn.functional.cross_entropy(
            scores, targets, self.weights, label_smoothing=self.smoothing, reduction="none"
        )
        own = scores.log_softmax(1).gather(1, targets[:, None])[:, 0].exp()
        # A gradient of 0 to a power below 1 is infinite.
        unsure = (1 - own).clamp_min(torch.finfo(own.dtype).tiny)
        total = len(targets) if self.weights is None else self.weights[targets].sum()
        return (each * unsure**self.gamma).sum() / total


LOSS = Focal
