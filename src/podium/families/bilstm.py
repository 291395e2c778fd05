"""An LSTM that reads labelled sequences in both directions and classifies them; PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from podium.arrays import Floats
from podium.families._base import Classifier, ClassModel, DivergedError, Keep, Report
from podium.families._losses import Loss, loss_of
from podium.families._sequences import require_kin, stats_for
from podium.families._torch import device_of, one_thread
from podium.families._torch_sequences import Batches, Classifying, class_weights
from podium.families._torch_state import packed, require_same, unpacked
from podium.feature_stats import FILE as STATS_FILE
from podium.feature_stats import FeatureStats
from podium.hashing import digest_bytes, json_text
from podium.prediction import ClassPrediction
from podium.sequences import Sequences, Subset
from podium.space import Choice, ConfigDict, Float, Int, Space, Value
from podium.stats.classification import accuracy, confusion, macro_f1, weighted_f1
from podium.trial import BUDGET

FILE = "best.pt"
LOSSES = ("cross_entropy", "focal")
WEIGHTS = ("none", "inverse_frequency", "effective_number")
# Samples that are predicted at once: more of them leave the processor's caches.
BATCH = 256
SCHEDULERS = ("constant", "cosine", "plateau", "step")


class BiLSTM(ClassModel):
    """A fitted network with what it must know of its samples."""

    def __init__(
        self,
        network: Classifying,
        shape: dict[str, Any],
        stats: FeatureStats,
        class_names: tuple[str, ...],
        epochs: int,
    ) -> None:
        self.network = network.eval()
        self.shape = shape
        self.stats = stats
        self.class_names = class_names
        self._epochs = epochs

    @property
    def epochs(self) -> int:
        """Epoch this network was taken from."""
        return self._epochs

    def predict(self, asked: Subset) -> ClassPrediction:
        """Probabilities of the samples' classes."""
        require_kin(self.stats.feature_names, self.class_names, asked.sequences)
        x, lengths = asked.inputs()
        batches = Batches(self.stats.apply(x, lengths), lengths, torch.device("cpu"))
        with one_thread(), torch.inference_mode():
            scores = _scores(self.network, batches)
        return ClassPrediction.of(asked, _probabilities(scores))

    def save(self, folder: Path) -> None:
        """Write ``best.pt``, which ``torch.load`` opens without running code, and the scaling."""
        state = {
            "model_state_dict": self.network.state_dict(),
            "epoch": self._epochs,
            **_head(self.shape, self.stats, self.class_names),
        }
        (folder / FILE).write_bytes(packed(state))
        (folder / STATS_FILE).write_text(json_text(self.stats.spec()) + "\n")


class BiLSTMFamily(Classifier):
    """One network for all samples, of whatever length.

    Attributes
    ----------
    device : {"cpu", "cuda", "mps", "auto"}
        Where it is trained; no part of a config, since it says nothing about the model. Numbers are
        the same to the bit on a CPU only. Models predict on the CPU.
    """

    name = "bilstm"
    resumable = True

    def space(self, data: Sequences) -> Space:
        """Size, step, regularization and the weight of rare classes.

        Constants: ``loss`` is the cross entropy or the focal loss with ``focal_gamma``,
        ``effective_beta`` belongs to the weights by effective number, ``clip_norm`` is the largest
        norm of a gradient (0: any), ``patience`` the epochs without a better macro-F1 after which
        training ends (0: never), ``amp`` half precision where it is trained on CUDA. The learning
        rate is multiplied by ``decay`` every ``decay_epochs`` (``step``) or after as many without a
        lower validation loss (``plateau``); with ``cosine`` it falls to 0 at the last epoch.
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
                "dropout": Float(0.0, 0.95),
                "learning_rate": Float(1e-7, 1.0),
                "batch_size": Int(1, 65536),
                "weight_decay": Float(0.0, 10.0),
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
                BUDGET: Int(1, 100_000),
            },
        )

    def grid(self, data: Sequences) -> Mapping[str, Sequence[Value]]:
        """Size, step and the weight of rare classes."""
        del data
        return {
            "hidden_size": (32, 64),
            "learning_rate": (1e-3, 3e-3),
            "class_weights": WEIGHTS,
        }

    def priority(self, data: Sequences) -> Sequence[Mapping[str, Value]]:
        """As usual, then with other weights of rare classes, then smaller."""
        del data
        return [
            {},
            {"class_weights": "none"},
            {"loss": "focal", "class_weights": "none"},
            {"hidden_size": 32, "num_layers": 1},
        ]

    def quick(self, data: Sequences) -> Mapping[str, Sequence[Value]]:
        """Size and step."""
        del data
        return {"hidden_size": (32, 64), "learning_rate": (1e-3, 3e-3)}

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Number of weights, without the head's."""
        units, layers = int(config["hidden_size"]), int(config["num_layers"])
        ways = 2 if config["bidirectional"] else 1
        sizes = [n_features] + [ways * units] * (layers - 1)
        return float(sum(ways * 4 * units * (size + units + 2) for size in sizes))

    def fit(
        self,
        config: ConfigDict,
        train: Subset,
        validation: Subset | None,
        *,
        seed: int,
        report: Report,
        keep: Keep | None = None,
        parent: ClassModel | None = None,
    ) -> BiLSTM:
        """Minimize the weighted loss with AdamW; keep the epoch of the best macro-F1.

        Of two epochs with the same macro-F1 the one with the lower loss is better, of two with the
        same loss the earlier one. A state that ``keep`` has is gone on from; it must be of the same
        config, samples and seed.

        Raises
        ------
        DataError
            Samples that cannot be learned from.
        UsageError
            The state is of another training; there is no such device; a parent is given.
        DivergedError
            A loss is not finite.
        """
        stats = stats_for(train, validation)
        self.refuse_parent(parent)
        device = device_of(self.device)
        drawing = [torch.cuda.current_device()] if device.type == "cuda" else []
        with one_thread(), torch.random.fork_rng(devices=drawing):
            torch.manual_seed(seed)
            training = _Training(config, train, validation, stats, device)
            question = {} if keep is None else _question(self, config, train, validation, seed)
            begun = None if keep is None else keep.last()
            if begun is not None:
                state = unpacked(begun, "the state to go on from")
                cosine = "a cosine's learning rate depends on it from the first epoch on"
                fixed = cosine if config["scheduler"] == "cosine" else ""
                require_same(state, question, BUDGET, fixed)
                training.restore(state)
                for number, scores in enumerate(training.curve, 1):
                    report(number, scores)
            while not training.done:
                scores = training.epoch()
                report(training.number, scores)
                if not all(map(math.isfinite, scores.values())):
                    raise DivergedError(f"loss is not finite in epoch {training.number}: {scores}")
                if keep is not None and keep.wants(training.number):
                    is_best = training.number == training.best_epoch
                    keep.put(training.number, packed(training.state() | question), best=is_best)
            return training.model()

    def load(self, read: Callable[[str], bytes]) -> BiLSTM:
        """Network from ``best.pt``; only tensors and plain values are unpickled."""
        state = unpacked(read(FILE), FILE)
        network = Classifying(**state["shape"])
        network.load_state_dict(state["model_state_dict"])
        stats = FeatureStats.parse(state["stats"], FILE)
        return BiLSTM(network, state["shape"], stats, tuple(state["class_names"]), state["epoch"])


CLASSIFIER = BiLSTMFamily


class _Training:
    """A network on its way: everything that the next epoch depends on."""

    def __init__(
        self,
        config: ConfigDict,
        train: Subset,
        validation: Subset | None,
        stats: FeatureStats,
        device: torch.device,
    ) -> None:
        self.config, self.stats, self.device = config, stats, device
        self.class_names = train.sequences.class_names
        self.shape: dict[str, Any] = {
            "n_features": len(stats.mean),
            "n_classes": len(self.class_names),
            "units": int(config["hidden_size"]),
            "layers": int(config["num_layers"]),
            "dropout": float(config["dropout"]),
            "bidirectional": bool(config["bidirectional"]),
        }
        self.network = Classifying(**self.shape).to(device)
        self.batches, self.truth = _on(device, train, stats)
        self.validation = None if validation is None else _on(device, validation, stats)
        self.criterion = _criterion(config, self.truth, len(self.class_names))
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=float(config["learning_rate"]),
            weight_decay=float(config["weight_decay"]),
            fused=device.type != "mps",
        )
        self.scheduler = _scheduler(config, self.optimizer)
        half = bool(config["amp"]) and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=half)
        self.half = torch.autocast("cuda", torch.float16) if half else nullcontext()
        self.curve: list[dict[str, float]] = []
        self.best = _weights(self.network)
        self.best_epoch = 0

    @property
    def number(self) -> int:
        """Epochs trained so far."""
        return len(self.curve)

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or none was better for too long."""
        patience = int(self.config["patience"])
        waited = self.number - self.best_epoch
        return self.number >= int(self.config[BUDGET]) or 0 < patience <= waited

    def epoch(self) -> dict[str, float]:
        """Train one epoch; its scores."""
        rate = float(self.optimizer.param_groups[0]["lr"])
        rows, scores = self._train()
        found = self._judged("train", scores, self.truth[rows.to(self.device)])
        del found["train_macro_f1"], found["train_weighted_f1"]
        if self.validation is not None:
            batches, truth = self.validation
            with torch.inference_mode(), self.half:
                scores = _scores(self.network.eval(), batches)
            found |= self._judged("val", scores, truth)
        self.curve.append(found | {"learning_rate": rate})
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(found.get("val_loss", found["train_loss"]))
        else:
            self.scheduler.step()
        if self.validation is None or not self.best_epoch or self._better():
            self.best, self.best_epoch = _weights(self.network), self.number
        return self.curve[-1]

    def _train(self) -> tuple[Tensor, Tensor]:
        """Rows in the order they were trained on, and the scores each had at that time."""
        self.network.train()
        most = float(self.config["clip_norm"])
        order = self.batches.shuffled(int(self.config["batch_size"]))
        seen = []
        for rows in order:
            self.optimizer.zero_grad()
            with self.half:
                scores = self.network(*self.batches.at(rows))
            loss = self.criterion(scores, self.truth[rows.to(self.device)])
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if most:
                self.scaler.unscale_(self.optimizer)
                nn.utils.clip_grad_norm_(self.network.parameters(), most)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            # Judged when the epoch is over: a number asked for here would wait for the device.
            seen.append(scores.detach())
        return torch.cat(order), torch.cat(seen)

    def _judged(self, part: str, scores: Tensor, truth: Tensor) -> dict[str, float]:
        """Loss and scores of a part."""
        chosen = scores.argmax(1).cpu().numpy()
        counts = confusion(truth.cpu().numpy(), chosen, len(self.class_names))
        return {
            f"{part}_loss": float(self.criterion(scores, truth)),
            f"{part}_accuracy": accuracy(counts),
            f"{part}_macro_f1": macro_f1(counts),
            f"{part}_weighted_f1": weighted_f1(counts),
        }

    def _better(self) -> bool:
        """Whether the last epoch is better than the best before it."""
        last, best = (
            (scores["val_macro_f1"], -scores["val_loss"])
            for scores in (self.curve[-1], self.curve[self.best_epoch - 1])
        )
        return last > best

    def state(self) -> dict[str, Any]:
        """All of it, for :meth:`restore`."""
        cuda = torch.cuda.get_rng_state() if self.device.type == "cuda" else None
        return {
            "model_state_dict": self.network.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "scheduler_state_dict": self.scheduler.state_dict(),
            "scaler_state_dict": self.scaler.state_dict(),
            "epoch": self.number,
            "best": {"epoch": self.best_epoch, "model_state_dict": self.best},
            "curve": self.curve,
            "random": {"torch": torch.get_rng_state(), "cuda": cuda},
            **_head(self.shape, self.stats, self.class_names),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where a state was taken."""
        self.network.load_state_dict(state["model_state_dict"])
        self.optimizer.load_state_dict(state["optimizer_state_dict"])
        self.scheduler.load_state_dict(state["scheduler_state_dict"])
        self.scaler.load_state_dict(state["scaler_state_dict"])
        self.best, self.best_epoch = state["best"]["model_state_dict"], state["best"]["epoch"]
        self.curve = [dict(scores) for scores in state["curve"]]
        torch.set_rng_state(state["random"]["torch"])
        if self.device.type == "cuda" and state["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(state["random"]["cuda"])

    def model(self) -> BiLSTM:
        """The best epoch's network."""
        network = Classifying(**self.shape)
        network.load_state_dict(self.best)
        return BiLSTM(network, self.shape, self.stats, self.class_names, self.best_epoch)


def _on(device: torch.device, part: Subset, stats: FeatureStats) -> tuple[Batches, Tensor]:
    """Scaled inputs and labels of a part on the device."""
    x, lengths = part.inputs()
    truth = torch.from_numpy(part.truth().astype(np.int64))
    return Batches(stats.apply(x, lengths), lengths, device), truth.to(device)


def _criterion(config: ConfigDict, truth: Tensor, classes: int) -> Loss:
    counts = np.bincount(truth.cpu().numpy(), minlength=classes)
    weights = class_weights(counts, str(config["class_weights"]), float(config["effective_beta"]))
    name = str(config["loss"])
    more = {"gamma": float(config["focal_gamma"])} if name == "focal" else {}
    given = torch.from_numpy(weights).float().to(truth.device)
    return loss_of(name, weights=given, smoothing=float(config["label_smoothing"]), **more)


def _scheduler(
    config: ConfigDict, optimizer: torch.optim.Optimizer
) -> torch.optim.lr_scheduler.LRScheduler:
    every, factor = int(config["decay_epochs"]), float(config["decay"])
    kinds = torch.optim.lr_scheduler
    match config["scheduler"]:
        case "cosine":
            return kinds.CosineAnnealingLR(optimizer, int(config[BUDGET]))
        case "plateau":
            return kinds.ReduceLROnPlateau(optimizer, factor=factor, patience=every - 1)
        case "step":
            return kinds.StepLR(optimizer, every, factor)
        case _:
            return kinds.ConstantLR(optimizer, factor=1.0)


def _scores(network: Classifying, batches: Batches) -> Tensor:
    """Scores (N, K) of all samples before the softmax."""
    found = [network(*batch) for batch in batches.all(BATCH)]
    return torch.cat(found) if found else torch.empty(0, network.head.out_features)


def _probabilities(scores: Tensor) -> Floats:
    found: Floats = scores.double().softmax(1).numpy()
    return found


def _weights(network: Classifying) -> dict[str, Tensor]:
    """A copy of the weights as they are now, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _head(
    shape: dict[str, Any], stats: FeatureStats, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """What a network's weights are of no use without."""
    return {"shape": shape, "stats": json_text(stats.spec()), "class_names": list(class_names)}


def _question(
    family: Classifier, config: ConfigDict, train: Subset, validation: Subset | None, seed: int
) -> dict[str, Any]:
    """What a training's numbers depend on, beside the machine."""
    parts = [train] if validation is None else [train, validation]
    data = [(part.sequences.fingerprint.encode(), part.rows.tobytes()) for part in parts]
    return {
        "family": family.name,
        "version": family.VERSION,
        "seed": seed,
        "data": digest_bytes(*(digest_bytes(*part).encode() for part in data)),
        "config": dict(config),
    }
