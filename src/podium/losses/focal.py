"""Focal loss: cross entropy with less weight for well classified samples."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


class Focal:
    """Mean focal loss over samples, weighted by class.

    Parameters
    ----------
    weights : (K,) tensor of float, optional
        Weight of each class; default: equal.
    smoothing : float in [0, 1)
        Share of each label spread over all classes.
    gamma : float, >= 0
        Exponent of one minus the true class's probability; 0: cross entropy.
    """

    task = "classify"
    outputs = 1

    def __init__(
        self, weights: Tensor | None = None, smoothing: float = 0.0, gamma: float = 2.0
    ) -> None:
        self.weights, self.smoothing, self.gamma = weights, smoothing, gamma

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of scores (B, K) before the softmax and labels (B,)."""
        scores = outputs.float()
        cross_entropy = partial(nn.functional.cross_entropy, scores, targets, self.weights)
        if not self.gamma:
            return cross_entropy(label_smoothing=self.smoothing)
        each = cross_entropy(label_smoothing=self.smoothing, reduction="none")
        probability = scores.log_softmax(1).gather(1, targets[:, None])[:, 0].exp()
        # The gradient of 0 to a power below 1 is infinite.
        rest = (1 - probability).clamp_min(torch.finfo(probability.dtype).tiny)
        total = len(targets) if self.weights is None else self.weights[targets].sum()
        return (each * rest**self.gamma).sum() / total


LOSS = Focal
