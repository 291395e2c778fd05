"""Gradient-boosted trees (LightGBM) on lags of the target and the slot's features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from podium.arrays import Floats
from podium.errors import MissingExtraError
from podium.families._base import Family, Keep, Model, Report
from podium.families._series import above_level, recent_mean, truth_above_level
from podium.prediction import Prediction
from podium.space import ConfigDict, Space
from podium.split import Windows
from podium.view import View

FILE = "lightgbm.txt"
SPANS = (1, 5, 21, 63)
TREES, LEAVES = 200, 15
PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": LEAVES,
    "min_data_in_leaf": 20,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Trees(Model):
    """Trees in LightGBM's text format."""

    text: str

    @cached_property
    def _booster(self) -> Any:
        return _package().Booster(model_str=self.text)

    def predict(self, windows: Windows) -> Prediction:
        """Forecasts of the windows."""
        # LightGBM refuses an empty array.
        values = self._booster.predict(inputs(windows), num_threads=1) if len(windows) else []
        return Prediction.of(windows, above_level(windows, np.asarray(values, dtype=np.float64)))

    def save(self, folder: Path) -> None:
        """Write ``lightgbm.txt``, which LightGBM reads."""
        (folder / FILE).write_text(self.text)


class LightgbmFamily(Family):
    """Gradient-boosted trees with fixed parameters, the same trees for every ticker.

    Notes
    -----
    Inputs are the mean increments of the target over the last 1, 5, 21 and 63 bars, the last value
    of the target, the mean range of these bars where bars have a high and a low, and the slot's
    features at the last bar. Squared errors are minimized by 200 trees of at most 15 leaves with a
    learning rate of 0.05. Training uses one thread. The package is the extra ``trees`` of podium.

    References
    ----------
    Ke et al. (2017), LightGBM: a highly efficient gradient boosting decision tree, NeurIPS.
    """

    name = "lightgbm"
    each_alone = True

    def space(self, view: View) -> Space:
        """A single config."""
        del view
        return Space({})

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Leaves of all trees."""
        del config, n_features
        return float(TREES * LEAVES)

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
    ) -> Trees:
        """Grow all trees on the training windows.

        Raises
        ------
        MissingExtraError
            LightGBM is not installed.
        """
        self.refuse_parent(parent)
        del config, validation, report, keep
        package = _package()
        # LightGBM's seeds are 32-bit.
        parameters = {**PARAMETERS, "seed": seed % 2**31}
        data = package.Dataset(inputs(train), truth_above_level(train), params=parameters)
        booster = package.train(parameters, data, num_boost_round=TREES)
        return Trees(booster.model_to_string())

    def load(self, read: Callable[[str], bytes]) -> Trees:
        """Model from ``lightgbm.txt``."""
        return Trees(read(FILE).decode())


def inputs(windows: Windows) -> Floats:
    """Inputs of the trees at each window, (N, P)."""
    view, at = windows.view, (windows.at, windows.item)
    series = [view.increments, *([] if view.ranges is None else [view.ranges])]
    lags = [recent_mean(values, n)[at] for values in series for n in SPANS]
    return np.column_stack([*lags, view.past[at], view.features[at].astype(np.float64)])


def _package() -> Any:
    """LightGBM, imported on use."""
    try:
        import lightgbm
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "family 'lightgbm' needs the package 'lightgbm', which is not installed",
            fix="run: pip install 'podium[trees]'",
        ) from error
    return lightgbm


FAMILY = LightgbmFamily
