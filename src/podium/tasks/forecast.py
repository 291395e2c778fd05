"""Forecast the next bars of every ticker: bars, a target over a horizon, a sealed test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import plugin, registry
from podium.arrays import Floats, Ints
from podium.config import Config, Policy
from podium.dataset import Dataset
from podium.errors import DataError, UsageError
from podium.hashing import digest
from podium.index import Index
from podium.portfolio import periods_per_year
from podium.prediction import Prediction
from podium.registry import Direction
from podium.sections import SlotSection
from podium.split import Fold, Indices, Split, Windows
from podium.stats import diebold_mariano, forecast_errors, panel_loss
from podium.stats.forecast_errors import ERRORS
from podium.tasks._base import SlotTask, TaskData
from podium.trial import Ended
from podium.view import View

ROLE = "FAMILY"
USUAL = {"families": ("lstm",), "metric": "mse", "policy": "forecast"}
HOLDS = "bars"
NEEDS = ("target", "horizon", "features", "test_from")
TAKES = ("test_to", "window", "path", "signal", "baselines")
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
BASELINES = ("naive", "drift", "seasonal_naive", "ridge", "har")
WORDS = ("forecasts", "{target}, {horizon} bars ahead, from {window} bars of {features}")
# Forecasts are judged by their error; the policy for trading adds gates against selection bias in
# the profit.
POLICIES: Mapping[str, Policy] = {
    "forecast": {
        "beta": {"fresh_evidence": {}},
        "champion": {
            "fresh_evidence": {},
            "same_data": {},
            "no_leak": {},
            "in_confidence_set": {},
            "beats_baseline": {},
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
            "beats_baseline": {},
            "beats_champion": {},
            "deflated_sharpe": {},
            "overfitting": {},
        },
    },
}
# Results of a trial that follow from its forecasts, see `SlotData.errors`.
DERIVED = (*(f"val_{name}" for name in (*ERRORS, "mase")), "naive_mae", "dm_pvalue_vs_naive")
# Least number of bars of a sealed test, plus the horizon.
LEAST_TEST = 30


class ForecastTask(SlotTask):
    """Windows of bars in, a number for every ticker and decision out."""

    name = "forecast"
    trades = True

    def open(self, config: Config, slot: str, samples: Dataset) -> SlotData:
        """View of the bars, and the begin of the sealed test.

        Raises
        ------
        DataError
            A feature is not finite after its warm-up, or the test is too short.
        UsageError
            The direction of the metric is unknown or does not fit its losses.
        """
        section = config.slot(slot)
        self.require_metric(section.metric)
        stop = len(samples)
        if section.test_to:
            stop = int(np.searchsorted(samples.times, np.datetime64(section.test_to, "s"), "right"))
        start = samples.bar_at_or_after(section.test_from)
        needed = LEAST_TEST + section.horizon
        if stop - start < needed:
            has = f"has {max(0, stop - start)} bars"
            found = f"slot {slot}: the test from {section.test_from} {has}"
            fix = f"set an earlier test_from; the data end at {samples.times[-1]}"
            raise DataError(found, f"at least {needed}", fix)
        view = view_of(samples.slice(0, stop), section)
        data = SlotData(slot, section, samples, view, start)
        if section.path and view.members is not None:
            found = f"slot {slot} has path = true and a dataset with align = 'union'"
            raise DataError(found, "bars of tickers that all have every bar", "set path = false")
        if view.members is not None and not len(data.test_windows):
            found = f"slot {slot}: no member has a full window and a label in the test from "
            found += section.test_from
            fix = f"see the members' first and last bars: podium check {section.dataset}"
            raise DataError(found, "members with bars in the test", fix)
        return data

    def require_metric(self, metric: str) -> None:
        """Refuse a metric whose direction is unknown or does not fit its losses."""
        loss_of(metric)

    def parts(self, view: View, fold: Fold) -> tuple[Windows, Windows]:
        """Windows with a known target."""
        return fold.windows(view)

    def score(
        self, metric: str, truth: NDArray[Any], prediction: Prediction
    ) -> tuple[float, Floats]:
        """Mean of the metric's losses, and the losses; its score, and squared errors."""
        losses = losses_of(metric, truth, prediction.mean)
        if loss_of(metric) == metric:
            return float(np.mean(losses)), losses
        return float(registry.load("metrics", metric).score(truth, prediction.mean)), losses

    def read(self, values: Floats, view: View, fold: Fold) -> Prediction:
        """Predictions by ticker and moment."""
        _, windows = fold.windows(view)
        return Prediction.read(values, Index.of(windows), view.tickers)


@dataclass(frozen=True, eq=False)
class SlotData(TaskData):
    """A slot's dataset, its view, and the bounds of the sealed test.

    Parameters
    ----------
    view : View
        All bars up to the end of the test.
    test_start : int
        First decision bar of the test.
    train_stop : int, optional
        First bar after the training data. Default: the test's first.
    """

    slot: str
    section: SlotSection
    dataset: Dataset
    view: View
    test_start: int
    train_stop: int | None = None

    @cached_property
    def tuning(self) -> View:
        """The bars before the test, for search and training."""
        return self.view.until(self.test_start if self.train_stop is None else self.train_stop)

    @property
    def test_bars(self) -> Indices:
        """Decision bars of the test with a known target."""
        return np.arange(self.test_start, self.view.last_labelled + 1, dtype=np.int64)

    @property
    def test_windows(self) -> Windows:
        """Windows of the sealed test with a known target."""
        return Windows.of(self.view, self.test_bars).labelled()

    @cached_property
    def periods_per_year(self) -> float:
        """Bars in a year, by the calendar of all bars of the dataset."""
        return periods_per_year(self.dataset.times)

    @property
    def test_interval(self) -> tuple[str, str]:
        """First and last bar of the sealed test, ISO 8601."""
        return str(self.view.times[self.test_start]), str(self.view.times[-1])

    @property
    def test_marks(self) -> Ints:
        """Hashes of the bars of the sealed test, see :meth:`Dataset.marks`."""
        return self.dataset.marks(self.test_start, len(self.view))

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """Settings of the section, and versions of their features and target."""
        return task_spec(self.section)

    def same_target(self, spec: Mapping[str, Any]) -> bool:
        """Whether target and horizon are the same; features and window may differ."""
        return all(spec.get(name) == self.spec[name] for name in ("target", "horizon"))

    def shares_data(self, fingerprint: str, timeframe: str, tickers: Sequence[str]) -> bool:
        """Whether a dataset is the same, or has bars of a common ticker in the same timeframe."""
        common = timeframe == self.dataset.timeframe and not {*tickers}.isdisjoint(
            self.dataset.tickers
        )
        return common or super().shares_data(fingerprint, timeframe, tickers)

    def asks_alike(self, tickers: Sequence[str], spec: Mapping[str, Any]) -> bool:
        """Whether target and tickers are the same; features may differ."""
        return self.same_target(spec) and tuple(tickers) == self.dataset.tickers

    @property
    def horizon(self) -> int:
        """Bars of every label."""
        return self.view.horizon

    @property
    def splitter(self) -> str:
        """``walk_forward``."""
        return "walk_forward"

    def held_out(self, fraction: float) -> Split:
        """The last slice before the test."""
        split: Split = registry.load("splitters", "holdout").split(self.tuning, fraction=fraction)
        return split

    def whole(self) -> Fold:
        """Every labelled bar before the test."""
        return whole(self.tuning)

    def index(self, fold: Fold) -> NDArray[Any] | None:
        """Ticker and decision time of every validation window."""
        if not len(fold.validation):
            return None
        return Index.of(fold.windows(self.tuning)[1]).pack()

    def units(self, index: NDArray[Any]) -> NDArray[Any]:
        """Decision times in seconds: tickers of one moment are not independent."""
        return Index.unpack(index).seconds

    @property
    def unit(self) -> str:
        """Bars."""
        return "bars"

    def facts(self, config: Config) -> Mapping[str, Any]:
        """Tickers, timeframe and training interval, and the plugins in use."""
        dataset = config.datasets[self.section.dataset]
        plugins = plugin_versions(self.section)
        return {
            # Later inputs must be computed by the same plugins.
            **({"plugins": plugins} if plugins else {}),
            "tickers": self.dataset.tickers,
            "timeframe": self.dataset.timeframe,
            "adjust": dataset.adjust,
            # How tickers with different histories were aligned, if not by default.
            **({} if dataset.align == "intersection" else {"align": dataset.align}),
            "trained_from": str(self.tuning.times[self.tuning.first_bar]),
            # The last bars count: the best epoch was chosen on them.
            "trained_until": self.trained_until,
        }

    @property
    def loss(self) -> str:
        """``mse`` if the metric has no losses per window."""
        loss = loss_of(self.section.metric)
        return "" if loss == self.section.metric else loss

    def errors(self, split: Split, ended: Ended) -> dict[str, float]:
        """Errors of the forecasts on the validation part, and the comparison with no change.

        Returns
        -------
        dict
            ``val_mae`` and the others of :meth:`errors_of`; ``val_mase``, the error over that of
            the last value on the training part; ``naive_mae``, that of a forecast of no change;
            ``dm_pvalue_vs_naive``, the two-sided Diebold-Mariano p-value of the losses per bar
            against those of no change. Undefined ones are left out.
        """
        prediction = ended.prediction
        if not isinstance(prediction, Prediction) or prediction.form == "positions":
            return {}
        naive = self._naive(split.folds[ended.task.fold])
        errors = self.errors_of(naive.windows, prediction.mean)
        errors["mase"] = errors["mae"] / naive.scale if naive.scale > 0 else math.nan
        losses = panel_loss(ended.losses, naive.windows.at)[1]
        p_value = math.nan
        if len(naive.losses) == len(losses):
            p_value = diebold_mariano(losses, naive.losses, self.horizon).p_value
        values = {
            **{f"val_{name}": value for name, value in errors.items()},
            "naive_mae": naive.mae,
            "dm_pvalue_vs_naive": p_value,
        }
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def _naive(self, fold: Fold) -> NaiveScores:
        """Scores of no change on a fold, computed once."""
        if fold not in self._naive_scores:
            train, windows = fold.windows(self.tuning)
            self._naive_scores[fold] = NaiveScores.of(self.section.metric, train, windows)
        return self._naive_scores[fold]

    @cached_property
    def _naive_scores(self) -> dict[Fold, NaiveScores]:
        return {}

    def errors_of(self, windows: Windows, forecast: Floats) -> dict[str, float]:
        """``mae``, ``r2`` and, if the target implies a price, ``price_mae`` and ``pct_mae``.

        Parameters
        ----------
        windows : Windows
            Windows of any view of the slot's bars, with known targets.
        forecast : (N,) float
        """
        truth = windows.truth()
        to_price = getattr(registry.load("targets", self.section.target), "to_price", None)
        if to_price is None:
            return forecast_errors(truth, forecast)
        last = self.dataset["close"][windows.at, windows.item]
        price, price_forecast = to_price(truth, last), to_price(forecast, last)
        return forecast_errors(
            truth, forecast, price=price, price_forecast=price_forecast, last=last
        )

    def curves(self) -> Sequence[tuple[str, str, Direction]]:
        """The metric's curve if families report it, else the loss."""
        return [*super().curves(), ("val", "loss", Direction.MIN)]

    def span(self, rows: Indices) -> list[str]:
        """Times of the first and the last decision."""
        return [str(self.tuning.times[rows.min()]), str(self.tuning.times[rows.max()])]

    def label(self, rows: Indices) -> str:
        """Dates of the first and the last decision."""
        return "\nto ".join(moment[:10] for moment in self.span(rows))

    @property
    def subject(self) -> str:
        """Target with its unit."""
        return f"{self.section.target} ({registry.load('targets', self.section.target).UNIT})"

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.view.feature_names)

    @property
    def series(self) -> int:
        """Number of tickers."""
        return len(self.dataset.tickers)

    @property
    def size(self) -> str:
        """Numbers of bars and tickers."""
        return f"{len(self.dataset)} bars of {self.series} tickers"

    @property
    def sealed(self) -> list[str]:
        """First and last bar of the test."""
        return [*self.test_interval]

    @property
    def trained_until(self) -> str:
        """Last bar before the test."""
        return str(self.tuning.times[-1])


@dataclass(frozen=True, eq=False)
class NaiveScores:
    """Forecast of no change on a fold: zero for a centered target, else the last value.

    Parameters
    ----------
    windows : Windows
        Validation windows.
    mae : float
        Mean absolute error on them, in the target's unit.
    losses : (T,) float
        Mean loss of each bar; empty if the metric is not defined for this forecast.
    scale : float
        Mean absolute error of the last value on the training part, see :func:`last_value_error`.
    """

    windows: Windows
    mae: float
    losses: Floats
    scale: float

    @classmethod
    def of(cls, metric: str, train: Windows, windows: Windows) -> NaiveScores:
        """Scores on the validation windows of a fold."""
        view, truth = windows.view, windows.truth()
        last = view.past[windows.at, windows.item]
        forecast = np.zeros_like(last) if view.centered else last
        losses = np.empty(0)
        # The losses on record are float32, and a baseline that forecasts no change has no p-value.
        # A metric of a plugin may refuse a constant; the trial of that baseline has the reason.
        with suppress(Exception):
            each = losses_of(metric, truth, forecast).astype(np.float32)
            losses = panel_loss(each, windows.at)[1]
        mae = float(np.mean(np.abs(truth - forecast)))
        return cls(windows, mae, losses, last_value_error(train))


def last_value_error(windows: Windows) -> float:
    """Mean absolute error of the last value of the target, the scale of MASE; NaN without any."""
    if not len(windows):
        return math.nan
    last = windows.view.past[windows.at, windows.item]
    return float(np.mean(np.abs(windows.truth() - last)))


def loss_of(metric: str) -> str:
    """Metric of the recorded losses per window: the metric, or ``mse`` if it has only a score.

    Raises
    ------
    UsageError
        A metric with ``losses`` rises, or a score has no direction.
    """
    if not hasattr(registry.load("metrics", metric), "losses"):
        registry.require_direction(metric)
        return str(USUAL["metric"])
    if registry.direction(metric) is Direction.MAX:
        raise UsageError(
            f"metric '{metric}' has losses, and its DIRECTION is \"max\"",
            "losses, of which lower ones are better, or a score with a DIRECTION",
            "write score(truth, forecast), which returns one number, in place of losses",
        )
    return metric


def losses_of(metric: str, truth: Floats, forecast: Floats) -> Floats:
    """Losses per window of :func:`loss_of`."""
    losses: Floats = registry.load("metrics", loss_of(metric)).losses(truth, forecast)
    return losses


def whole(view: View) -> Fold:
    """Every labelled bar of a view, as fold 1 without validation."""
    bars = np.arange(view.first_bar, view.last_labelled + 1, dtype=np.int64)
    return Fold(1, bars, bars[:0])


def plugin_versions(section: SlotSection) -> dict[str, str]:
    """Versions of the plugins that turn bars into samples, by kind and name."""
    return plugin.versions(_members(section))


def _members(section: SlotSection) -> list[tuple[str, str]]:
    """Features and target of a slot, by kind and name."""
    features = [("features", spec.partition(":")[0]) for spec in section.features]
    return [*features, ("targets", section.target)]


def task_hash(section: SlotSection) -> str:
    """SHA-256 of :func:`task_spec`."""
    return digest(list(task_spec(section).values()))


def task_spec(section: SlotSection) -> dict[str, Any]:
    """Settings that turn bars into samples, and versions of their features and target."""
    versions = {f"{kind}/{name}": registry.version(kind, name) for kind, name in _members(section)}
    # Only a metric that is a plugin counts: existing hashes do not cover podium's own metrics.
    metric = registry.versioned("metrics", section.metric)
    if metric != section.metric:
        versions["metrics"] = metric
    # The order is part of the hash; ``task`` is left out of the default task's hash.
    return {
        **({} if section.task == ForecastTask.name else {"task": section.task}),
        "features": section.features,
        "target": section.target,
        "horizon": section.horizon,
        "window": section.window,
        **({"path": True} if section.path else {}),
        "versions": versions,
    }


def view_of(dataset: Dataset, section: SlotSection) -> View:
    """View of a dataset with a slot's settings."""
    return View.of(
        dataset,
        features=section.features,
        target=section.target,
        horizon=section.horizon,
        window=section.window,
        path=section.path,
    )


TASK = ForecastTask()
