"""Two forecasts of the same windows: their losses, and whether these differ by more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from podium import registry
from podium.arrays import Floats
from podium.evidence import Scalar
from podium.split import Windows
from podium.stats import DieboldMariano, diebold_mariano, panel_loss


@dataclass(frozen=True, eq=False)
class Comparison:
    """Losses of a forecast beside those of another one.

    Parameters
    ----------
    metric : str
    losses, other_losses : (N,) float
        Of each window.
    daily, other_daily : (T,) float
        Of each bar, tickers averaged: they are not independent of each other.
    test : DieboldMariano
        Of the losses a bar; negative where the first forecast loses less.
    """

    metric: str
    losses: Floats
    other_losses: Floats
    daily: Floats
    other_daily: Floats
    test: DieboldMariano

    @property
    def loss(self) -> float:
        """Mean over the windows; NaN without any."""
        return _mean(self.losses)

    @property
    def other_loss(self) -> float:
        """The same of the other forecast."""
        return _mean(self.other_losses)

    @property
    def bars(self) -> int:
        """How many bars were compared."""
        return len(self.daily)

    def scalars(self, other: str) -> dict[str, Scalar]:
        """The figures as evidence has them; ``<other>_loss`` is the other forecast's."""
        return {
            "loss": Scalar(self.loss, self.metric, "min"),
            f"{other}_loss": Scalar(self.other_loss, self.metric, "min"),
            **tested(self.test),
        }


def compared(metric: str, windows: Windows, forecast: Floats, other: Floats) -> Comparison:
    """Hold a forecast against another one on the same windows, each with an outcome.

    Parameters
    ----------
    forecast, other : (N,) float
    """
    losses_of, truth = registry.load("metrics", metric).losses, windows.truth()
    losses, other_losses = losses_of(truth, forecast), losses_of(truth, other)
    daily, other_daily = by_period(losses, windows.at), by_period(other_losses, windows.at)
    test = diebold_mariano(daily, other_daily, windows.view.horizon)
    return Comparison(metric, losses, other_losses, daily, other_daily, test)


def by_period(losses: Floats, periods: NDArray[Any]) -> Floats:
    """Mean loss of each period, in their order, (T,), from one loss a window, (N,)."""
    return panel_loss(losses, periods)[1]


def tested(test: DieboldMariano) -> dict[str, Scalar]:
    """A test's figures as evidence has them."""
    return {
        "dm_statistic": Scalar(test.statistic),
        "dm_p_value": Scalar(test.p_value, "probability"),
    }


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
