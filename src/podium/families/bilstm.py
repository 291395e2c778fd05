"""A bidirectional LSTM that classifies sequences; PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from podium.families._loop import BOUNDS
from podium.families._torch_classifier import TorchClassifier
from podium.sequences import Sequences
from podium.space import Choice, ConfigDict, Float, Int, Space, Value
from podium.trial import BUDGET

LOSSES = ("cross_entropy", "focal")
WEIGHTS = ("none", "inverse_frequency", "effective_number")
SCHEDULERS = ("constant", "cosine", "plateau", "step")


class Recurrent(nn.Module):
    """LSTM layers over samples of different lengths, in one direction or both.

    Samples are not packed: on a CPU torch runs a packed LSTM without its fused kernel, three times
    as slow. Instead each sample is reversed within its length for the backward layer, so that both
    directions start at a valid step, and the outputs at a sample's last valid step are used.
    Padding is read only after it.

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
        """Outputs of each sample, (B, ways * H).

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

        def end(outputs: tuple[Tensor, tuple[Tensor, Tensor]]) -> Tensor:
            # The last state is the last output; its gradient needs no array of all steps.
            return outputs[1][0][0] if lengths is None else outputs[0][lengths - 1, sample]

        for number, ahead in enumerate(self.ahead):
            read = [ahead(steps)]
            if len(self.back):
                read.append(self.back[number](turned(steps)))
            if number < len(self.ahead) - 1:
                outputs = [found[0] for found in read]
                steps = self.dropout(torch.cat([outputs[0], *map(turned, outputs[1:])], dim=2))
        return torch.cat([end(found) for found in read], dim=1)


class Classifying(nn.Module):
    """Recurrent layers and a linear layer on their outputs."""

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
    # torch draws a mask even for a probability of 0.
    return nn.Dropout(share) if share else nn.Identity()


class BiLSTMFamily(TorchClassifier):
    """One network for samples of any length."""

    name = "bilstm"
    network = Classifying

    def space(self, data: Sequences) -> Space:
        """Size, learning rate, regularization and class weights.

        Constants: ``loss`` is the cross entropy or the focal loss with ``focal_gamma``,
        ``effective_beta`` belongs to the weights by effective number, ``clip_norm`` is the largest
        norm of a gradient (0: no limit), ``patience`` the epochs without a better macro-F1 after
        which training ends (0: never), ``amp`` half precision on CUDA. The learning rate is
        multiplied by ``decay`` every ``decay_epochs`` (``step``) or after as many without a lower
        validation loss (``plateau``); with ``cosine`` it falls to 0 at the last epoch.
        """
        del data
        return Space(
            parameters={
                "hidden_size": Choice((32, 64, 128)),
                "num_layers": Choice((1, 2)),
                "dropout": Float(0.0, 0.5),
                "learning_rate": Float(3e-4, 1e-2, log=True),
                "batch_size": Choice((64, 128, 256)),
                "weight_decay": Float(1e-6, 1e-1, log=True),
                "class_weights": Choice(WEIGHTS),
            },
            constants={
                "bidirectional": True,
                "loss": "cross_entropy",
                "focal_gamma": 2.0,
                "effective_beta": 0.999,
                "label_smoothing": 0.0,
                "clip_norm": 1.0,
                "scheduler": "constant",
                "decay": 0.5,
                "decay_epochs": 5,
                "patience": 0,
                "amp": False,
                BUDGET: 15,
            },
            usual={
                "hidden_size": 64,
                "num_layers": 2,
                "dropout": 0.1,
                "learning_rate": 3e-3,
                "batch_size": 64,
                "weight_decay": 1e-3,
                "class_weights": "effective_number",
            },
            bounds={
                "hidden_size": Int(1, 4096),
                "num_layers": Int(1, 16),
                **BOUNDS,
                "dropout": Float(0.0, 0.95),
                "bidirectional": Choice((True, False)),
                "loss": Choice(LOSSES),
                "focal_gamma": Float(0.0, 10.0),
                "effective_beta": Float(0.0, 0.9999999),
                "label_smoothing": Float(0.0, 0.9),
                "clip_norm": Float(0.0, 1e6),
                "scheduler": Choice(SCHEDULERS),
                "decay": Float(1e-3, 1.0),
                "decay_epochs": Int(1, 10_000),
                "patience": Int(0, 10_000),
                "amp": Choice((True, False)),
            },
        )

    def grid(self, data: Sequences) -> Mapping[str, Sequence[Value]]:
        """Size, learning rate and class weights."""
        del data
        return {"hidden_size": (32, 64), "learning_rate": (1e-3, 3e-3), "class_weights": WEIGHTS}

    def priority(self, data: Sequences) -> Sequence[Mapping[str, Value]]:
        """The usual config, then other class weights, then a smaller network."""
        del data
        return [
            {},
            {"class_weights": "none"},
            {"loss": "focal", "class_weights": "none"},
            {"hidden_size": 32, "num_layers": 1},
        ]

    def quick(self, data: Sequences) -> Mapping[str, Sequence[Value]]:
        """Size and learning rate."""
        del data
        return {"hidden_size": (32, 64), "learning_rate": (1e-3, 3e-3)}

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Number of weights, without the head."""
        units, layers = int(config["hidden_size"]), int(config["num_layers"])
        ways = 2 if config["bidirectional"] else 1
        sizes = [n_features] + [ways * units] * (layers - 1)
        return float(sum(ways * 4 * units * (size + units + 2) for size in sizes))

    def shape(self, config: ConfigDict, n_features: int, n_outputs: int) -> dict[str, Any]:
        """Sizes, dropout and directions of the network."""
        return {
            "n_features": n_features,
            "n_classes": n_outputs,
            "units": int(config["hidden_size"]),
            "layers": int(config["num_layers"]),
            "dropout": float(config["dropout"]),
            "bidirectional": bool(config["bidirectional"]),
        }


CLASSIFIER = BiLSTMFamily
