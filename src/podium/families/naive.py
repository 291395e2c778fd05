"""The baseline, without training: last value and means; for classes a trend rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from podium.arrays import Floats
from podium.families._base import Family, Keep, Model, Report
from podium.families._rules import RuleFamily
from podium.prediction import Prediction
from podium.space import Choice, ConfigDict, Space
from podium.split import Windows
from podium.view import View

FILE = "naive.json"
MONTH = 21
HALF_LIFE = 10.0


def _last(view: View) -> Floats:
    return view.past


def _last_21(view: View) -> Floats:
    """Mean of the last 21 increments, or of all if there are fewer."""
    known = np.isfinite(view.increments)
    before = np.zeros((MONTH - 1, known.shape[1]))
    total, count = (
        sliding_window_view(np.vstack([before, values]), MONTH, axis=0).sum(axis=-1)
        for values in (np.where(known, view.increments, 0.0), known)
    )
    return view.expected(_mean(total, count))


def _mean(total: Floats, count: Floats) -> Floats:
    """Return a mean from its sum; NaN where nothing is counted."""
    means: Floats = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return means


def _ewma(view: View) -> Floats:
    """Exponentially weighted mean of all increments so far."""
    decay = 0.5 ** (1.0 / HALF_LIFE)
    total = np.zeros(view.increments.shape[1])
    weight = np.zeros_like(total)
    means = np.full_like(view.increments, np.nan)
    for t, row in enumerate(view.increments):
        known = np.isfinite(row)
        total = total * decay + np.where(known, row, 0.0)
        weight = weight * decay + known
        means[t] = _mean(total, weight)
    return view.expected(means)


def _history(view: View) -> Floats:
    known = np.isfinite(view.past)
    return _mean(np.where(known, view.past, 0.0).cumsum(axis=0), known.cumsum(axis=0))


def _zero(view: View) -> Floats:
    return np.zeros_like(view.past)


METHODS: dict[str, Callable[[View], Floats]] = {
    "last": _last,
    "last_21": _last_21,
    "ewma": _ewma,
    "history": _history,
    "zero": _zero,
}


@dataclass(frozen=True)
class Naive(Model):
    """A method with its fitted offset."""

    method: str
    offset: float

    def predict(self, windows: Windows) -> Prediction:
        """The method's value at each decision, plus the offset."""
        values = METHODS[self.method](windows.view)[windows.at, windows.item]
        return Prediction.of(windows, values + self.offset)

    def save(self, folder: Path) -> None:
        """Write ``naive.json``."""
        (folder / FILE).write_text(json.dumps({"method": self.method, "offset": self.offset}))


class NaiveFamily(Family):
    """Naive forecasts, the baseline of trained models.

    ``debias`` adds the mean error on the training part: for a target such as volatility, whose mean
    of logarithms is not the logarithm of its mean, a plain method would be too easy to beat.
    """

    name = "naive"
    each_alone = True

    def space(self, view: View) -> Space:
        """Methods that suit the target, plain and debiased."""
        methods = tuple(METHODS) if view.centered else tuple(m for m in METHODS if m != "zero")
        return Space({"method": Choice(methods), "debias": Choice((False, True))})

    def rung(self, config: ConfigDict) -> int:
        """0 for a constant, 1 for a moving average."""
        return 0 if config["method"] in ("zero", "history") else 1

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
    ) -> Naive:
        """Compute the method's mean error on the training part, if ``debias`` is set."""
        self.refuse_parent(parent)
        del validation, seed, report, keep
        plain = Naive(str(config["method"]), 0.0)
        if not config["debias"]:
            return plain
        return Naive(plain.method, float(np.mean(train.truth() - plain.predict(train).mean)))

    def load(self, read: Callable[[str], bytes]) -> Naive:
        """Model from ``naive.json``."""
        return Naive(**json.loads(read(FILE)))


FAMILY = NaiveFamily
CLASSIFIER = RuleFamily
