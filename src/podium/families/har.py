"""HAR: a linear model of means over a week, a month and a quarter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.arrays import Floats
from podium.families import _linear
from podium.families._base import ClosedForm, Family, Model
from podium.families._linear import FILE, LinearModel
from podium.families._series import recent_mean
from podium.space import ConfigDict, Space
from podium.split import Windows
from podium.view import View

SPANS = (5, 21, 63)
RANGE_SPANS = (1, 5, 21)
# One basis point: keeps the logarithm finite for bars without a range.
FLOOR = 1e-4
# Penalty of signed increments, see families/ridge.py.
PENALTY = 0.1


@dataclass(frozen=True)
class Har(LinearModel):
    """Weights of the means.

    Parameters
    ----------
    signed : bool
        Whether the increments of the target have a sign, as those of returns do.
    ranges : bool
        Whether mean ranges are regressors too.
    """

    signed: bool
    ranges: bool

    def regressors(self, windows: Windows) -> Floats:
        """Means of the last bars at each decision."""
        return means(windows, self.signed, self.ranges)


class HarFamily(ClosedForm[View, Windows, Model], Family):
    """Heterogeneous autoregression (HAR) with the same weights for every ticker.

    Notes
    -----
    For a target whose increments have no sign, such as a volatility, the regressors are the target
    of the last 5, 21 and 63 bars, so that of ``volatility`` are logarithms of realized volatility.
    Where bars have a high and a low, the logarithms of the mean range ``log(high / low)`` of the
    last 1, 5 and 21 bars are added. The weights are those of least squares.

    For other targets the regressors are the mean increments (returns) of the last 1, 5, 21 and 63
    bars, and the weights those of a ridge regression with a penalty of 0.1. The forecast of a level
    (a price) is its last value plus the forecast change.

    Means are over the known bars if there are fewer.

    References
    ----------
    Corsi (2009), A simple approximate long-memory model of realized volatility, Journal of
    Financial Econometrics 7. Ranges as measures of volatility: Parkinson (1980), The extreme value
    method for estimating the variance of the rate of return, Journal of Business 53; Alizadeh,
    Brandt and Diebold (2002), Range-based estimation of stochastic volatility models, Journal of
    Finance 57.
    """

    name = "har"
    each_alone = True

    def space(self, view: View) -> Space:
        """A single config."""
        del view
        return Space({})

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Most weights and the intercept; the slot's features are not used."""
        del config, n_features
        return 1.0 + len(SPANS) + len(RANGE_SPANS)

    def learn(self, config: ConfigDict, train: Windows, validation: Windows | None) -> Har:
        """Solve for the weights on the training windows."""
        del config, validation
        signed = bool((train.view.increments[: train.at.max() + 1] < 0).any())
        ranges = not signed and train.view.ranges is not None
        linear = _linear.fit(means(train, signed, ranges), train, PENALTY if signed else 0.0)
        return Har(linear, signed, ranges)

    def load(self, read: Callable[[str], bytes]) -> Har:
        """Model from ``linear.json``."""
        content = json.loads(read(FILE))
        linear = _linear.linear_of(content["linear"])
        return Har(linear, bool(content["signed"]), bool(content["ranges"]))


def means(windows: Windows, signed: bool, ranges: bool) -> Floats:
    """Regressors of the family at each window, (N, P); see :class:`HarFamily`."""
    view, at = windows.view, (windows.at, windows.item)
    if signed:
        columns = [recent_mean(view.increments, n)[at] for n in (1, *SPANS)]
    else:
        last = (recent_mean(view.increments, n)[at] for n in SPANS)
        columns = [view.aggregate(mean, view.horizon) for mean in last]
    if ranges:
        reach = np.full_like(view.past, np.nan) if view.ranges is None else view.ranges
        columns += [np.log(recent_mean(reach, n)[at] + FLOOR) for n in RANGE_SPANS]
    return np.stack(columns, axis=1)


FAMILY = HarFamily
