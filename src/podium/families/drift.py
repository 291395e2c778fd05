"""Drift: the last value plus the average change so far, a random walk with drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from podium.arrays import Floats
from podium.families._base import ClosedForm, Family, Model
from podium.families._series import mean_so_far
from podium.prediction import Prediction
from podium.space import ConfigDict, Space
from podium.split import Windows
from podium.view import View

FILE = "drift.json"


@dataclass(frozen=True)
class Drift(Model):
    """The drift method, without parameters."""

    def predict(self, windows: Windows) -> Prediction:
        """Last value plus drift at each decision."""
        return Prediction.of(windows, drifted(windows.view)[windows.at, windows.item])

    def save(self, folder: Path) -> None:
        """Write ``drift.json``."""
        (folder / FILE).write_text("{}")


class DriftFamily(ClosedForm[View, Windows, Model], Family):
    """Random walk with drift.

    Notes
    -----
    For a series with last value ``y_t`` and first value ``y_1`` the forecast is ``y_t + h * (y_t -
    y_1) / (t - 1)``. For a level (a price) and for targets that are not changes (a volatility) the
    series is the target's. For a change (a return) it is the level that changes, so that the
    forecast is the mean change of a bar so far, over ``h`` bars.

    References
    ----------
    Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., section 5.2.
    """

    name = "drift"
    each_alone = True
    level = 1

    def space(self, view: View) -> Space:
        """A single config."""
        del view
        return Space({})

    def learn(self, config: ConfigDict, train: Windows, validation: Windows | None) -> Drift:
        """Return the rule; the drift is that of the bars up to each decision."""
        del config, train, validation
        return Drift()

    def load(self, read: Callable[[str], bytes]) -> Drift:
        """Model from ``drift.json``."""
        read(FILE)
        return Drift()


def drifted(view: View) -> Floats:
    """Forecast of the drift method at each bar, (T, S); NaN before the first known value."""
    if view.centered or view.level is not None:
        return view.expected(mean_so_far(view.increments))
    known = np.isfinite(view.past)
    first = known.argmax(axis=0)
    steps = np.arange(len(view))[:, np.newaxis] - first
    rise = view.past - view.past[first, np.arange(len(view.tickers))]
    # At the first value there is no change yet.
    forecast: Floats = view.past + rise / np.maximum(steps, 1) * view.horizon
    return forecast


FAMILY = DriftFamily
