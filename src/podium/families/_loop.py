"""The training loop of torch families: best epoch, early stop, pauses, precision, device."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from podium.families._base import AnyFamily, DataT, DivergedError, Keep, ModelT, PartT, Report
from podium.families._losses import Loss
from podium.families._torch import device_of, one_thread, require_bf16
from podium.families._torch_state import packed, require_same, unpacked
from podium.hashing import digest_bytes
from podium.space import Choice, ConfigDict, Float, Int
from podium.trial import BUDGET

# Number of first epochs in half precision, for the early rungs of a search.
BF16 = "bf16_epochs"
# Bounds of user settings for most torch families.
BOUNDS: dict[str, Choice | Int | Float] = {
    "learning_rate": Float(1e-7, 1.0),
    "batch_size": Int(1, 65536),
    "weight_decay": Float(0.0, 10.0),
    BUDGET: Int(1, 100_000),
}


class Steps(NamedTuple):
    """The steps of an epoch: rows, outputs and loss of each batch before its update.

    Parameters
    ----------
    rows : sequence of (B,) tensors
    outputs : (N, ...) tensor
        In the order of the batches' rows.
    losses : (len(rows),) tensor
    """

    rows: Sequence[Tensor]
    outputs: Tensor
    losses: Tensor


class Training(abc.ABC, Generic[PartT, ModelT]):
    """A training in progress: everything that the next epoch depends on.

    Parameters
    ----------
    family : TorchFamily
    config : dict
        ``learning_rate``, ``weight_decay`` and ``max_epochs``. Optional: ``clip_norm``, the largest
        norm of a gradient (0: no limit; default 1), ``patience``, the epochs without improvement
        after which training ends (0: never), ``scheduler`` with ``decay`` and ``decay_epochs``,
        ``amp``, half precision on CUDA, and ``bf16_epochs``.
    parts : list of Windows or of Subset
        Training samples, then validation samples, if any; without them the last epoch is the best.
    device : torch.device

    Attributes
    ----------
    shape : dict
        Arguments of the network.
    """

    shape: dict[str, Any]

    def __init__(
        self,
        family: TorchFamily[Any, PartT, ModelT],
        config: ConfigDict,
        parts: list[PartT],
        device: torch.device,
    ) -> None:
        self.config, self.parts, self.device = config, parts, device
        if config.get(BF16):
            require_bf16(device)
        self.network, self.criterion, self.targets = self.prepare(family)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=float(config["learning_rate"]),
            weight_decay=float(config["weight_decay"]),
            fused=device.type != "mps",
        )
        self.scheduler = _scheduler(config, self.optimizer)
        self.half = bool(config.get("amp")) and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.half)
        self.curve: list[dict[str, float]] = []
        self.best, self.best_epoch = self._weights(), 0

    @abc.abstractmethod
    def prepare(self, family: TorchFamily[Any, PartT, ModelT]) -> tuple[nn.Module, Loss, Tensor]:
        """Network on the device, loss of its outputs, and targets (N, ...) of the training part."""

    @abc.abstractmethod
    def batches(self) -> Sequence[Tensor]:
        """Rows of each batch of the next epoch."""

    @abc.abstractmethod
    def inputs(self, rows: Tensor) -> tuple[Any, ...]:
        """Arguments of the network for some rows."""

    @abc.abstractmethod
    def scores(self, steps: Steps) -> dict[str, float]:
        """Scores of an epoch after its steps, including ``train_loss`` and ``val_loss``."""

    @abc.abstractmethod
    def contents(self) -> Sequence[bytes]:
        """Training and validation samples as bytes for a hash."""

    @abc.abstractmethod
    def model(self) -> ModelT:
        """Model of the current network."""

    def head(self) -> dict[str, Any]:
        """Values that loading the weights needs; a part of each state."""
        return {"shape": self.shape}

    def rank(self, scores: Mapping[str, float]) -> tuple[float, ...]:
        """Sort key of an epoch; the best epoch has the largest."""
        return (-scores["val_loss"],)

    @property
    def number(self) -> int:
        """Epochs trained so far."""
        return len(self.curve)

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or patience is exhausted."""
        waited = self.number - self.best_epoch
        ended = self.number >= int(self.config[BUDGET])
        return ended or 0 < int(self.config.get("patience", 0)) <= waited

    def epoch(self) -> dict[str, float]:
        """Train one epoch and return its scores."""
        self.network.train()
        scores = self.scores(self._steps())
        self.curve.append(scores)
        if isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(scores.get("val_loss", scores["train_loss"]))
        else:
            self.scheduler.step()
        if len(self.parts) == 1 or not self.best_epoch or self._improved():
            self.best, self.best_epoch = self._weights(), self.number
        return scores

    def _improved(self) -> bool:
        """Whether the last epoch is better than the best one."""
        return self.rank(self.curve[-1]) > self.rank(self.curve[self.best_epoch - 1])

    def precision(self) -> AbstractContextManager[Any]:
        """Context of the network's precision in this epoch."""
        if self.number < int(self.config.get(BF16, 0)):
            return torch.autocast(self.device.type, torch.bfloat16)
        return torch.autocast("cuda", torch.float16) if self.half else nullcontext()

    def _steps(self) -> Steps:
        batches, end = self.batches(), 0
        # Two blocks of memory per epoch: small tensors per step would fragment memory. Values are
        # read after the epoch, since a read waits for the device.
        losses, every = torch.empty(len(batches), device=self.device), torch.empty(0)
        for step, rows in enumerate(batches):
            outputs, losses[step] = self._step(rows)
            if not step:
                every = outputs.new_empty((sum(map(len, batches)), *outputs.shape[1:]))
            start, end = end, end + len(rows)
            every[start:end] = outputs
        return Steps(batches, every, losses)

    def _step(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        most = float(self.config.get("clip_norm", 1.0))
        self.optimizer.zero_grad()
        with self.precision():
            outputs = self.network(*self.inputs(rows))
        loss = self.criterion(outputs.float(), self.targets[rows.to(self.device)])
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if most:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), most)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return outputs.detach(), loss.detach()

    def _weights(self) -> dict[str, Tensor]:
        """Copy of the current weights on the CPU."""
        state = self.network.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    def _kept(self) -> dict[str, Any]:
        """Components with a state dict."""
        return {
            "model_state_dict": self.network,
            "optimizer_state_dict": self.optimizer,
            "scheduler_state_dict": self.scheduler,
            "scaler_state_dict": self.scaler,
        }

    def state(self) -> dict[str, Any]:
        """Complete state for :meth:`restore`."""
        cuda = torch.cuda.get_rng_state() if self.device.type == "cuda" else None
        return {
            **{name: part.state_dict() for name, part in self._kept().items()},
            "epoch": self.number,
            "best": {"epoch": self.best_epoch, "model_state_dict": self.best},
            "curve": self.curve,
            "random": {"torch": torch.get_rng_state(), "cuda": cuda},
            **self.head(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state of :meth:`state`."""
        for name, part in self._kept().items():
            part.load_state_dict(state[name])
        self.best, self.best_epoch = state["best"]["model_state_dict"], state["best"]["epoch"]
        self.curve = [dict(scores) for scores in state["curve"]]
        torch.set_rng_state(state["random"]["torch"])
        if self.device.type == "cuda" and state["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(state["random"]["cuda"])

    def best_model(self) -> ModelT:
        """Model of the best epoch's network, on the CPU."""
        self.network.load_state_dict(self.best)
        self.network.cpu()
        return self.model()


class TorchFamily(AnyFamily[DataT, PartT, ModelT]):
    """A family whose models are torch networks, trained by AdamW epoch by epoch.

    Results are reproducible bit for bit only on the CPU, where models also predict.

    Attributes
    ----------
    network : type of nn.Module
    training : type of Training
    """

    resumable = True
    network: type[Any]
    training: type[Training[PartT, ModelT]]

    @abc.abstractmethod
    def shape(self, config: ConfigDict, n_features: int, n_outputs: int) -> dict[str, Any]:
        """Arguments of the network as plain values, which are saved with the weights."""

    def fit(
        self,
        config: ConfigDict,
        train: PartT,
        validation: PartT | None,
        *,
        seed: int,
        report: Report,
        keep: Keep | None = None,
        parent: ModelT | None = None,
    ) -> ModelT:
        """Train a network and keep its best epoch.

        Resumes from a state of ``keep``, which must have the same config, samples and seed.

        Raises
        ------
        DataError
            Unusable samples, or a state that cannot be read.
        UsageError
            The state is of another training, the device does not exist, or a parent is given.
        DivergedError
            A loss is not finite.
        """
        self.refuse_parent(parent)
        device = device_of(self.device)
        drawing = [torch.cuda.current_device()] if device.type == "cuda" else []
        with one_thread(), torch.random.fork_rng(devices=drawing):
            torch.manual_seed(seed)
            parts = [train] if validation is None else [train, validation]
            training = self.training(self, config, parts, device)
            question: dict[str, Any] = {}
            if keep is not None:
                question = {
                    "family": self.name,
                    "version": self.VERSION,
                    "seed": seed,
                    "data": digest_bytes(*training.contents()),
                    "config": dict(config),
                }
                before = keep.last()
                if before is not None:
                    state = unpacked(before, "the state to resume from")
                    require_same(state, question)
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
            return training.best_model()


def _scheduler(config: ConfigDict, optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    every, factor = int(config.get("decay_epochs", 1)), float(config.get("decay", 1.0))
    match config.get("scheduler"):
        case "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, int(config[BUDGET]))
        case "plateau":
            return lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=every - 1)
        case "step":
            return lr_scheduler.StepLR(optimizer, every, factor)
        case _:
            return lr_scheduler.ConstantLR(optimizer, factor=1.0)
