"""What a network that classifies sequences is made of: layers both ways, batches, weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from podium.arrays import Floats
from podium.sequences import Indices

# Batches that are made of samples of like length together.
TOGETHER = 16


class Recurrent(nn.Module):
    """LSTM layers over samples of their own lengths, in one direction or both.

    Samples are not packed: on a CPU torch runs a packed LSTM without its fused kernel, three times
    as slow. Instead each sample is turned round within its own length for the layer that reads
    backwards, so that both directions begin at a step that counts, and what they have read when
    they come to the other end is taken there. What stands behind a sample is read after that.

    Parameters
    ----------
    n_features, units, layers : int
    dropout : float
        Between layers.
    bidirectional : bool
    """

    def __init__(
        self, n_features: int, units: int, layers: int, dropout: float, bidirectional: bool
    ) -> None:
        super().__init__()
        ways = 2 if bidirectional else 1
        sizes = [n_features] + [ways * units] * (layers - 1)
        self.ahead = nn.ModuleList(nn.LSTM(size, units) for size in sizes)
        self.back = nn.ModuleList(nn.LSTM(size, units) for size in sizes if bidirectional)
        self.dropout = _dropout(dropout)
        self.width = ways * units

    def forward(self, steps: Tensor, lengths: Tensor | None) -> Tensor:
        """What was read of each sample, (B, ways * H).

        Parameters
        ----------
        steps : (T, B, F)
        lengths : (B,), or None
            None: every sample has T steps.
        """
        sample = torch.arange(steps.shape[1], device=steps.device)
        place = sample
        if lengths is not None:
            back = lengths - 1 - torch.arange(len(steps), device=steps.device)[:, None]
            place = back.clamp_min(0)[:, :, None]

        def turned(values: Tensor) -> Tensor:
            if lengths is None:
                return values.flip(0)
            return torch.take_along_dim(values, place, 0)

        def end(found: tuple[Tensor, tuple[Tensor, Tensor]]) -> Tensor:
            # The last state is the last output, and its gradient is not spread over all steps.
            return found[1][0][0] if lengths is None else found[0][lengths - 1, sample]

        for number, ahead in enumerate(self.ahead):
            read = [ahead(steps)]
            if len(self.back):
                read.append(self.back[number](turned(steps)))
            if number < len(self.ahead) - 1:
                outputs = [found[0] for found in read]
                steps = self.dropout(torch.cat([outputs[0], *map(turned, outputs[1:])], dim=2))
        return torch.cat([end(found) for found in read], dim=1)


class Classifying(nn.Module):
    """Recurrent layers and a linear one on what they read."""

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        units: int,
        layers: int,
        dropout: float,
        bidirectional: bool,
    ) -> None:
        super().__init__()
        self.recurrent = Recurrent(n_features, units, layers, dropout, bidirectional)
        self.dropout = _dropout(dropout)
        self.head = nn.Linear(self.recurrent.width, n_classes)

    def forward(self, steps: Tensor, lengths: Tensor | None) -> Tensor:
        """Scores (B, K) before the softmax, of steps (T, B, F)."""
        scores: Tensor = self.head(self.dropout(self.recurrent(steps, lengths)))
        return scores


def _dropout(share: float) -> nn.Module:
    # torch draws a mask for a share of 0 too.
    return nn.Dropout(share) if share else nn.Identity()


class Batches:
    """Scaled samples in one tensor; a batch is no longer than its longest sample.

    Parameters
    ----------
    x : (N, T, F) float32
        Scaled, nothing missing.
    lengths : (N,) int64
    device : torch.device
    """

    def __init__(self, x: NDArray[np.float32], lengths: Indices, device: torch.device) -> None:
        self.x = torch.from_numpy(x).to(device)
        self.lengths = torch.from_numpy(lengths)
        self.device = device
        self.even = bool((self.lengths == self.lengths[:1]).all())

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Steps (T, B, F) of some rows, and their lengths (B,) where they differ."""
        if self.even:
            return self._steps(rows, int(self.lengths[0])), None
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        same = bool((lengths == longest).all())
        return self._steps(rows, longest), None if same else lengths.to(self.device)

    def _steps(self, rows: Tensor, longest: int) -> Tensor:
        # Laid out step by step: of other strides the LSTM makes copies, forward and backward.
        return self.x[rows.to(self.device)][:, :longest].transpose(0, 1).contiguous()

    def shuffled(self, size: int) -> list[Tensor]:
        """Rows of each batch of an epoch, in a random order.

        Where samples differ in length, those of a batch are of like length, so that few steps are
        padding; batches of all lengths are mixed.
        """
        order = torch.randperm(len(self.lengths))
        if self.even:
            return list(torch.split(order, size))
        batches: list[Tensor] = []
        for chunk in torch.split(order, size * TOGETHER):
            near = torch.split(chunk[torch.argsort(self.lengths[chunk], stable=True)], size)
            batches += [near[k] for k in torch.randperm(len(near)).tolist()]
        return batches

    def all(self, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Every sample in its order."""
        n = len(self.lengths)
        for start in range(0, n, size):
            yield self.at(torch.arange(start, min(n, start + size)))


def class_weights(counts: Indices, how: str, beta: float) -> Floats:
    """Weight of each class in the loss, (K,), their mean over the training samples 1.

    Parameters
    ----------
    counts : (K,) int, > 0
        Training samples of each class.
    how : {"none", "inverse_frequency", "effective_number"}
        The latter weighs by ``(1 - beta) / (1 - beta ** count)``: the next sample of a class brings
        ``beta`` times as much that is new as the one before.
    beta : float in [0, 1)

    Examples
    --------
    >>> class_weights(np.array([6, 2]), "inverse_frequency", 0.0).round(4).tolist()
    [0.6667, 2.0]
    """
    if how == "none":
        return np.ones(len(counts))
    worth = counts if how == "inverse_frequency" else (1 - beta**counts) / (1 - beta)
    weights: Floats = counts.sum() / (worth * (counts / worth).sum())
    return weights
