"""Paths over several horizons for families that forecast one: a model for each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from podium.families._base import DivergedError, Family, Keep, Model, Report
from podium.prediction import Prediction
from podium.space import ConfigDict, Space, Value
from podium.split import Windows
from podium.view import View

FILE = "path.json"


@dataclass(frozen=True)
class PathModel(Model):
    """Models of the steps 1 to H; the last one forecasts what a model without a path does."""

    models: Sequence[Model]

    def predict(self, windows: Windows) -> Prediction:
        """Paths of the windows, step by step."""
        steps = [model.predict(windows.at_step(step)) for step, model in enumerate(self.models, 1)]
        last = steps[-1]
        outputs = np.stack([one.outputs for one in steps], axis=1)
        return Prediction.of(windows, outputs, last.form, last.levels)

    def save(self, folder: Path) -> None:
        """Write a folder for each step, and ``path.json``."""
        for step, model in enumerate(self.models, 1):
            place = folder / _folder(step)
            place.mkdir()
            model.save(place)
        (folder / FILE).write_text(json.dumps({"steps": len(self.models)}))

    @property
    def epochs(self) -> int:
        """Epochs of the last step's model."""
        return self.models[-1].epochs

    @property
    def scaler(self) -> Mapping[str, Any] | None:
        """Scaling of the last step's model."""
        return self.models[-1].scaler


class PathFamily(Family):
    """A family whose configs are fitted once for each step (the direct strategy).

    The epochs reported are those of the last step, which scores and gates judge; the others train
    with the same seed and as many epochs. A training is not paused.

    References
    ----------
    Taieb, Bontempi, Atiya and Sorjamaa (2012), A review and comparison of strategies for
    multi-step ahead time series forecasting, Expert Systems with Applications 39.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.name, self.VERSION, self.loss = inner.name, inner.VERSION, inner.loss
        self.random, self.each_alone = inner.random, inner.each_alone
        self.device = inner.device

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
    ) -> PathModel:
        """Fit a model for each step; a parent is refused."""
        self.refuse_parent(parent)
        del keep
        self.inner.device = self.device
        steps = train.view.horizon
        models = []
        for step in range(1, steps + 1):
            parts = (part and part.at_step(step) for part in (train, validation))
            reporting = report if step == steps else _silent
            try:
                models.append(self.inner.fit(config, *parts, seed=seed, report=reporting))
            except DivergedError as error:
                raise DivergedError(f"step {step} of {steps}: {error}") from error
        return PathModel(models)

    def load(self, read: Callable[[str], bytes]) -> PathModel:
        """Models of the steps."""
        steps = int(json.loads(read(FILE))["steps"])
        return PathModel(
            [
                self.inner.load(lambda name, step=step: read(f"{_folder(step)}/{name}"))
                for step in range(1, steps + 1)
            ]
        )

    def space(self, view: View) -> Space:
        """That of the family."""
        space: Space = self.inner.space(view)
        return space

    def grid(self, view: View) -> Mapping[str, Sequence[Value]]:
        """That of the family."""
        grid: Mapping[str, Sequence[Value]] = self.inner.grid(view)
        return grid

    def priority(self, view: View) -> Sequence[Mapping[str, Value]]:
        """Those of the family."""
        configs: Sequence[Mapping[str, Value]] = self.inner.priority(view)
        return configs

    def quick(self, view: View) -> Mapping[str, Sequence[Value]]:
        """That of the family."""
        grid: Mapping[str, Sequence[Value]] = self.inner.quick(view)
        return grid

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """That of one step."""
        return float(self.inner.complexity(config, n_features))

    def rung(self, config: ConfigDict) -> int:
        """That of the family."""
        return int(self.inner.rung(config))


def _folder(step: int) -> str:
    return f"step_{step}"


def _silent(epoch: int, scores: Mapping[str, float]) -> None:
    """Report of a step that is not judged."""
