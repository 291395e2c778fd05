"""Comparison of two forecasts of the same windows by their losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from podium.arrays import Floats
from podium.evidence import Scalar
from podium.split import Windows
from podium.stats import DieboldMariano, diebold_mariano, panel_loss
from podium.tasks.forecast import loss_of, losses_of


@dataclass(frozen=True, eq=False)
class Comparison:
    """Losses of two forecasts of the same windows.

    Parameters
    ----------
    metric : str
        Metric of the losses: ``mse`` for a metric with a score alone.
    losses, other_losses : (N,) float
        Loss of each window.
    daily, other_daily : (T,) float
        Loss of each bar, averaged over tickers, which are not independent.
    test : DieboldMariano
        Test of the losses per bar; negative where the first loss is smaller.
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
        """Mean of the other forecast."""
        return _mean(self.other_losses)

    @property
    def bars(self) -> int:
        """Number of bars."""
        return len(self.daily)

    def scalars(self, other: str) -> dict[str, Scalar]:
        """Scalars of evidence; ``<other>_loss`` is the other forecast's."""
        return {
            "loss": Scalar(self.loss, self.metric, "min"),
            f"{other}_loss": Scalar(self.other_loss, self.metric, "min"),
            **dm_scalars(self.test),
        }


def compare_forecasts(metric: str, windows: Windows, forecast: Floats, other: Floats) -> Comparison:
    """Compare two forecasts on the same windows, each with an outcome.

    Parameters
    ----------
    forecast, other : (N,) float
    """
    truth = windows.truth()
    losses, other_losses = (losses_of(metric, truth, values) for values in (forecast, other))
    daily, other_daily = by_period(losses, windows.at), by_period(other_losses, windows.at)
    test = diebold_mariano(daily, other_daily, windows.view.horizon)
    return Comparison(loss_of(metric), losses, other_losses, daily, other_daily, test)


def by_period(losses: Floats, periods: NDArray[Any]) -> Floats:
    """Mean loss of each period, in order, (T,), from one loss per window, (N,)."""
    return panel_loss(losses, periods)[1]


def dm_scalars(test: DieboldMariano) -> dict[str, Scalar]:
    """Scalars of a test."""
    return {
        "dm_statistic": Scalar(test.statistic),
        "dm_p_value": Scalar(test.p_value, "probability"),
    }


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
