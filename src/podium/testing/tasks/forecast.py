"""Checks of families that forecast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.families._base import Family, Model
from podium.prediction import Prediction
from podium.split import Windows
from podium.testing import _fits, series
from podium.testing._base import SEED, require
from podium.testing._fits import configs, fit, fitted, require_same
from podium.testing.leak import poisoned, probe_family
from podium.view import View

# Part of what the best possible forecast gains over a constant that a family must find.
SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Case(_fits.KnownTask):
    """A small task whose answer is known: the next return follows the last one.

    Parameters
    ----------
    oracle : float
        Mean squared error of the best possible forecast.
    """

    dataset: Dataset
    data: View
    train: Windows
    validation: Windows
    oracle: float

    @classmethod
    def planted(cls, n: int = 160) -> Self:
        """Three tickers, one bar ahead; the last quarter of the bars validates."""
        made = series.planted(n, seed=SEED)
        seen = series.view(made.dataset)
        cut = seen.last_labelled + 1 - n // 4
        train = Windows.of(seen, np.arange(seen.first_bar, cut - seen.horizon + 1))
        validation = Windows.of(seen, np.arange(cut, seen.last_labelled + 1))
        return cls(made.dataset, seen, train, validation, made.oracle_mse(seen.horizon))

    @classmethod
    def learnable(cls) -> Self:
        """The same with more bars."""
        return cls.planted(400)

    def loss(self, prediction: Prediction) -> float:
        """Mean squared error."""
        return float(np.mean((self.validation.truth() - prediction.mean) ** 2))

    def wanted(self) -> float:
        """Loss between that of the mean training target and that of the oracle."""
        untrained = np.mean((self.validation.truth() - np.mean(self.train.truth())) ** 2)
        return float(untrained - SHARE * (untrained - self.oracle))

    def others_replaced(self) -> Iterator[tuple[str, Windows]]:
        """Everything after the last training label."""
        last = int(self.train.at.max()) + self.data.horizon
        for how, changed in poisoned(self.data, last, seed=SEED):
            yield how, Windows(changed, self.train.item, self.train.at)


def check_every_window_gets_a_forecast(family: Family) -> None:
    """One finite forecast per window, in the windows' order."""
    case = Case.planted()
    windows = case.validation.blind()
    for config, model in fitted(family, case):
        prediction = model.predict(windows)
        index = {"decided_at": windows.decided_at, "target_end": windows.target_end}
        expected = replace(prediction, item=windows.tickers, **index)
        require_same(expected, prediction, "from the index of the windows")
        unknown = int(np.sum(~np.isfinite(prediction.mean)))
        require(not unknown, f"{unknown} of {len(prediction)} forecasts are not finite ({config})")
        none = model.predict(Windows.of(windows.view, windows.at[:0]))
        require(len(none) == 0, "there is a forecast without a window")


def check_future_is_ignored(family: Family) -> None:
    """Forecasts up to a bar do not change by a bit when later bars change.

    Tested on a fitted model with other inputs and NaN, then on changed bars with a new training
    each. Changing the past must change the forecasts of at least one config.
    """
    case = Case.planted()
    at = int(case.validation.at[len(case.validation) // 2])
    decisions = np.arange(case.data.first_bar, at + 1)
    sighted = 0
    for config in configs(family.space(case.data)):
        model = fit(family, config, case.train, None)
        honest = model.predict(Windows.of(case.data.blind(), decisions))
        for how, changed in poisoned(case.data, at, seed=SEED):
            forecast = model.predict(Windows.of(changed, decisions))
            when = f"although only bars after the decision were {how} ({config})"
            require_same(honest, forecast, when)
        names = ("features", "increments", "past")
        past = replace(case.data, **{name: 3 * getattr(case.data, name) for name in names})
        moved = model.predict(Windows.of(past, decisions))
        if np.array_equal(honest.mean, moved.mean):
            continue
        sighted += 1
        leak = probe_family(family, config, case.dataset, at, view_of=series.view)
        require(leak is None, f"the family reads the future ({config}): {leak}")
    require(sighted > 0, "no config's forecasts depend on the past, so the check has no power")


def check_tickers_by_name(family: Family) -> None:
    """Another order of the tickers gives the same forecasts by name, to 1e-6."""
    case = Case.planted()
    turned = case.dataset.tickers[::-1]
    _require_alike(family, case, turned, "another order of the tickers gives other forecasts")


def check_alone_if_it_says_so(family: Family) -> None:
    """With ``each_alone``, a ticker has the same forecasts without the others."""
    if family.each_alone:
        case = Case.planted()
        [*_, name] = case.dataset.tickers
        otherwise = f"each_alone is set, and {name} alone has other forecasts"
        _require_alike(family, case, (name,), otherwise)


def _require_alike(family: Family, case: Case, tickers: tuple[str, ...], otherwise: str) -> None:
    """Require equal forecasts of some tickers among all and in a separate dataset, to 1e-6."""
    other = series.view(case.dataset.select(tickers))
    scale = float(np.std(case.train.truth()))
    bars = np.unique(case.validation.at)

    def forecasts(model: Model, seen: View) -> Floats:
        return model.predict(Windows.of(seen.blind(), bars)).grid(seen.times, tickers)

    for config, model in fitted(family, case):
        one, two = (forecasts(model, seen) for seen in (case.data, other))
        alike = np.allclose(one, two, rtol=1e-6, atol=1e-6 * scale, equal_nan=True)
        require(alike, f"{otherwise} ({config})")


CHECKS = (
    check_every_window_gets_a_forecast,
    check_future_is_ignored,
    check_tickers_by_name,
    check_alone_if_it_says_so,
)
