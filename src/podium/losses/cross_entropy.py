"""Cross entropy: minus the logarithm of the true class's probability."""

from __future__ import annotations

from torch import Tensor, nn


class CrossEntropy:
    """Mean cross entropy over samples, weighted by class.

    Parameters
    ----------
    weights : (K,) tensor of float, optional
        Weight of each class; default: equal.
    smoothing : float in [0, 1)
        Share of each label spread over all classes.
    """

    task = "classify"
    outputs = 1

    def __init__(self, weights: Tensor | None = None, smoothing: float = 0.0) -> None:
        self.weights, self.smoothing = weights, smoothing

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of scores (B, K) before the softmax and labels (B,)."""
        return nn.functional.cross_entropy(
            outputs.float(), targets, self.weights, label_smoothing=self.smoothing
        )


LOSS = CrossEntropy
