"""Ridge regression of the target on the slot's features at the last bar."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.arrays import Floats
from podium.families import _linear
from podium.families._base import ClosedForm, Family, Model
from podium.families._linear import FILE, LinearModel
from podium.space import Choice, ConfigDict, Space
from podium.split import Windows
from podium.view import View

ALPHAS = (0.001, 0.1)


@dataclass(frozen=True)
class Ridge(LinearModel):
    """Weights of the features."""

    def regressors(self, windows: Windows) -> Floats:
        """Features at the last bar."""
        return features_at(windows)


class RidgeFamily(ClosedForm[View, Windows, Model], Family):
    """Ridge regression on the features at the last bar, with the same weights for every ticker.

    Notes
    -----
    With features ``z`` standardized on the training windows, the weights minimize ``mean((y - a -
    z @ w)**2) + alpha * w @ w``; the intercept ``a`` has no penalty. ``y`` is the target, or its
    difference from the last value for a level (a price).

    The best penalty is about the number of features over (number of windows x signal to noise)
    (Hoerl, Kennard and Baldwin 1975). With some features and thousands of windows, that is 0.001
    for a target that is largely predictable (a volatility) and 0.1 for one that is hardly so (a
    return, with an R2 below 1 per cent).

    References
    ----------
    Hoerl and Kennard (1970), Ridge regression: biased estimation for nonorthogonal problems,
    Technometrics 12. Hoerl, Kennard and Baldwin (1975), Ridge regression: some simulations,
    Communications in Statistics 4.
    """

    name = "ridge"
    each_alone = True

    def space(self, view: View) -> Space:
        """Two penalties, for strong and for weak signals."""
        del view
        return Space({"alpha": Choice(ALPHAS)})

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Weights and intercept."""
        del config
        return n_features + 1.0

    def learn(self, config: ConfigDict, train: Windows, validation: Windows | None) -> Ridge:
        """Solve for the weights on the training windows."""
        del validation
        return Ridge(_linear.fit(features_at(train), train, float(config["alpha"])))

    def load(self, read: Callable[[str], bytes]) -> Ridge:
        """Model from ``linear.json``."""
        return Ridge(_linear.linear_of(json.loads(read(FILE))["linear"]))


def features_at(windows: Windows) -> Floats:
    """Features at each window's last bar, (N, F)."""
    return windows.view.features[windows.at, windows.item].astype(np.float64)


FAMILY = RidgeFamily
