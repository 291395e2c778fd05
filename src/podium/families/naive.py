"""The baseline, without training: last value and means; for classes a trend rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from podium.arrays import Floats
from podium.families._base import ClosedForm, Family, Model
from podium.families._rules import RuleFamily
from podium.families._series import mean_so_far, ratio, recent_mean
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
    return view.expected(recent_mean(view.increments, MONTH))


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
        means[t] = ratio(total, weight)
    return view.expected(means)


def _history(view: View) -> Floats:
    return mean_so_far(view.past)


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


class NaiveFamily(ClosedForm[View, Windows, Model], Family):
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
        """0 for the constants ``history`` and ``zero``, else 1."""
        return 0 if config["method"] in ("history", "zero") else 1

    def learn(self, config: ConfigDict, train: Windows, validation: Windows | None) -> Naive:
        """Compute the method's mean error on the training part, if ``debias`` is set."""
        del validation
        plain = Naive(str(config["method"]), 0.0)
        if not config["debias"]:
            return plain
        return Naive(plain.method, float(np.mean(train.truth() - plain.predict(train).mean)))

    def load(self, read: Callable[[str], bytes]) -> Naive:
        """Model from ``naive.json``."""
        return Naive(**json.loads(read(FILE)))


FAMILY = NaiveFamily
CLASSIFIER = RuleFamily
