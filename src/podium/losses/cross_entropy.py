"""Cross entropy: minus the logarithm of the true class's probability."""

from __future__ import annotations

from torch import Tensor, nn


class CrossEntropy:
    """Mean over samples, weighted by their class.

    Parameters
    ----------
    weights : (K,) tensor of float, optional
        Of each class; default: all alike.
    smoothing : float in [0, 1)
        Share of each label that is spread over all classes.
    """

    task = "classify"
    outputs = 1

    def __init__(self, weights: Tensor | None = None, smoothing: float = 0.0) -> None:
        self.weights, self.smoothing = weights, smoothing

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of scores (B, K) before the softmax; labels (B,)."""
        return nn.functional.cross_entropy(
            outputs.float(), targets, self.weights, label_smoothing=self.smoothing
        )


LOSS = CrossEntropy
