"""A small LSTM over a window of features, with a linear head; PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from podium.families._loop import BF16, BOUNDS
from podium.families._torch_forecaster import ScaledNetwork, TorchForecaster
from podium.space import Choice, ConfigDict, Float, Int, Space, Value
from podium.trial import BUDGET
from podium.view import View

LOSSES = ("mse", "mae", "huber", "quantile")


class Network(ScaledNetwork):
    """LSTM, then a linear layer on its last output."""

    def __init__(
        self, n_features: int, units: int, layers: int, dropout: float, outputs: int = 1
    ) -> None:
        super().__init__(n_features)
        self.lstm = nn.LSTM(n_features, units, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, outputs)

    def read(self, windows: Tensor) -> Tensor:
        """Scaled forecasts (B,), or quantiles (B, Q), of scaled feature windows (B, L, F)."""
        output, _ = self.lstm(windows)
        scaled: Tensor = self.head(self.dropout(output[:, -1])).squeeze(-1)
        return scaled


class LSTMFamily(TorchForecaster):
    """One network for all tickers."""

    name = "lstm"
    network = Network

    def space(self, view: View) -> Space:
        """Size, learning rate and regularization."""
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
                **BOUNDS,
                "dropout": Float(0.0, 0.95),
                "layers": Int(1, 8),
                # Not searched; optional in a config.
                BF16: Int(0, 100_000),
                "loss": Choice(LOSSES),
            },
        )

    def grid(self, view: View) -> Mapping[str, Sequence[Value]]:
        """Learning rate, size and batch size: twelve common configs."""
        del view
        return {"learning_rate": (1e-4, 3e-4, 1e-3), "lstm_units": (32, 64), "batch_size": (32, 64)}

    def priority(self, view: View) -> Sequence[Mapping[str, Value]]:
        """The usual config, then a higher learning rate, a larger and a smaller network."""
        del view
        return [
            {},
            {"learning_rate": 3e-3},
            {"lstm_units": 64, "dropout": 0.2},
            {"lstm_units": 16, "weight_decay": 1e-2},
        ]

    def quick(self, view: View) -> Mapping[str, Sequence[Value]]:
        """Learning rate and size."""
        del view
        return {"learning_rate": (1e-3, 3e-3), "lstm_units": (16, 32, 64)}

    def shape(self, config: ConfigDict, n_features: int, n_outputs: int) -> dict[str, Any]:
        """Sizes and dropout of the network."""
        return {
            "n_features": n_features,
            "units": int(config["lstm_units"]),
            "layers": int(config["layers"]),
            "dropout": float(config["dropout"]),
            **({"outputs": n_outputs} if n_outputs > 1 else {}),
        }


FAMILY = LSTMFamily
