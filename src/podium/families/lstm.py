"""A small LSTM over a window of features, with a linear head; PyTorch."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from podium.arrays import Floats
from podium.families._base import DivergedError, Family, Keep, Model, Report
from podium.families._losses import loss_of
from podium.families._torch import (
    device_of,
    gather,
    one_thread,
    predict_in_batches,
    require_bf16,
)
from podium.families._torch_state import packed, require_same, unpacked
from podium.hashing import digest_bytes
from podium.prediction import Prediction
from podium.space import Choice, ConfigDict, Float, Int, Space, Value
from podium.split import Windows
from podium.trial import BUDGET
from podium.view import View

FILE = "model.pt"
# How many epochs, from the first on, are computed in half the precision: a search's early rungs.
BF16 = "bf16_epochs"


class Network(nn.Module):
    """LSTM, then a linear layer on its last output; scalers are buffers, so they are saved."""

    feature_mean: Tensor
    feature_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(self, n_features: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_features, units, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, 1)
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("feature_std", torch.ones(n_features))
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_std", torch.ones(()))

    def forward(self, windows: Tensor) -> Tensor:
        """Scaled forecasts (B,) of feature windows (B, L, F)."""
        windows = windows.to(self.feature_mean.device)
        output, _ = self.lstm((windows - self.feature_mean) / self.feature_std)
        scaled: Tensor = self.head(self.dropout(output[:, -1])).squeeze(-1)
        return scaled

    def forecast(self, windows: Tensor) -> Tensor:
        """Forecasts (B,) in the target's unit, on the CPU."""
        scaled: Tensor = self(windows)
        return (scaled * self.target_std + self.target_mean).cpu()


class LSTM(Model):
    """A fitted network with the config that shapes it."""

    def __init__(self, network: Network, shape: dict[str, Any], epochs: int) -> None:
        self.network = network.eval()
        self.shape = shape
        self._epochs = epochs

    @property
    def epochs(self) -> int:
        """Epoch this network was taken from."""
        return self._epochs

    @property
    def scaler(self) -> Mapping[str, Any]:
        """Mean and spread of each feature, in their order, and of the target."""
        names = ("feature_mean", "feature_std", "target_mean", "target_std")
        return {name: getattr(self.network, name).tolist() for name in names}

    def predict(self, windows: Windows) -> Prediction:
        """Forecasts of the windows."""
        forecast = predict_in_batches(self.network.forecast, windows)
        level = _level(windows)
        return Prediction.of(windows, forecast if level is None else forecast + level)

    def save(self, folder: Path) -> None:
        """Write ``model.pt``, which ``torch.load`` opens without running code from it."""
        state = {
            "model_state_dict": self.network.state_dict(),
            "shape": self.shape,
            "epochs": self._epochs,
        }
        # Through memory: torch does not name a full disk when it writes the file itself.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        (folder / FILE).write_bytes(buffer.getvalue())


class LSTMFamily(Family):
    """One network for all tickers; it learns from each ticker's windows alike.

    Attributes
    ----------
    device : str
        Where it is trained; no part of a config, since it says nothing about the model. Numbers are
        the same to the bit on a CPU only. Models predict on the CPU.
    """

    name = "lstm"
    each_alone = True
    resumable = True
    loss = "mse"

    def space(self, view: View) -> Space:
        """Size, step and regularization; bounds are what a project may widen them to."""
        del view
        return Space(
            parameters={
                "lstm_units": Choice((16, 32, 64)),
                "learning_rate": Float(5e-4, 1e-2, log=True),
                "batch_size": Choice((64, 128, 256)),
                "dropout": Float(0.0, 0.4),
                "weight_decay": Float(1e-5, 1e-1, log=True),
            },
            constants={"layers": 1, BUDGET: 12},
            usual={
                "lstm_units": 32,
                "learning_rate": 1e-3,
                "batch_size": 64,
                "dropout": 0.1,
                "weight_decay": 1e-3,
            },
            bounds={
                "lstm_units": Int(1, 1024),
                "learning_rate": Float(1e-7, 1.0),
                "batch_size": Int(1, 65536),
                "dropout": Float(0.0, 0.95),
                "weight_decay": Float(0.0, 10.0),
                "layers": Int(1, 8),
                BUDGET: Int(1, 100_000),
                # Not searched, and in no config unless somebody asks for it.
                BF16: Int(0, 100_000),
            },
        )

    def grid(self, view: View) -> Mapping[str, Sequence[Value]]:
        """Step, size and batch: the twelve configs most people would try first."""
        del view
        return {
            "learning_rate": (1e-4, 3e-4, 1e-3),
            "lstm_units": (32, 64),
            "batch_size": (32, 64),
        }

    def priority(self, view: View) -> Sequence[Mapping[str, Value]]:
        """As usual, then faster, larger and smaller, each regularized accordingly."""
        del view
        return [
            {},
            {"learning_rate": 3e-3},
            {"lstm_units": 64, "dropout": 0.2},
            {"lstm_units": 16, "weight_decay": 1e-2},
        ]

    def quick(self, view: View) -> Mapping[str, Sequence[Value]]:
        """Step and size."""
        del view
        return {"learning_rate": (1e-3, 3e-3), "lstm_units": (16, 32, 64)}

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Number of weights."""
        units, layers = int(config["lstm_units"]), int(config["layers"])
        inner = sum(
            4 * units * ((n_features if layer == 0 else units) + units + 2)
            for layer in range(layers)
        )
        return float(inner + units + 1)

    def fit(
        self,
        config: ConfigDict,
        train: Windows,
        validation: Windows | None,
        *,
        seed: int,
        report: Report,
        keep: Keep | None = None,
        parent: Model | None = None,
    ) -> LSTM:
        """Minimize squared error of the scaled target with AdamW; keep the best epoch.

        A state that ``keep`` has is gone on from; it must be of the same config, windows and seed.

        Raises
        ------
        DataError, UsageError
            The state cannot be read; it is of another training; a parent is given.
        DivergedError
            A loss is not finite.
        """
        self.refuse_parent(parent)
        device = device_of(self.device)
        drawing = [torch.cuda.current_device()] if device.type == "cuda" else []
        with one_thread(), torch.random.fork_rng(devices=drawing):
            torch.manual_seed(seed)
            training = _Training(config, train, validation, device)
            question = {} if keep is None else _question(self, config, train, validation, seed)
            begun = None if keep is None else keep.last()
            if begun is not None:
                state = unpacked(begun, "the state to go on from")
                require_same(state, question, BUDGET, "")
                training.restore(state)
                for number, scores in enumerate(training.curve, 1):
                    report(number, scores)
            while training.number < int(config[BUDGET]):
                scores = training.epoch()
                report(training.number, scores)
                if not all(map(math.isfinite, scores.values())):
                    raise DivergedError(f"loss is not finite in epoch {training.number}: {scores}")
                training.remember()
                if keep is not None and keep.wants(training.number):
                    is_best = training.number == training.best_epoch
                    keep.put(training.number, packed(training.state() | question), best=is_best)
            return training.model()

    def load(self, read: Callable[[str], bytes]) -> LSTM:
        """Network from ``model.pt``; only tensors and plain values are unpickled."""
        state = torch.load(io.BytesIO(read(FILE)), weights_only=True)
        network = Network(**state["shape"])
        network.load_state_dict(state["model_state_dict"])
        return LSTM(network, state["shape"], state["epochs"])


FAMILY = LSTMFamily


class _Training:
    """A network on its way: everything that the next epoch depends on."""

    def __init__(
        self,
        config: ConfigDict,
        train: Windows,
        validation: Windows | None,
        device: torch.device,
    ) -> None:
        self.shape: dict[str, Any] = {
            "n_features": train.view.features.shape[2],
            "units": int(config["lstm_units"]),
            "layers": int(config["layers"]),
            "dropout": float(config["dropout"]),
        }
        self.device = device
        self.network = Network(**self.shape).to(device)
        _fit_scalers(self.network, train)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=float(config["learning_rate"]),
            weight_decay=float(config["weight_decay"]),
            fused=device.type != "mps",
        )
        self.criterion = loss_of("mse")
        self.batch_size = int(config["batch_size"])
        self.bf16_epochs = int(config.get(BF16, 0))
        if self.bf16_epochs:
            require_bf16(device)
        self.batch = gather(train)
        truth = torch.from_numpy(_truth(train).astype(np.float32)).to(device)
        self.target = (truth - self.network.target_mean) / self.network.target_std
        self.validation = validation
        self.curve: list[dict[str, float]] = []
        self.best, self.best_loss, self.best_epoch = self.network.state_dict(), math.inf, 0

    @property
    def number(self) -> int:
        """Epochs trained so far."""
        return len(self.curve)

    def epoch(self) -> dict[str, float]:
        """Train one epoch; its scores."""
        network, total = self.network.train(), 0.0
        half = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.number < self.bf16_epochs
        )
        for rows in torch.split(torch.randperm(len(self.target)), self.batch_size):
            self.optimizer.zero_grad()
            with half:
                loss = self.criterion(network(self.batch(rows)), self.target[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            self.optimizer.step()
            total += loss.item() * len(rows)
        variance = float(network.target_std) ** 2
        scores = {"train_loss": total / len(self.target) * variance}
        if self.validation is not None:
            forecast = predict_in_batches(network.eval().forecast, self.validation)
            scores["val_loss"] = float(np.mean((_truth(self.validation) - forecast) ** 2))
        self.curve.append(scores)
        return scores

    def remember(self) -> None:
        """Keep the last epoch's weights where they are the best so far, or nobody judges."""
        current = self.curve[-1].get("val_loss", -math.inf)
        if self.validation is None or current < self.best_loss:
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}
            self.best_loss, self.best_epoch = current, self.number

    def state(self) -> dict[str, Any]:
        """All of it, for :meth:`restore`."""
        return {
            "model_state_dict": self.network.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "epoch": self.number,
            "best": {
                "epoch": self.best_epoch,
                "loss": self.best_loss,
                "model_state_dict": self.best,
            },
            "curve": self.curve,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state() if self.device.type == "cuda" else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where a state was taken."""
        self.network.load_state_dict(state["model_state_dict"])
        self.optimizer.load_state_dict(state["optimizer_state_dict"])
        best = state["best"]
        self.best, self.best_loss, self.best_epoch = (
            best["model_state_dict"],
            best["loss"],
            best["epoch"],
        )
        self.curve = [dict(scores) for scores in state["curve"]]
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"])

    def model(self) -> LSTM:
        """The best epoch's network."""
        self.network.load_state_dict(self.best)
        return LSTM(self.network.cpu(), self.shape, self.best_epoch)


def _question(
    family: Family, config: ConfigDict, train: Windows, validation: Windows | None, seed: int
) -> dict[str, Any]:
    """What a training's numbers depend on; of the data, what is learned and judged by."""
    parts = [train] if validation is None else [train, validation]
    arrays = [array for part in parts for array in (part.item, part.at, part.truth())]
    return {
        "family": family.name,
        "version": family.VERSION,
        "seed": seed,
        "data": digest_bytes(*(array.tobytes() for array in arrays)),
        "config": dict(config),
    }


def _level(windows: Windows) -> Floats | None:
    """What a target adds to at each decision; None: nothing."""
    level = windows.view.level
    return None if level is None else level[windows.at, windows.item]


def _truth(windows: Windows) -> Floats:
    """What the network learns: how far a target moves from its level."""
    level = _level(windows)
    return windows.truth() if level is None else windows.truth() - level


def _fit_scalers(network: Network, train: Windows) -> None:
    """Mean and spread of features and target, from training decisions only."""
    features = torch.from_numpy(train.view.features[train.at, train.item])
    network.feature_mean.copy_(features.mean(0))
    network.feature_std.copy_(features.std(0).clamp_min(1e-6))
    truth = torch.from_numpy(_truth(train))
    network.target_mean.copy_(truth.mean())
    network.target_std.copy_(truth.std().clamp_min(1e-12))
