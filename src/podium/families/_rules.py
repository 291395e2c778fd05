"""Classifying without training: the commonest class, class frequencies, and a trend with limits."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.families._base import Classifier, ClassModel, Keep, Report
from podium.families._sequences import require_kin, stats_for
from podium.feature_stats import FeatureStats
from podium.prediction import ClassPrediction
from podium.sequences import Indices, Sequences, Subset
from podium.space import Choice, ConfigDict, Space

FILE = "rule.json"
METHODS = ("majority", "prior", "trend")
# What the trend rule tries: steps its slope is taken over, steps it is drawn out to.
BACK, AHEAD = (1, 2, 3, 6), (1, 3, 6, 12)
# Powers of a class's rarity that it is favoured by: 0 not at all, 1 as if all were equally common.
FAVOURS = (0.0, 0.25, 0.5)
# Values that a limit may be: quantiles of each class, so that rare ones are cut as finely.
QUANTILES, MOST_VALUES = 33, 132
# Limits of one number at most: every pair of regions is a cell that must be counted.
MOST_LIMITS = 4
# Macro-F1 that one more limit must bring.
GAIN = 2e-3


@dataclass(frozen=True)
class Trend:
    """Where one feature stands and where its line leads, each cut at limits.

    Parameters
    ----------
    feature : int
    back, ahead : int
        Steps the slope is taken over, and steps it is drawn out to.
    favour : float
        Power of a class's rarity that its frequency in a cell is multiplied by.
    fill : float
        What the feature is before its first value, in its unit.
    now, then : tuple of float
        Limits of the last value and of the value drawn out, in the feature's unit.
    """

    feature: int
    back: int
    ahead: int
    favour: float
    fill: float
    now: tuple[float, ...] = ()
    then: tuple[float, ...] = ()

    def cells(self, asked: Subset) -> Indices:
        """Cell of each sample, (N,): regions of the last value times regions of the other."""
        last, drawn = lines(*asked.inputs(), self)
        return np.asarray(
            np.searchsorted(self.now, last, side="right") * (len(self.then) + 1)
            + np.searchsorted(self.then, drawn, side="right"),
            dtype=np.int64,
        )


def lines(x: NDArray[np.float32], lengths: Indices, trend: Trend) -> tuple[Floats, Floats]:
    """Last value of the trend's feature and its value drawn out, (N,) each, in its unit."""
    one = x[:, :, trend.feature : trend.feature + 1]
    values = FeatureStats(("",), (trend.fill,), (1.0,)).apply(one, lengths)[:, :, 0]
    rows, end = np.arange(len(values)), lengths - 1
    begin = np.maximum(end - trend.back, 0)
    last = values[rows, end].astype(np.float64)
    slope = (last - values[rows, begin]) / np.maximum(end - begin, 1)
    return last + trend.fill, last + trend.fill + slope * trend.ahead


@dataclass(frozen=True)
class Rule(ClassModel):
    """Probabilities of the classes in each cell of a trend; without a trend there is one cell.

    Parameters
    ----------
    method : str
    feature_names, class_names : tuple of str
        Of the training samples; others are refused.
    probabilities : tuple of tuple of float, (cells, K)
    trend : Trend, optional
    """

    method: str
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    trend: Trend | None = None

    def predict(self, asked: Subset) -> ClassPrediction:
        """Probabilities of each sample's cell."""
        require_kin(self.feature_names, self.class_names, asked.sequences)
        cells = (
            np.zeros(len(asked), dtype=np.int64) if self.trend is None else self.trend.cells(asked)
        )
        return ClassPrediction.of(asked, np.array(self.probabilities)[cells])

    def save(self, folder: Path) -> None:
        """Write ``rule.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))


class RuleFamily(Classifier):
    """Rules everybody would try first; a network that cannot beat them is not worth its training.

    Notes
    -----
    ``majority`` always says the commonest class (as sure as if every training sample had been of
    it, with one more of each class), ``prior`` says how common each class is.

    ``trend`` draws the line of one feature through its last steps out into the future, and cuts
    both the last value and the value drawn out at limits. A sample's probabilities are the class
    frequencies of the training samples in the same cell, with one more sample shared out as the
    classes are, multiplied by a power of each class's rarity: a rare class is named although it is
    not likelier than all others. Feature, steps, limits and power are those with the best macro-F1
    on the training samples.
    """

    name = "naive"

    def space(self, data: Sequences) -> Space:
        """The three rules."""
        del data
        return Space({"method": Choice(METHODS)})

    def fit(
        self,
        config: ConfigDict,
        train: Subset,
        validation: Subset | None,
        *,
        seed: int,
        report: Report,
        keep: Keep | None = None,
        parent: ClassModel | None = None,
    ) -> Rule:
        """Count the training samples' classes, for a trend in each of its cells."""
        self.refuse_parent(parent)
        del seed, report, keep
        stats = stats_for(train, validation)
        method, data = str(config["method"]), train.sequences
        truth, k = train.truth().astype(np.int64), len(data.class_names)
        counts = np.bincount(truth, minlength=k)
        trend, found = None, counts[np.newaxis] / counts.sum()
        if method == "majority":
            found = (len(truth) * np.eye(k)[[counts.argmax()]] + 1) / (len(truth) + k)
        elif method == "trend":
            trend = _learned(train, truth, stats.mean, k)
            cells = (len(trend.now) + 1) * (len(trend.then) + 1)
            inside = np.bincount(trend.cells(train) * k + truth, minlength=cells * k)
            found = (inside.reshape(cells, k) + found) * _weights(counts, trend.favour)
            found /= found.sum(axis=1, keepdims=True)
        rows = tuple(map(tuple, found.tolist()))
        return Rule(method, data.feature_names, data.class_names, rows, trend)

    def load(self, read: Callable[[str], bytes]) -> Rule:
        """Model from ``rule.json``."""
        found = json.loads(read(FILE))
        if found["trend"] is not None:
            limits = {name: tuple(found["trend"][name]) for name in ("now", "then")}
            found["trend"] = Trend(**found["trend"] | limits)
        names = {name: tuple(found[name]) for name in ("feature_names", "class_names")}
        found["probabilities"] = tuple(map(tuple, found["probabilities"]))
        return Rule(**found | names)


def _learned(train: Subset, truth: Indices, fills: tuple[float, ...], classes: int) -> Trend:
    """The trend whose cells have the best macro-F1: first its feature, then the rest."""

    def best(trends: list[Trend]) -> Trend:
        graded = [_Grid(train, truth, trend, classes).limited() for trend in trends]
        return max(graded, key=itemgetter(0))[1]

    found = best([Trend(k, BACK[1], AHEAD[1], FAVOURS[1], fill) for k, fill in enumerate(fills)])
    steps = itertools.product(BACK, AHEAD)
    found = best([replace(found, back=back, ahead=ahead) for back, ahead in steps])
    return best([replace(found, favour=favour) for favour in FAVOURS])


class _Grid:
    """Training samples counted by class between all limits that may be chosen."""

    def __init__(self, train: Subset, truth: Indices, trend: Trend, classes: int) -> None:
        self.trend, self.classes = trend, classes
        self.weights = _weights(np.bincount(truth, minlength=classes), trend.favour)
        both = lines(*train.inputs(), trend)
        quantiles = np.linspace(0, 1, max(2, min(QUANTILES, MOST_VALUES // classes)))
        self.limits = [
            np.unique(
                np.concatenate([np.quantile(values[truth == k], quantiles) for k in range(classes)])
            )
            for values in both
        ]
        sizes = [len(limits) + 1 for limits in self.limits]
        now, then = (
            np.searchsorted(limits, values, side="right")
            for limits, values in zip(self.limits, both, strict=True)
        )
        flat = np.bincount(
            (now * sizes[1] + then) * classes + truth, minlength=sizes[0] * sizes[1] * classes
        ).reshape(*sizes, classes)
        # Counts below both of two limits; a cell's count is four of them.
        self.below = np.zeros((sizes[0] + 1, sizes[1] + 1, classes), dtype=np.int64)
        self.below[1:, 1:] = flat.cumsum(axis=0).cumsum(axis=1)

    def limited(self) -> tuple[float, Trend]:
        """The trend with its limits, and the macro-F1 they reach.

        The best pair of limits to begin with, then one more where it gains most, while it gains
        anything; after each, all of them are moved to where they are best.
        """
        score, chosen = self._first()
        while True:
            more = [
                (float(scores.max()), axis, int(scores.argmax()))
                for axis in (0, 1)
                if len(chosen[axis]) < min(self.classes, MOST_LIMITS)
                for scores in [self._with_one_more(chosen, axis)]
            ]
            gained, axis, place = max(more, default=(0.0, 0, 0))
            if gained < score + GAIN:
                break
            chosen[axis].append(place)
            score = gained
            for axis, position in [(a, p) for a in (0, 1) for p in range(len(chosen[a]))]:
                kept = chosen[axis].pop(position)
                scores = self._with_one_more(chosen, axis)
                place = int(scores.argmax()) if scores.max() > score else kept
                chosen[axis].insert(position, place)
                score = float(scores[place])
        now, then = (
            tuple(limits[sorted(set(places))].tolist())
            for limits, places in zip(self.limits, chosen, strict=True)
        )
        return score, replace(self.trend, now=now, then=then)

    def _first(self) -> tuple[float, list[list[int]]]:
        """Macro-F1 of the best pair of one limit of each number, and the pair."""
        inner, whole = self.below[1:-1, 1:-1], self.below[-1, -1]
        left, under = self.below[1:-1, -1:], self.below[-1:, 1:-1]
        cells = [inner, left - inner, under - inner, whole - left - under + inner]
        scores = _macro_f1(np.stack(cells, axis=-2), self.weights)
        now, then = np.unravel_index(int(scores.argmax()), scores.shape)
        return float(scores.max()), [[int(now)], [int(then)]]

    def _with_one_more(self, chosen: list[list[int]], axis: int) -> Floats:
        """Macro-F1 with each possible limit on one axis beside those that are chosen, (M,)."""
        other = 1 - axis
        cuts = [0, *sorted(place + 1 for place in chosen[other]), self.below.shape[other] - 1]
        strips = np.diff(self.below.swapaxes(0, axis)[:, cuts], axis=1)
        end = len(strips) - 1
        fixed = np.array([0, *(place + 1 for place in chosen[axis]), end])
        every = np.arange(1, end)[:, np.newaxis]
        rows = np.sort(np.hstack([np.broadcast_to(fixed, (len(every), len(fixed))), every]), axis=1)
        cells = np.diff(strips[rows], axis=1)
        return _macro_f1(cells.reshape(len(every), -1, self.classes), self.weights)


def _macro_f1(cells: NDArray[np.int64], weights: Floats) -> Floats:
    """Macro-F1 where every cell is taken for its weightiest class; cells (..., R, K) -> (...)."""
    k = cells.shape[-1]
    taken = (cells * weights).argmax(axis=-1)[..., np.newaxis] == np.arange(k)
    right = (cells * taken).sum(axis=-2)
    called = (cells.sum(axis=-1, keepdims=True) * taken).sum(axis=-2)
    there = cells.sum(axis=-2)
    found: Floats = (2 * right / np.maximum(called + there, 1)).mean(axis=-1)
    return found


def _weights(counts: NDArray[np.int64], favour: float) -> Floats:
    """What frequencies of the classes are multiplied by, (K,), the commonest one's by 1."""
    found: Floats = (counts.max() / np.maximum(counts, 1)) ** favour
    return found
