"""Linear models on regressors of each decision."""

from __future__ import annotations

import abc
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from podium.arrays import Floats
from podium.families._base import Model
from podium.families._series import above_level, truth_above_level
from podium.prediction import Prediction
from podium.split import Windows

FILE = "linear.json"


@dataclass(frozen=True)
class Linear:
    """``intercept + sum(weights * (x - mean) / scale)``.

    Parameters
    ----------
    mean, scale, weights : tuple of float, length P
        Mean and standard deviation of each regressor in training, 1 for a constant one, and its
        weight.
    """

    intercept: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]

    @classmethod
    def fit(cls, x: Floats, y: Floats, penalty: float) -> Self:
        """Minimize ``mean((y - intercept - z @ w)**2) + penalty * w @ w``.

        ``z`` are the standardized regressors. The intercept has no penalty. Without a penalty the
        solution is that of least squares, with the smallest weights if it is not unique.

        Parameters
        ----------
        x : (N, P) float
        y : (N,) float
        penalty : float, >= 0

        Examples
        --------
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> Linear.fit(x, 1 + 2 * x[:, 0], 0.0).values(np.array([[3.0]])).round(9).tolist()
        [7.0]
        """
        mean, scale = x.mean(axis=0), x.std(axis=0)
        # Rounding gives a constant regressor a tiny deviation.
        scale = np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1.0), scale, 1.0)
        z = (x - mean) / scale
        intercept = float(y.mean())
        # einsum, since the sums of BLAS depend on the number of threads.
        gram = np.einsum("ni,nj->ij", z, z) / len(y) + penalty * np.eye(x.shape[1])
        weights = np.linalg.lstsq(gram, np.einsum("ni,n->i", z, y - intercept) / len(y))[0]
        return cls(intercept, *(tuple(part.tolist()) for part in (mean, scale, weights)))

    def values(self, x: Floats) -> Floats:
        """Return the value of each row of regressors, (N,)."""
        z = (x - np.array(self.mean)) / np.array(self.scale)
        # Unlike a product of BLAS, the sum of a row does not depend on the number of rows.
        values: Floats = self.intercept + (z * np.array(self.weights)).sum(axis=1)
        return values


@dataclass(frozen=True)
class LinearModel(Model):
    """A linear forecast of the target, or of its difference from its level.

    Subclasses define :meth:`regressors`.
    """

    linear: Linear

    @abc.abstractmethod
    def regressors(self, windows: Windows) -> Floats:
        """Regressors of each window, (N, P), known at its decision."""

    def predict(self, windows: Windows) -> Prediction:
        """Forecasts of the windows."""
        return Prediction.of(
            windows, above_level(windows, self.linear.values(self.regressors(windows)))
        )

    @property
    def scaler(self) -> Mapping[str, Any]:
        """Mean and standard deviation of each regressor, in order."""
        return {"feature_mean": list(self.linear.mean), "feature_std": list(self.linear.scale)}

    def save(self, folder: Path) -> None:
        """Write ``linear.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))


def fit(x: Floats, train: Windows, penalty: float) -> Linear:
    """Fit a linear model to the targets of windows, less their level."""
    return Linear.fit(x, truth_above_level(train), penalty)


def linear_of(content: Mapping[str, Any]) -> Linear:
    """Linear model from its JSON."""
    sizes = {name: tuple(content[name]) for name in ("mean", "scale", "weights")}
    return Linear(float(content["intercept"]), **sizes)
