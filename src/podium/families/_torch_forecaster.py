"""Base class of torch families that forecast: windows, scaling, files.

A family's file holds a :class:`ScaledNetwork` and a subclass of :class:`TorchForecaster` with its
space and the network's arguments.
"""

from __future__ import annotations

import abc
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from podium.arrays import Floats
from podium.errors import UsageError
from podium.families._base import Family, Model
from podium.families._loop import Steps, TorchFamily, Training
from podium.families._losses import Loss, loss_of
from podium.families._series import above_level, truth_above_level
from podium.families._torch import one_thread
from podium.families._torch_state import written
from podium.prediction import Prediction
from podium.space import ConfigDict
from podium.split import Windows
from podium.stats import pinball
from podium.view import View

FILE = "model.pt"
# Windows per forecast call.
BATCH = 1024


class ScaledNetwork(nn.Module, abc.ABC):
    """Network from scaled features to a scaled target; the scales are saved with it.

    Parameters
    ----------
    n_features : int
    """

    feature_mean: Tensor
    feature_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("feature_std", torch.ones(n_features))
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_std", torch.ones(()))

    @abc.abstractmethod
    def read(self, windows: Tensor) -> Tensor:
        """Scaled forecasts (B,), or quantiles (B, Q), of scaled feature windows (B, L, F)."""

    def forward(self, windows: Tensor) -> Tensor:
        """Scaled forecasts of feature windows (B, L, F), see :meth:`read`."""
        windows = windows.to(self.feature_mean.device)
        return self.read((windows - self.feature_mean) / self.feature_std)

    def forecast(self, windows: Tensor) -> Tensor:
        """Forecasts (B,) or quantiles (B, Q) in the target's unit, on the CPU."""
        scaled: Tensor = self(windows)
        return (scaled * self.target_std + self.target_mean).cpu()

    def fit_scales(self, train: Windows) -> None:
        """Set mean and standard deviation of features and target, from training decisions only."""
        features = torch.from_numpy(train.view.features[train.at, train.item])
        self.feature_mean.copy_(features.mean(0))
        self.feature_std.copy_(features.std(0).clamp_min(1e-6))
        truth = torch.from_numpy(truth_above_level(train))
        self.target_mean.copy_(truth.mean())
        self.target_std.copy_(truth.std().clamp_min(1e-12))


class TorchModel(Model):
    """A fitted network with its arguments, and the levels of its quantiles, if it has any."""

    def __init__(
        self,
        network: ScaledNetwork,
        shape: dict[str, Any],
        epochs: int,
        levels: tuple[float, ...] = (),
    ) -> None:
        self.network, self.shape, self._epochs = network.eval(), shape, epochs
        self.levels = levels

    @property
    def epochs(self) -> int:
        """Epoch of the network."""
        return self._epochs

    @property
    def scaler(self) -> Mapping[str, Any]:
        """Mean and standard deviation of each feature, in order, and of the target."""
        names = ("feature_mean", "feature_std", "target_mean", "target_std")
        return {name: getattr(self.network, name).tolist() for name in names}

    def predict(self, windows: Windows) -> Prediction:
        """Forecasts of the windows; quantiles that cross are put in order."""
        values = _forecasts(self.network, windows)
        if not self.levels:
            return Prediction.of(windows, above_level(windows, values))
        columns = above_level(windows, np.sort(values, axis=1).T)
        return Prediction.of_quantiles(windows, columns.T, self.levels)

    def save(self, folder: Path) -> None:
        """Write ``model.pt``, which ``torch.load`` opens without running code."""
        weights = self.network.state_dict()
        state = {"model_state_dict": weights, "shape": self.shape, "epochs": self._epochs}
        state |= {"levels": list(self.levels)} if self.levels else {}
        (folder / FILE).write_bytes(written(state))


class _ForecastTraining(Training[Windows, Model]):
    network: ScaledNetwork

    def prepare(
        self, family: TorchFamily[Any, Windows, Model]
    ) -> tuple[ScaledNetwork, Loss, Tensor]:
        train, criterion = self.parts[0], loss_of(str(self.config.get("loss", "mse")))
        self.levels = tuple(getattr(criterion, "levels", ()))
        self.shape = family.shape(self.config, train.view.features.shape[2], criterion.outputs)
        if criterion.outputs > 1 and self.shape.get("outputs") != criterion.outputs:
            raise UsageError(
                f"the loss '{self.config['loss']}' has {criterion.outputs} outputs, and the "
                f"network of '{family.name}' has one",
                "a network with the argument outputs",
                f"return outputs=n_outputs from shape() of {family.name}",
            )
        network: ScaledNetwork = family.network(**self.shape).to(self.device)
        network.fit_scales(train)
        truth = torch.from_numpy(truth_above_level(train).astype(np.float32)).to(self.device)
        return network, criterion, (truth - network.target_mean) / network.target_std

    def batches(self) -> Sequence[Tensor]:
        return torch.split(torch.randperm(len(self.targets)), int(self.config["batch_size"]))

    def inputs(self, rows: Tensor) -> tuple[Tensor]:
        return (gather(self.parts[0], rows),)

    def scores(self, steps: Steps) -> dict[str, float]:
        losses = zip(steps.losses.tolist(), steps.rows, strict=True)
        total = sum(loss * len(rows) for loss, rows in losses)
        variance = float(self.network.target_std) ** 2
        scores = {"train_loss": total / len(self.targets) * variance}
        for part in self.parts[1:]:
            truth, values = truth_above_level(part), _forecasts(self.network.eval(), part)
            if self.levels:
                ordered = np.sort(values, axis=1)
                scores["val_pinball"] = float(pinball(truth, ordered, self.levels).mean())
                scores["val_crossings"] = float((np.diff(values, axis=1) < 0).any(axis=1).mean())
                values = ordered[:, self.levels.index(0.5)]
            scores["val_loss"] = float(np.mean((truth - values) ** 2))
        return scores

    def contents(self) -> list[bytes]:
        arrays = [array for part in self.parts for array in (part.item, part.at, part.truth())]
        return [array.tobytes() for array in arrays]

    def model(self) -> TorchModel:
        return TorchModel(self.network, self.shape, self.best_epoch, self.levels)


class TorchForecaster(TorchFamily[View, Windows, Model], Family):
    """One network for all tickers.

    Its config has ``learning_rate``, ``weight_decay``, ``batch_size`` and ``max_epochs``, and the
    optional keys ``loss``, the loss of scaled forecasts from ``losses/`` (default ``mse``), and
    those of :class:`Training`. The best epoch has the smallest squared error; ``train_loss`` is the
    mean loss times the target's variance. With the loss ``quantile`` the network has an output per
    level of ``podium.intervals.LEVELS``, the point forecast is the median, and an epoch has
    ``val_pinball`` and ``val_crossings``, the share of windows whose quantiles cross before they
    are put in order.

    Attributes
    ----------
    network : type of ScaledNetwork
    """

    each_alone = True
    loss = "mse"
    network: type[ScaledNetwork]
    training = _ForecastTraining

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Number of weights."""
        with torch.device("meta"):
            network = self.network(**self.shape(config, n_features, 1))
        return float(sum(weights.numel() for weights in network.parameters()))

    def load(self, read: Callable[[str], bytes]) -> TorchModel:
        """Network from ``model.pt``; only tensors and plain values are unpickled."""
        state = torch.load(io.BytesIO(read(FILE)), weights_only=True)
        network = self.network(**state["shape"])
        network.load_state_dict(state["model_state_dict"])
        return TorchModel(network, state["shape"], state["epochs"], tuple(state.get("levels", ())))


def gather(windows: Windows, rows: Tensor) -> Tensor:
    """Inputs (B, L, F) of some rows; the features are not copied."""
    # With these strides numpy gathers several times faster than torch.
    return torch.from_numpy(windows.inputs(rows.numpy()))


def _forecasts(network: ScaledNetwork, windows: Windows) -> Floats:
    """Forecasts (N,) or quantiles (N, Q) of all windows, relative to the target's level."""
    rows = torch.split(torch.arange(len(windows)), BATCH)
    with one_thread(), torch.inference_mode():
        parts = [network.forecast(gather(windows, some)) for some in rows]
    return torch.cat(parts).double().numpy() if parts else np.empty(0)
