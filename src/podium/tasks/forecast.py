"""Forecast the next bars of every ticker: bars, a target over a horizon, a sealed test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import plugin, registry
from podium.arrays import Floats
from podium.config import Config, Policy
from podium.dataset import Dataset
from podium.errors import DataError
from podium.hashing import digest
from podium.index import Index
from podium.prediction import Prediction
from podium.registry import Direction
from podium.sections import SlotSection
from podium.split import Fold, Indices, Split, Windows
from podium.stats import forecast_errors
from podium.tasks._base import SlotTask, TaskData
from podium.trial import Ended
from podium.view import View

ROLE = "FAMILY"
USUAL = {"families": ("lstm",), "metric": "mse", "policy": "forecast"}
HOLDS = "bars"
NEEDS = ("target", "horizon", "features", "test_from")
TAKES = ("test_to", "window", "signal")
STAGES = (
    "tune",
    "extend",
    "analyze",
    "finalize",
    "validation",
    "leak_probe",
    "backtest",
    "against_champion",
    "improvement",
    "refit",
    "results",
    "promote",
)
BASELINES = ("naive",)
WORDS = ("forecasts", "{target}, {horizon} bars ahead, from {window} bars of {features}")
# A forecast is judged by its error; one that is traded for profit must show besides that the
# profit is no luck.
POLICIES: Mapping[str, Policy] = {
    "forecast": {
        "beta": {"fresh_evidence": {}},
        "champion": {
            "fresh_evidence": {},
            "same_data": {},
            "no_leak": {},
            "in_confidence_set": {},
            "beats_naive": {},
            "beats_champion": {},
        },
    },
    "trading": {
        "beta": {"fresh_evidence": {}},
        "champion": {
            "fresh_evidence": {},
            "same_data": {},
            "no_leak": {},
            "in_confidence_set": {},
            "beats_naive": {},
            "beats_champion": {},
            "deflated_sharpe": {},
            "overfitting": {},
        },
    },
}
# Bars beside the horizon that a sealed test has at least.
LEAST_TEST = 30


class ForecastTask(SlotTask):
    """Windows of bars in, a number for every ticker and decision out."""

    name = "forecast"
    trades = True

    def open(self, config: Config, slot: str, samples: Dataset) -> SlotData:
        """View of the bars, and the line before the sealed test.

        Raises
        ------
        DataError
            A feature is not finite where it should be, or the test is too short to judge anything.
        """
        section = config.slot(slot)
        stop = len(samples)
        if section.test_to:
            stop = int(np.searchsorted(samples.times, np.datetime64(section.test_to, "s"), "right"))
        start = samples.bar_at_or_after(section.test_from)
        needed = LEAST_TEST + section.horizon
        if stop - start < needed:
            raise DataError(
                f"slot {slot}: the test from {section.test_from} has {max(0, stop - start)} bars",
                f"at least {needed}",
                f"set an earlier test_from; the data end at {samples.times[-1]}",
            )
        view = view_of(samples.slice(0, stop), section)
        data = SlotData(slot, section, samples, view, start)
        if view.members is not None and not len(data.test_windows):
            raise DataError(
                f"slot {slot}: no member has a whole window and a label in the test from "
                f"{section.test_from}",
                "members with bars in the test",
                "look at their lives: podium check " + section.dataset,
            )
        return data

    def parts(self, view: View, fold: Fold) -> tuple[Windows, Windows]:
        """Windows that have an outcome."""
        return fold.windows(view)

    def score(
        self, metric: str, truth: NDArray[Any], prediction: Prediction
    ) -> tuple[float, Floats]:
        """Mean of the metric's losses, and the losses."""
        losses: Floats = registry.load("metrics", metric).losses(truth, prediction.mean)
        return float(np.mean(losses)), losses

    def read(self, values: Floats, view: View, fold: Fold) -> Prediction:
        """Predictions by ticker and moment."""
        _, windows = fold.windows(view)
        return Prediction.read(values, Index.of(windows), view.tickers)


@dataclass(frozen=True, eq=False)
class SlotData(TaskData):
    """A slot's dataset, its view, and where the sealed test begins and ends.

    Parameters
    ----------
    view : View
        All bars up to the end of the test.
    test_start : int
        First decision bar of the test.
    train_stop : int, optional
        First bar that no training is given. Default: the test's first.
    """

    slot: str
    section: SlotSection
    dataset: Dataset
    view: View
    test_start: int
    train_stop: int | None = None

    @cached_property
    def tuning(self) -> View:
        """The bars before the test, and nothing else: what searches and training are given."""
        return self.view.until(self.test_start if self.train_stop is None else self.train_stop)

    @property
    def test_bars(self) -> Indices:
        """Decision bars of the test whose target is known."""
        return np.arange(self.test_start, self.view.last_labelled + 1, dtype=np.int64)

    @property
    def test_windows(self) -> Windows:
        """What the sealed test asks: every window of it that has an outcome."""
        return Windows.of(self.view, self.test_bars).labelled()

    @property
    def test_interval(self) -> tuple[str, str]:
        """First and last bar of the sealed test, ISO 8601."""
        return str(self.view.times[self.test_start]), str(self.view.times[-1])

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """Settings of the section, and versions of what they name."""
        return task_spec(self.section)

    def asks_alike(self, tickers: Sequence[str], spec: Mapping[str, Any]) -> bool:
        """The same target of the same tickers; features may differ."""
        same = all(spec.get(name) == self.spec[name] for name in ("target", "horizon"))
        return same and tuple(tickers) == self.dataset.tickers

    @property
    def horizon(self) -> int:
        """Bars of every label."""
        return self.view.horizon

    @property
    def splitter(self) -> str:
        """Folds in time."""
        return "walk_forward"

    def held_out(self, fraction: float) -> Split:
        """The last slice before the test."""
        found: Split = registry.load("splitters", "holdout").split(self.tuning, fraction=fraction)
        return found

    def whole(self) -> Fold:
        """Every labelled bar before the test."""
        return whole(self.tuning)

    def index(self, fold: Fold) -> NDArray[Any] | None:
        """Ticker and moment of every validation window."""
        if not len(fold.validation):
            return None
        return Index.of(fold.windows(self.tuning)[1]).pack()

    def units(self, index: NDArray[Any]) -> NDArray[Any]:
        """Second of each decision: tickers of one moment are not independent."""
        return Index.unpack(index).seconds

    @property
    def unit(self) -> str:
        """Bars."""
        return "bars"

    def facts(self, config: Config) -> Mapping[str, Any]:
        """What bars must be for a model of this slot."""
        dataset = config.datasets[self.section.dataset]
        plugins = plugin_versions(self.section)
        return {
            # What a model is given later must be made as what it was trained on.
            **({"plugins": plugins} if plugins else {}),
            "tickers": self.dataset.tickers,
            "timeframe": self.dataset.timeframe,
            "adjust": dataset.adjust,
            # How tickers of unequal histories were put together, where it is not as usual.
            **({} if dataset.align == "intersection" else {"align": dataset.align}),
            "trained_from": str(self.tuning.times[self.tuning.first_bar]),
            # A model whose epoch was chosen on the last bars has seen them too.
            "trained_until": self.trained_until,
        }

    def errors(self, split: Split, ended: Ended) -> dict[str, float]:
        """``val_mae`` and its like, in the target's unit and in prices."""
        found = ended.prediction
        if not isinstance(found, Prediction) or found.form == "positions":
            return {}
        _, windows = split.folds[ended.task.fold].windows(self.tuning)
        return {f"val_{name}": v for name, v in self.errors_of(windows, found.mean).items()}

    def errors_of(self, windows: Windows, forecast: Floats) -> dict[str, float]:
        """``mae``, ``r2`` and, where the target tells of a price, ``price_mae`` and ``pct_mae``.

        Parameters
        ----------
        windows : Windows
            Of any view of the slot's bars, each with an outcome.
        forecast : (N,) float
        """
        truth = windows.truth()
        to_price = getattr(registry.load("targets", self.section.target), "to_price", None)
        if to_price is None:
            return forecast_errors(truth, forecast)
        last = self.dataset["close"][windows.at, windows.item]
        return forecast_errors(
            truth,
            forecast,
            price=to_price(truth, last),
            price_forecast=to_price(forecast, last),
            last=last,
        )

    def curves(self) -> Sequence[tuple[str, str, Direction]]:
        """The metric's where families report it, else the loss's."""
        return [*super().curves(), ("val", "loss", Direction.MIN)]

    def span(self, rows: Indices) -> list[str]:
        """First and last decision."""
        return [str(self.tuning.times[rows.min()]), str(self.tuning.times[rows.max()])]

    def label(self, rows: Indices) -> str:
        """First and last day."""
        return "\nto ".join(moment[:10] for moment in self.span(rows))

    @property
    def subject(self) -> str:
        """The target."""
        return f"{self.section.target} ({registry.load('targets', self.section.target).UNIT})"

    @property
    def n_features(self) -> int:
        """Features of a bar."""
        return len(self.view.feature_names)

    @property
    def series(self) -> int:
        """Tickers."""
        return len(self.dataset.tickers)

    @property
    def size(self) -> str:
        """Bars and tickers."""
        return f"{len(self.dataset)} bars of {self.series} tickers"

    @property
    def sealed(self) -> list[str]:
        """First and last bar of the test."""
        return [*self.test_interval]

    @property
    def trained_until(self) -> str:
        """Last bar before the test."""
        return str(self.tuning.times[-1])


def whole(view: View) -> Fold:
    """Every labelled bar of a view, as fold 1 without validation."""
    bars = np.arange(view.first_bar, view.last_labelled + 1, dtype=np.int64)
    return Fold(1, bars, bars[:0])


def plugin_versions(section: SlotSection) -> dict[str, str]:
    """Content of the plugins that turn bars into samples, by kind and name."""
    used = [("features", spec.partition(":")[0]) for spec in section.features]
    return plugin.versions([*used, ("targets", section.target)])


def task_hash(section: SlotSection) -> str:
    """SHA-256 of what turns bars into samples, and of a metric that is a plugin."""
    return digest(list(task_spec(section).values()))


def task_spec(section: SlotSection) -> dict[str, Any]:
    """What turns bars into samples: the section's settings, and versions of what they name."""
    versions = {
        f"{kind}/{name}": registry.version(kind, name)
        for kind, names in (
            ("features", [spec.partition(":")[0] for spec in section.features]),
            ("targets", [section.target]),
        )
        for name in names
    }
    # A trial's score is its metric's; podium's own are not in the hashes of records there are.
    metric = registry.versioned("metrics", section.metric)
    if metric != section.metric:
        versions["metrics"] = metric
    # The order of these is part of the hash; other tasks of bars are other questions.
    return {
        **({} if section.task == ForecastTask.name else {"task": section.task}),
        "features": section.features,
        "target": section.target,
        "horizon": section.horizon,
        "window": section.window,
        "versions": versions,
    }


def view_of(dataset: Dataset, section: SlotSection) -> View:
    """A dataset as a slot's task sees it."""
    return View.of(
        dataset,
        features=section.features,
        target=section.target,
        horizon=section.horizon,
        window=section.window,
    )


TASK = ForecastTask()
