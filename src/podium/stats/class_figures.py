"""Figures of a classifier, one function each: classes and probabilities in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats

Counts = NDArray[np.int64]

BINS = 15
"""Bins of equal width that compare confidence with accuracy."""

MOST_THRESHOLDS = 200
"""Most rows of a class in the table of thresholds."""


def log_losses(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the logarithm of each sample's probability of its own class, (N,), in nats.

    Parameters
    ----------
    truth : (N,) int, from 0 to K - 1
    probabilities : (N, K) float
        Probabilities are clipped at the machine epsilon of a double, so that no loss is infinite;
        NaN stays NaN.
    """
    own = probabilities[np.arange(len(truth)), truth]
    return -np.log(np.maximum(own, np.finfo(np.float64).eps))


def log_loss(truth: Counts, probabilities: Floats) -> float:
    """Mean of `log_losses`, in nats.

    Examples
    --------
    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])), 4)
    0.6931
    """
    return float(log_losses(truth, probabilities).mean())


def brier(truth: Counts, probabilities: Floats) -> float:
    """Mean over samples of the squared errors of all K probabilities summed, from 0 to 2.

    With two classes this is twice the Brier score of the second class alone (scikit-learn's
    ``scale_by_half=False``).

    Examples
    --------
    >>> brier(np.array([1]), np.array([[0.5, 0.5]]))
    0.5
    """
    # (p - 1)^2 for the own class, p^2 for the others, without a one-hot matrix.
    own = probabilities[np.arange(len(truth)), truth]
    others = np.maximum(np.square(probabilities).sum(axis=1) - own**2, 0.0)
    return float(np.mean((1.0 - own) ** 2 + others))


def calibration_error(truth: Counts, probabilities: Floats) -> float:
    """Expected calibration error of the predicted class, from 0 to 1, see `Reliability`.

    Examples
    --------
    >>> calibration_error(np.array([0, 0, 0, 1]), np.tile([0.75, 0.25], (4, 1)))
    0.0
    """
    return reliability(truth, probabilities).error


def confusion(truth: Counts, chosen: Counts, classes: int) -> Counts:
    """Confusion matrix: samples by class (row) and predicted class (column), (K, K).

    Examples
    --------
    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(truth * classes + chosen, minlength=classes**2).reshape(classes, classes)


def rates(counts: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class, (..., K) each; 0 where the denominator is 0.

    Parameters
    ----------
    counts : (..., K, K) number
        Confusion matrices.

    Examples
    --------
    >>> [figure.tolist() for figure in rates(np.array([[1, 1], [0, 2]]))]
    [[1.0, 0.6666666666666666], [0.5, 1.0], [0.6666666666666666, 0.8]]
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    support, chosen = counts.sum(axis=-1), counts.sum(axis=-2)
    return _share(right, chosen), _share(right, support), _share(2 * right, support + chosen)


def macro_f1(counts: Counts) -> float:
    """Mean F1 of all K classes.

    Examples
    --------
    >>> round(macro_f1(np.array([[1, 1], [0, 2]])), 4)
    0.7333
    """
    return float(rates(counts)[2].mean())


def weighted_f1(counts: Counts) -> float:
    """Mean F1 weighted by the support of each class."""
    return float(rates(counts)[2] @ counts.sum(axis=1) / counts.sum())


def accuracy(counts: Counts) -> float:
    """Share of samples with the right predicted class."""
    return float(np.trace(counts) / counts.sum())


def balanced_accuracy(counts: Counts) -> float:
    """Mean recall of the classes that have samples."""
    return float(rates(counts)[1][counts.sum(axis=1) > 0].mean())


def pr_auc_macro(truth: Counts, probabilities: Floats) -> float:
    """Mean average precision of the classes that have samples, each against the rest."""
    if np.isnan(probabilities).any():
        return float("nan")
    return known_mean([c.pr_auc for c in curves(truth, probabilities)])


def roc_auc_macro(truth: Counts, probabilities: Floats) -> float:
    """Mean area under the ROC of the classes that have samples, each against the rest.

    NaN where all samples are of one class.
    """
    if np.isnan(probabilities).any():
        return float("nan")
    return known_mean([c.roc_auc for c in curves(truth, probabilities)])


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """Samples flagged as a class at each threshold, one threshold per distinct score.

    Parameters
    ----------
    thresholds : (M,) float, descending
        Samples with at least this probability of the class are flagged.
    hits, alarms : (M,) int
        Flagged samples of the class, and of other classes.
    positives, negatives : int
        Samples of the class, and of other classes.
    """

    thresholds: Floats
    hits: Counts
    alarms: Counts
    positives: int
    negatives: int

    @property
    def precision(self) -> Floats:
        """Share of the flagged samples that are of the class, (M,)."""
        return self.hits / (self.hits + self.alarms)

    @property
    def recall(self) -> Floats:
        """Share of the class that is flagged, (M,); 0 for a class without samples."""
        return self.hits / max(self.positives, 1)

    @property
    def false_positive_rate(self) -> Floats:
        """Share of the other classes that is flagged, (M,); 0 where there are none."""
        return self.alarms / max(self.negatives, 1)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall, (M,)."""
        return 2 * self.hits / (self.positives + self.hits + self.alarms)

    @property
    def flagged(self) -> Floats:
        """Share of all samples that is flagged, (M,)."""
        return (self.hits + self.alarms) / (self.positives + self.negatives)

    @property
    def pr_auc(self) -> float:
        """Average precision: precision weighted by the steps of recall, no interpolation."""
        if not self.positives:
            return float("nan")
        return float(np.diff(self.recall, prepend=0.0) @ self.precision)

    @property
    def roc_auc(self) -> float:
        """Area under recall over the false positive rate; NaN without both kinds of samples."""
        if not self.positives or not self.negatives:
            return float("nan")
        across = np.concatenate([[0.0], self.false_positive_rate])
        return float(np.trapezoid(np.concatenate([[0.0], self.recall]), across))

    def thinned(self, limit: int = MOST_THRESHOLDS) -> ThresholdCurve:
        """At most ``limit`` points: the first, the last, the best F1, and others between.

        The others are evenly spaced in recall, in score, and in the logarithm of the number of
        flagged samples, as the first few matter most for a rare class.
        """
        last = len(self.thresholds) - 1
        if last < limit:
            return self
        flagged, per_scale = self.hits + self.alarms, (limit - 3) // 3
        high, low = self.thresholds[[0, -1]]
        picks = [
            np.searchsorted(self.hits, np.linspace(0, self.hits[-1], per_scale)),
            np.searchsorted(flagged, np.geomspace(1, flagged[-1], per_scale)),
            np.searchsorted(-self.thresholds, -np.linspace(high, low, per_scale)),
            np.array([0, int(self.f1.argmax()), last]),
        ]
        rows = np.unique(np.minimum(np.concatenate(picks), last))
        points = (self.thresholds[rows], self.hits[rows], self.alarms[rows])
        return ThresholdCurve(*points, self.positives, self.negatives)


def curves(truth: Counts, probabilities: Floats) -> tuple[ThresholdCurve, ...]:
    """Curve of each class against the rest.

    Examples
    --------
    >>> curve = curves(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]))[1]
    >>> curve.thresholds.tolist(), curve.hits.tolist(), curve.roc_auc
    ([0.6, 0.4, 0.1], [1, 2, 2], 1.0)
    """
    return tuple(_curve(truth == k, probabilities[:, k]) for k in range(probabilities.shape[1]))


def _curve(positive: NDArray[np.bool_], scores: Floats) -> ThresholdCurve:
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    # Samples with equal scores are flagged together, so only the last of them is a point.
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(positive[order], dtype=np.int64)[last]
    positives = int(positive.sum())
    return ThresholdCurve(ranked[last], hits, last + 1 - hits, positives, len(scores) - positives)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Accuracy of the predicted class by its probability.

    Parameters
    ----------
    edges : (B + 1,) float
        Bins from 0 to 1; a probability on an edge belongs to the bin below it.
    count : (B,) int
    confidence, accuracy : (B,) float
        Mean probability of the predicted class, and share of right ones; NaN in an empty bin.
    """

    edges: Floats
    count: Counts
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Mean absolute gap between confidence and accuracy, bins weighted by their samples."""
        known = self.count > 0
        gaps = np.abs(self.accuracy[known] - self.confidence[known])
        return float(gaps @ self.count[known] / self.count.sum())


def reliability(truth: Counts, probabilities: Floats, bins: int = BINS) -> Reliability:
    """Confidence against accuracy in bins of equal width.

    Examples
    --------
    >>> bins = reliability(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]]), bins=2)
    >>> bins.count.tolist(), bins.accuracy[1], round(bins.error, 3)
    ([0, 2], np.float64(0.5), 0.4)
    """
    chosen = probabilities.argmax(axis=1)
    top = probabilities[np.arange(len(chosen)), chosen]
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:-1], top)
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=w, minlength=bins) for w in (top, chosen == truth)]
    confidence, right = (
        np.divide(s, count, out=np.full(bins, np.nan), where=count > 0) for s in sums
    )
    return Reliability(edges, count, confidence, right)


def known_mean(values: ArrayLike) -> float:
    """Mean of the values that are not NaN; NaN where none is."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)
    return ratio
