"""Naive classifiers: the most frequent class, class frequencies, and a trend with limits."""

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
from podium.families._base import Classifier, ClassModel, ClosedForm
from podium.families._sequences import require_same_names, stats_for
from podium.feature_stats import FeatureStats
from podium.prediction import ClassPrediction
from podium.sequences import Indices, Sequences, Subset
from podium.space import Choice, ConfigDict, Space

FILE = "rule.json"
METHODS = ("majority", "prior", "trend")
# Candidate settings of the trend rule: steps of its slope, and steps of extrapolation.
BACK, AHEAD = (1, 2, 3, 6), (1, 3, 6, 12)
# Exponents of class weights: 0 no weights, 1 weights that make all classes equally frequent.
FAVOURS = (0.0, 0.25, 0.5)
# Candidate limits are quantiles of each class, which gives rare classes equal resolution.
QUANTILES, MOST_VALUES = 33, 132
# Most limits of one value: every pair of regions is a cell that must be counted.
MOST_LIMITS = 4
# Least gain in macro-F1 of an additional limit.
GAIN = 2e-3


@dataclass(frozen=True)
class Trend:
    """Last value of one feature and its linear extrapolation, each cut at limits.

    Parameters
    ----------
    feature : int
    back, ahead : int
        Steps of the slope, and steps of the extrapolation.
    favour : float
        Exponent of the class weights that multiply frequencies in a cell.
    fill : float
        Value of the feature before its first known value, in its unit.
    now, then : tuple of float
        Limits of the last value and of the extrapolated value, in the feature's unit.
    """

    feature: int
    back: int
    ahead: int
    favour: float
    fill: float
    now: tuple[float, ...] = ()
    then: tuple[float, ...] = ()

    def cells(self, samples: Subset) -> Indices:
        """Cell of each sample, (N,): a pair of regions of the two values."""
        last, extrapolated = lines(*samples.inputs(), self)
        return np.asarray(
            np.searchsorted(self.now, last, side="right") * (len(self.then) + 1)
            + np.searchsorted(self.then, extrapolated, side="right"),
            dtype=np.int64,
        )


def lines(x: NDArray[np.float32], lengths: Indices, trend: Trend) -> tuple[Floats, Floats]:
    """Last value of the trend's feature and its extrapolation, (N,) each, in its unit."""
    one = x[:, :, trend.feature : trend.feature + 1]
    values = FeatureStats(("",), (trend.fill,), (1.0,)).apply(one, lengths)[:, :, 0]
    rows, end = np.arange(len(values)), lengths - 1
    begin = np.maximum(end - trend.back, 0)
    last = values[rows, end].astype(np.float64)
    slope = (last - values[rows, begin]) / np.maximum(end - begin, 1)
    return last + trend.fill, last + trend.fill + slope * trend.ahead


@dataclass(frozen=True)
class Rule(ClassModel):
    """Probabilities of the classes in each cell of a trend; a single cell without a trend.

    Parameters
    ----------
    method : str
    feature_names, class_names : tuple of str
        Names of the training samples; others are refused.
    probabilities : tuple of tuple of float, (cells, K)
    trend : Trend, optional
    """

    method: str
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    trend: Trend | None = None

    def predict(self, samples: Subset) -> ClassPrediction:
        """Probabilities of each sample's cell."""
        require_same_names(self.feature_names, self.class_names, samples.sequences)
        cells = self.trend.cells(samples) if self.trend else np.zeros(len(samples), dtype=np.int64)
        return ClassPrediction.of(samples, np.array(self.probabilities)[cells])

    def save(self, folder: Path) -> None:
        """Write ``rule.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))


class RuleFamily(ClosedForm[Sequences, Subset, ClassModel], Classifier):
    """Naive classification rules, baselines of trained networks.

    Notes
    -----
    ``majority`` predicts the most frequent class (with the probability as if every training sample
    were of it, plus one of each class), ``prior`` predicts the class frequencies.

    ``trend`` extrapolates one feature linearly from its last steps, and cuts both the last value
    and the extrapolated one at limits. A sample's probabilities are the class frequencies of the
    training samples in the same cell (plus one sample distributed as the classes), times a power of
    each class's inverse frequency, so that rare classes can be predicted. Feature, steps, limits
    and exponent maximize the macro-F1 on the training samples.
    """

    name = "naive"

    def space(self, data: Sequences) -> Space:
        """The three rules."""
        del data
        return Space({"method": Choice(METHODS)})

    def rung(self, config: ConfigDict) -> int:
        """1 for the trend, else 0."""
        return int(config["method"] == "trend")

    def learn(self, config: ConfigDict, train: Subset, validation: Subset | None) -> Rule:
        """Count the classes of the training samples, in each cell of a trend."""
        stats = stats_for(train, validation)
        method, data = str(config["method"]), train.sequences
        truth, k = train.truth().astype(np.int64), len(data.class_names)
        counts = np.bincount(truth, minlength=k)
        trend, shares = None, counts[np.newaxis] / counts.sum()
        if method == "majority":
            shares = (len(truth) * np.eye(k)[[counts.argmax()]] + 1) / (len(truth) + k)
        elif method == "trend":
            trend = _learned(train, truth, stats.mean, k)
            cells = (len(trend.now) + 1) * (len(trend.then) + 1)
            inside = np.bincount(trend.cells(train) * k + truth, minlength=cells * k)
            shares = (inside.reshape(cells, k) + shares) * _weights(counts, trend.favour)
            shares /= shares.sum(axis=1, keepdims=True)
        rows = tuple(map(tuple, shares.tolist()))
        return Rule(method, data.feature_names, data.class_names, rows, trend)

    def load(self, read: Callable[[str], bytes]) -> Rule:
        """Model from ``rule.json``."""
        content = json.loads(read(FILE))
        if content["trend"] is not None:
            limits = {name: tuple(content["trend"][name]) for name in ("now", "then")}
            content["trend"] = Trend(**content["trend"] | limits)
        names = {name: tuple(content[name]) for name in ("feature_names", "class_names")}
        content["probabilities"] = tuple(map(tuple, content["probabilities"]))
        return Rule(**content | names)


def _learned(train: Subset, truth: Indices, fills: tuple[float, ...], classes: int) -> Trend:
    """Trend with the best macro-F1: first its feature is chosen, then the rest."""

    def best(trends: list[Trend]) -> Trend:
        graded = [_Grid(train, truth, trend, classes).limited() for trend in trends]
        return max(graded, key=itemgetter(0))[1]

    chosen = best([Trend(k, BACK[1], AHEAD[1], FAVOURS[1], fill) for k, fill in enumerate(fills)])
    steps = itertools.product(BACK, AHEAD)
    chosen = best([replace(chosen, back=back, ahead=ahead) for back, ahead in steps])
    return best([replace(chosen, favour=favour) for favour in FAVOURS])


class _Grid:
    """Counts of training samples by class between all candidate limits."""

    def __init__(self, train: Subset, truth: Indices, trend: Trend, classes: int) -> None:
        self.trend, self.classes = trend, classes
        self.weights = _weights(np.bincount(truth, minlength=classes), trend.favour)
        both = lines(*train.inputs(), trend)
        quantiles = np.linspace(0, 1, max(2, min(QUANTILES, MOST_VALUES // classes)))
        self.limits, regions = [], []
        for values in both:
            of_class = [np.quantile(values[truth == k], quantiles) for k in range(classes)]
            self.limits.append(np.unique(np.concatenate(of_class)))
            regions.append(np.searchsorted(self.limits[-1], values, side="right"))
        sizes = [len(limits) + 1 for limits in self.limits]
        cells = (regions[0] * sizes[1] + regions[1]) * classes + truth
        flat = np.bincount(cells, minlength=sizes[0] * sizes[1] * classes).reshape(*sizes, classes)
        # Cumulative counts below two limits; four of them give the count of a cell.
        self.below = np.zeros((sizes[0] + 1, sizes[1] + 1, classes), dtype=np.int64)
        self.below[1:, 1:] = flat.cumsum(axis=0).cumsum(axis=1)

    def limited(self) -> tuple[float, Trend]:
        """Trend with its limits, and their macro-F1.

        Starts with the best pair of limits, then adds the limit with the largest gain while there
        is one; after each, every limit is moved to its best position.
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
        """Macro-F1 of the best pair of one limit per value, and the pair."""
        inner, whole = self.below[1:-1, 1:-1], self.below[-1, -1]
        left, under = self.below[1:-1, -1:], self.below[-1:, 1:-1]
        cells = [inner, left - inner, under - inner, whole - left - under + inner]
        scores = _macro_f1(np.stack(cells, axis=-2), self.weights)
        now, then = np.unravel_index(int(scores.argmax()), scores.shape)
        return float(scores.max()), [[int(now)], [int(then)]]

    def _with_one_more(self, chosen: list[list[int]], axis: int) -> Floats:
        """Macro-F1 with each additional limit on one axis, (M,)."""
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
    """Macro-F1 if every cell predicts its class of largest weight; cells (..., R, K) -> (...)."""
    k = cells.shape[-1]
    taken = (cells * weights).argmax(axis=-1)[..., np.newaxis] == np.arange(k)
    right = (cells * taken).sum(axis=-2)
    called = (cells.sum(axis=-1, keepdims=True) * taken).sum(axis=-2)
    there = cells.sum(axis=-2)
    scores: Floats = (2 * right / np.maximum(called + there, 1)).mean(axis=-1)
    return scores


def _weights(counts: NDArray[np.int64], favour: float) -> Floats:
    """Weights of the classes, (K,), 1 for the most frequent one."""
    weights: Floats = (counts.max() / np.maximum(counts, 1)) ** favour
    return weights
