"""Base class of torch families that classify sequences.

A family's file holds a network with inputs steps (T, B, F) and lengths (B,), or None if all are
equal, and a subclass of :class:`TorchClassifier` with its space and the network's arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from podium.arrays import Floats
from podium.families._base import Classifier, ClassModel
from podium.families._loop import Steps, TorchFamily, Training
from podium.families._losses import Loss, loss_of
from podium.families._sequences import require_same_names, stats_for
from podium.families._torch import one_thread
from podium.families._torch_state import packed, unpacked
from podium.feature_stats import FILE as STATS_FILE
from podium.feature_stats import FeatureStats
from podium.hashing import digest_bytes, json_text
from podium.prediction import ClassPrediction
from podium.sequences import Indices, Sequences, Subset
from podium.space import ConfigDict
from podium.stats.class_figures import accuracy, confusion, macro_f1, weighted_f1

FILE = "best.pt"
# Samples per prediction call: larger batches exceed the processor's caches.
BATCH = 256
# Number of batches among which samples are sorted by length.
TOGETHER = 16


class SequenceModel(ClassModel):
    """A fitted network with its scaling and classes."""

    def __init__(
        self,
        network: nn.Module,
        shape: dict[str, Any],
        stats: FeatureStats,
        class_names: tuple[str, ...],
        epochs: int,
    ) -> None:
        self.network, self._epochs = network.eval(), epochs
        self.shape, self.stats, self.class_names = shape, stats, class_names

    @property
    def epochs(self) -> int:
        """Epoch of the network."""
        return self._epochs

    def predict(self, samples: Subset) -> ClassPrediction:
        """Probabilities of the classes."""
        require_same_names(self.stats.feature_names, self.class_names, samples.sequences)
        batches = Batches.of(samples, self.stats, torch.device("cpu"))
        with one_thread(), torch.inference_mode():
            scores = _scores(self.network, batches, len(self.class_names))
        return ClassPrediction.of(samples, scores.double().softmax(1).numpy())

    def save(self, folder: Path) -> None:
        """Write the scaling and ``best.pt``, which ``torch.load`` opens without running code."""
        state = {
            "model_state_dict": self.network.state_dict(),
            "epoch": self._epochs,
            **_head(self.shape, self.stats, self.class_names),
        }
        (folder / FILE).write_bytes(packed(state))
        (folder / STATS_FILE).write_text(json_text(self.stats.spec()) + "\n")


class _ClassTraining(Training[Subset, ClassModel]):
    def prepare(
        self, family: TorchFamily[Any, Subset, ClassModel]
    ) -> tuple[nn.Module, Loss, Tensor]:
        self.stats, self.class_names = stats_for(*self.parts), self.parts[0].sequences.class_names
        classes = len(self.class_names)
        self.shape = family.shape(self.config, len(self.stats.mean), classes)
        network = family.network(**self.shape).to(self.device)
        parts = [Batches.of(part, self.stats, self.device) for part in self.parts]
        self.samples, *self.validation = parts
        return network, _criterion(self.config, self.samples.truth, classes), self.samples.truth

    def batches(self) -> Sequence[Tensor]:
        return self.samples.shuffled(int(self.config["batch_size"]))

    def inputs(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.samples.at(rows)

    def scores(self, steps: Steps) -> dict[str, float]:
        truth = self.targets[torch.cat(list(steps.rows)).to(self.device)]
        scores = self._judged("train", steps.outputs, truth)
        del scores["train_macro_f1"], scores["train_weighted_f1"]
        for samples in self.validation:
            with torch.inference_mode(), self.precision():
                outputs = _scores(self.network.eval(), samples, len(self.class_names))
            scores |= self._judged("val", outputs, samples.truth)
        return scores | {"learning_rate": float(self.optimizer.param_groups[0]["lr"])}

    def _judged(self, part: str, outputs: Tensor, truth: Tensor) -> dict[str, float]:
        """Loss and scores of a part."""
        chosen = outputs.argmax(1).cpu().numpy()
        counts = confusion(truth.cpu().numpy(), chosen, len(self.class_names))
        return {
            f"{part}_loss": float(self.criterion(outputs, truth)),
            f"{part}_accuracy": accuracy(counts),
            f"{part}_macro_f1": macro_f1(counts),
            f"{part}_weighted_f1": weighted_f1(counts),
        }

    def rank(self, scores: Mapping[str, float]) -> tuple[float, float]:
        return scores["val_macro_f1"], -scores["val_loss"]

    def contents(self) -> list[bytes]:
        data = [(part.sequences.fingerprint.encode(), part.rows.tobytes()) for part in self.parts]
        return [digest_bytes(*part).encode() for part in data]

    def head(self) -> dict[str, Any]:
        return _head(self.shape, self.stats, self.class_names)

    def model(self) -> SequenceModel:
        about = (self.stats, self.class_names, self.best_epoch)
        return SequenceModel(self.network, self.shape, *about)


class TorchClassifier(TorchFamily[Sequences, Subset, ClassModel], Classifier):
    """One network for samples of any length.

    Its config has ``learning_rate``, ``weight_decay``, ``batch_size``, ``max_epochs``, ``loss``,
    ``focal_gamma``, ``label_smoothing``, ``class_weights`` and ``effective_beta``, and optional
    keys of :class:`Training`. The best epoch has the highest macro-F1, and in a tie the lower loss.

    Attributes
    ----------
    network : type of nn.Module
        Gives scores (B, K) before the softmax.
    """

    network: type[nn.Module]
    training = _ClassTraining

    def load(self, read: Callable[[str], bytes]) -> SequenceModel:
        """Network from ``best.pt``; only tensors and plain values are unpickled."""
        state = unpacked(read(FILE), FILE)
        network = self.network(**state["shape"])
        network.load_state_dict(state["model_state_dict"])
        stats = FeatureStats.parse(state["stats"], FILE)
        names = tuple(state["class_names"])
        return SequenceModel(network, state["shape"], stats, names, state["epoch"])


class Batches:
    """Scaled samples in one tensor; a batch is as long as its longest sample.

    Parameters
    ----------
    x : (N, T, F) float32
        Scaled, without missing values.
    lengths : (N,) int64
    truth : (N,) int64
    device : torch.device
    """

    def __init__(
        self, x: NDArray[np.float32], lengths: Indices, truth: Indices, device: torch.device
    ) -> None:
        self.x = torch.from_numpy(x).to(device)
        self.truth = torch.from_numpy(truth).to(device)
        self.lengths = torch.from_numpy(lengths)
        self.device = device
        self.even = bool((self.lengths == self.lengths[:1]).all())

    @classmethod
    def of(cls, part: Subset, stats: FeatureStats, device: torch.device) -> Batches:
        """Batches of a part's samples and classes."""
        x, lengths = part.inputs()
        return cls(stats.apply(x, lengths), lengths, part.truth().astype(np.int64), device)

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Steps (T, B, F) of some rows, and their lengths (B,) if they differ."""
        if self.even:
            return self._steps(rows, int(self.lengths[0])), None
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        same = bool((lengths == longest).all())
        return self._steps(rows, longest), None if same else lengths.to(self.device)

    def _steps(self, rows: Tensor, longest: int) -> Tensor:
        # Contiguous by step: with other strides the LSTM makes copies, forward and backward.
        return self.x[rows.to(self.device)][:, :longest].transpose(0, 1).contiguous()

    def shuffled(self, size: int) -> list[Tensor]:
        """Rows of each batch of an epoch, in a random order.

        If samples differ in length, a batch has samples of similar length, to limit padding; the
        order of batches is random.
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
        """All samples in their order, in batches of ``size``."""
        n = len(self.lengths)
        for start in range(0, n, size):
            yield self.at(torch.arange(start, min(n, start + size)))


def class_weights(counts: Indices, how: str, beta: float) -> Floats:
    """Weight of each class in the loss, (K,), with mean 1 over the training samples.

    Parameters
    ----------
    counts : (K,) int, > 0
        Training samples of each class.
    how : {"none", "inverse_frequency", "effective_number"}
        The last one is ``(1 - beta) / (1 - beta ** count)``: each further sample of a class adds
        ``beta`` times the information of the previous one.
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


def _criterion(config: ConfigDict, truth: Tensor, classes: int) -> Loss:
    counts = np.bincount(truth.cpu().numpy(), minlength=classes)
    weights = class_weights(counts, str(config["class_weights"]), float(config["effective_beta"]))
    name = str(config["loss"])
    more = {"gamma": float(config["focal_gamma"])} if name == "focal" else {}
    given = torch.from_numpy(weights).float().to(truth.device)
    return loss_of(name, weights=given, smoothing=float(config["label_smoothing"]), **more)


def _scores(network: nn.Module, batches: Batches, classes: int) -> Tensor:
    """Scores (N, K) of all samples before the softmax."""
    parts = [network(*batch) for batch in batches.all(BATCH)]
    return torch.cat(parts) if parts else torch.empty(0, classes)


def _head(
    shape: dict[str, Any], stats: FeatureStats, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Values that loading the weights needs."""
    return {"shape": shape, "stats": json_text(stats.spec()), "class_names": list(class_names)}
