"""Classification: classes and probabilities in, numbers out.

Figures equal scikit-learn's with ``labels=range(K)`` and ``zero_division=0``: a class that has no
samples and is never predicted has precision, recall and F1 of 0, and counts as 0 in macro-F1.
Balanced accuracy is the mean recall of the classes that have samples. Areas under curves are NaN
for a class without samples (scikit-learn warns, and returns 0 for average precision) and left out
of the macro mean. The predicted class is the most probable one, the first of a tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats
from podium.errors import DataError, Problems
from podium.hashing import strict
from podium.stats._resampling import resampled_sums
from podium.stats.class_figures import (
    Counts,
    Reliability,
    ThresholdCurve,
    accuracy,
    balanced_accuracy,
    brier,
    confusion,
    curves,
    known_mean,
    log_loss,
    rates,
    reliability,
    weighted_f1,
)
from podium.stats.mcnemar import mcnemar

FEWEST_UNITS = 10
"""Fewest groups (or samples without groups) of a bootstrap."""

POINTS = ("precision", "recall", "f1", "flagged", "false_positive_rate")
"""Figures of each threshold of a curve, by their stored names."""

# Single-precision softmax and files rounded to six decimals pass, logits and percentages do not.
_SUM_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Cost:
    """Cost of the decisions.

    Parameters
    ----------
    matrix : (K, K) float
        Cost of predicting the column's class where the row's is true; below zero is a gain.
    chosen : float
        Mean cost per sample of the most probable classes.
    minimised : float
        Mean cost per sample of the classes with the lowest expected cost.
    """

    matrix: Floats
    chosen: float
    minimised: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All figures of a classifier on some samples; see `evaluate`.

    Parameters
    ----------
    class_names : tuple of str, length K
    samples : int
    confusion : (K, K) int
        Samples by class (row) and predicted class (column).
    precision, recall, f1 : (K,) float
    support : (K,) int
        Samples of each class.
    pr_auc, roc_auc : (K,) float
        NaN for a class without samples.
    macro_f1, weighted_f1, accuracy, balanced_accuracy, log_loss, brier, calibration_error : float
    pr_auc_macro, roc_auc_macro : float
        Mean over the classes with samples; NaN without any.
    curves : tuple of ThresholdCurve, length K
        A point per distinct score.
    reliability : Reliability
    cost : Cost, or None
    """

    class_names: tuple[str, ...]
    samples: int
    confusion: Counts
    precision: Floats
    recall: Floats
    f1: Floats
    support: Counts
    pr_auc: Floats
    roc_auc: Floats
    macro_f1: float
    weighted_f1: float
    accuracy: float
    balanced_accuracy: float
    log_loss: float
    brier: float
    calibration_error: float
    pr_auc_macro: float
    roc_auc_macro: float
    curves: tuple[ThresholdCurve, ...]
    reliability: Reliability
    cost: Cost | None = None

    def scalars(self) -> dict[str, float]:
        """Every scalar by name; those of a class end with its index: ``recall_2``."""
        values: dict[str, float] = {
            field.name: getattr(self, field.name) for field in fields(self) if field.type == "float"
        }
        if self.cost:
            values |= {"cost": self.cost.chosen, "cost_minimised": self.cost.minimised}
        for name in ("precision", "recall", "f1", "pr_auc", "roc_auc"):
            values |= {f"{name}_{k}": v for k, v in enumerate(getattr(self, name).tolist())}
        return values

    def spec(self) -> dict[str, Any]:
        """JSON of everything, null for NaN; at most 200 points of each curve."""
        document = {
            "class_names": list(self.class_names),
            "samples": self.samples,
            "support": self.support.tolist(),
            "metrics": self.scalars(),
            "confusion_matrix": self.confusion.tolist(),
            "reliability": {name: part.tolist() for name, part in vars(self.reliability).items()},
            "thresholds": [
                {
                    "threshold": curve.thresholds.tolist(),
                    **{name: getattr(curve, name).tolist() for name in POINTS},
                }
                for curve in (whole.thinned() for whole in self.curves)
            ],
            "cost_matrix": self.cost.matrix.tolist() if self.cost else None,
        }
        return dict(strict(document))


def evaluate(
    truth: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    *,
    cost: ArrayLike | None = None,
) -> Evaluation:
    """Compute every figure of a classifier.

    Parameters
    ----------
    truth : (N,) int, from 0 to K - 1
    probabilities : (N, K) float
        From 0 to 1; each row's sum is 1 within 1e-4.
    class_names : sequence of str, length K
        At least two.
    cost : (K, K) number, optional
        Cost of predicting the column's class where the row's is true.

    Raises
    ------
    DataError
        With every problem: no samples, shapes that do not match, labels outside the classes,
        invalid probabilities, costs that are not finite.

    Examples
    --------
    >>> figures = evaluate([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], ["calm", "storm"])
    >>> figures.confusion.tolist(), round(figures.macro_f1, 4), figures.scalars()["recall_0"]
    ([[1, 1], [0, 1]], 0.6667, 0.5)
    """
    names = tuple(class_names)
    labels, scores, matrix, problems = _checked(truth, probabilities, len(names), cost)
    DataError.raise_for(problems)
    chosen = scores.argmax(axis=1)
    counts = confusion(labels, chosen, len(names))
    precision, recall, f1 = rates(counts)
    drawn = curves(labels, scores)
    table = reliability(labels, scores)
    pr_auc, roc_auc = np.array([(c.pr_auc, c.roc_auc) for c in drawn]).T
    return Evaluation(
        class_names=names,
        samples=len(labels),
        confusion=counts,
        precision=precision,
        recall=recall,
        f1=f1,
        support=counts.sum(axis=1),
        pr_auc=pr_auc,
        roc_auc=roc_auc,
        macro_f1=float(f1.mean()),
        weighted_f1=weighted_f1(counts),
        accuracy=accuracy(counts),
        balanced_accuracy=balanced_accuracy(counts),
        log_loss=log_loss(labels, scores),
        brier=brier(labels, scores),
        calibration_error=table.error,
        pr_auc_macro=known_mean(pr_auc),
        roc_auc_macro=known_mean(roc_auc),
        curves=drawn,
        reliability=table,
        cost=None if matrix is None else _cost(labels, chosen, scores, matrix),
    )


@dataclass(frozen=True)
class Difference:
    """Difference of a figure of two classifiers, with a 95 % bootstrap interval.

    Parameters
    ----------
    value, low, high : float
        ``low`` and ``high`` are NaN where there are too few units.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassDifferences:
    """Differences of two classifiers on the same samples; above zero the first is better.

    Parameters
    ----------
    samples : int
    units : int
        Resampled units: groups, or samples without groups.
    grouped : bool
    macro_f1 : Difference
    p_value : float
        Two-sided, of equal macro-F1, by the same bootstrap; NaN if undecidable.
    precision, recall, f1 : tuple of Difference, length K
    only_first, only_second : int
        Samples that only one of the two has right.
    mcnemar_p_value : float
        Exact and two-sided, of equal accuracy. It assumes independent samples, so with groups it is
        too small.
    resamples, seed : int
    reason : str or None
        Why the bootstrap is undecidable, or None.
    """

    samples: int
    units: int
    grouped: bool
    macro_f1: Difference
    p_value: float
    precision: tuple[Difference, ...]
    recall: tuple[Difference, ...]
    f1: tuple[Difference, ...]
    only_first: int
    only_second: int
    mcnemar_p_value: float
    resamples: int
    seed: int
    reason: str | None = None

    def spec(self) -> dict[str, Any]:
        """JSON of everything, null for NaN."""
        return dict(strict(asdict(self)))


def class_differences(
    truth: ArrayLike,
    probabilities_a: ArrayLike,
    probabilities_b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
    n_boot: int = 2000,
) -> ClassDifferences:
    """Differences of two classifiers on the same samples, with intervals.

    Groups are drawn whole, with replacement: samples of one patient or day are not independent, and
    drawing them one by one makes intervals too narrow. A class that is absent from a resample has
    figures of 0 for both, so a difference in a class of few groups is never significant.

    Parameters
    ----------
    truth : (N,) int, from 0 to K - 1
    probabilities_a, probabilities_b : (N, K) float
        Differences are a minus b.
    groups : (N,) text or whole number, optional
    seed : int
    n_boot : int, >= 1

    Raises
    ------
    DataError
        Invalid samples, as in `evaluate`.

    Notes
    -----
    Intervals are percentiles; the p-value is twice the smaller share of resamples on one side of
    zero, with the estimate counted too, so it is never 0 and agrees with the interval.

    Examples
    --------
    >>> truth = np.tile([0, 1], 50)
    >>> good = np.where(truth[:, None] == [0, 1], 0.8, 0.2)
    >>> result = class_differences(truth, good, good[::-1])
    >>> result.macro_f1.value, result.only_first, result.p_value < 0.01
    (1.0, 100, True)
    """
    columns = np.shape(probabilities_a)[1] if np.ndim(probabilities_a) == 2 else 2
    labels, first, _, problems = _checked(truth, probabilities_a, columns, None)
    _, second, _, more = _checked(truth, probabilities_b, columns, None)
    problems += [p for p in more if p not in problems]
    ids = None if groups is None else np.asarray(groups)
    if ids is not None and ids.shape != labels.shape:
        problems.add(f"groups have shape {ids.shape}", f"{labels.shape}, one per sample")
    DataError.raise_for(problems)
    chosen = first.argmax(axis=1), second.argmax(axis=1)
    counts, times = _units(labels, chosen, columns, ids)
    whole = np.tensordot(times, counts, 1)
    observed = _contrast(whole[np.newaxis])[0]
    units = int(times.sum())
    reason = None
    if units < FEWEST_UNITS:
        unit = "samples" if ids is None else "groups"
        reason = f"{units} {unit}, at least {FEWEST_UNITS} are needed"
        low = high = np.full(len(observed), np.nan)
        p_value = float("nan")
    else:
        flat = counts.reshape(len(times), -1).astype(np.float64)
        sums = resampled_sums(flat, times, n_boot, seed)
        drawn = _contrast(sums.reshape(n_boot, *counts.shape[1:]))
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        side = min((drawn[:, 0] <= 0).sum(), (drawn[:, 0] >= 0).sum())
        p_value = float(min(1.0, 2 * (1 + side) / (1 + n_boot)))
    differences = [Difference(*row) for row in np.stack([observed, low, high], axis=1).tolist()]
    accuracy_test = mcnemar(labels, *chosen)
    return ClassDifferences(
        samples=len(labels),
        units=units,
        grouped=ids is not None,
        macro_f1=differences[0],
        p_value=p_value,
        precision=tuple(differences[1 : columns + 1]),
        recall=tuple(differences[columns + 1 : 2 * columns + 1]),
        f1=tuple(differences[2 * columns + 1 :]),
        only_first=accuracy_test.only_a,
        only_second=accuracy_test.only_b,
        # Right on the same samples: no evidence against equal accuracy.
        mcnemar_p_value=1.0 if accuracy_test.reason else accuracy_test.p_value,
        resamples=n_boot,
        seed=seed,
        reason=reason,
    )


def _units(
    truth: Counts, chosen: tuple[Counts, Counts], classes: int, groups: NDArray[Any] | None
) -> tuple[Counts, Counts]:
    """Confusion matrices of every distinct unit, (U, 2, K, K), and its number of occurrences, (U,).

    Equal units are merged, so there are at most K^3 of them without groups.
    """
    square = classes**2
    if groups is None:
        kind = (truth * classes + chosen[0]) * classes + chosen[1]
        kinds, place, times = np.unique(kind, return_index=True, return_counts=True)
        truth, chosen = truth[place], (chosen[0][place], chosen[1][place])
        of = np.arange(len(kinds))
    else:
        of = np.unique(groups, return_inverse=True)[1]
        times = np.ones(int(of.max()) + 1, dtype=np.int64)
    cells = [of * square + truth * classes + each for each in chosen]
    flat = [np.bincount(cell, minlength=len(times) * square) for cell in cells]
    counts = np.stack([count.reshape(len(times), square) for count in flat], axis=1)
    if groups is not None:
        counts, times = np.unique(counts, axis=0, return_counts=True)
    return counts.reshape(len(times), 2, classes, classes), times


def _contrast(counts: NDArray[Any]) -> Floats:
    """Macro-F1, then precision, recall and F1 of each class, first minus second, (B, 1 + 3K)."""
    precision, recall, f1 = (figure[:, 0] - figure[:, 1] for figure in rates(counts))
    return np.concatenate([f1.mean(axis=1, keepdims=True), precision, recall, f1], axis=1)


def _cost(truth: Counts, chosen: Counts, probabilities: Floats, matrix: Floats) -> Cost:
    cheapest = (probabilities @ matrix).argmin(axis=1)
    means = (float(matrix[truth, decided].mean()) for decided in (chosen, cheapest))
    return Cost(matrix, *means)


def _checked(
    truth: ArrayLike, probabilities: ArrayLike, classes: int, cost: ArrayLike | None
) -> tuple[Counts, Floats, Floats | None, Problems]:
    """Arguments as arrays, and their problems."""
    labels, scores = np.asarray(truth), np.asarray(probabilities)
    problems = Problems()
    if classes < 2:
        problems.add(f"{classes} classes", "at least two")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        message = f"truth has shape {labels.shape} and type {labels.dtype}"
        problems.add(message, "a whole number for each sample, at least one")
    else:
        bad = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(bad):
            message = f"truth[{bad[0]}] is {labels[bad[0]]} (one of {len(bad)})"
            problems.add(message, f"classes 0 to {classes - 1}")
    shape = (labels.shape[0] if labels.ndim else 0, classes)
    if scores.shape != shape or scores.dtype.kind not in "fiub":
        message = f"probabilities have shape {scores.shape} and type {scores.dtype}"
        problems.add(message, f"{shape}: a row per sample, a column per class")
    else:
        scores = scores.astype(np.float64)
        # Written so that NaN is outside.
        outside = ~((scores >= 0) & (scores <= 1 + _SUM_TOLERANCE)).all(axis=1)
        off = outside | ~(np.abs(scores.sum(axis=1) - 1) <= _SUM_TOLERANCE)
        if off.any():
            at = int(off.argmax())
            message = f"probabilities[{at}] are {scores[at].tolist()!s:.80} (one of {off.sum()})"
            problems.add(message, "numbers from 0 to 1 whose sum is 1")
    matrix = None
    if cost is not None:
        matrix = np.asarray(cost)
        if matrix.shape != (classes, classes) or matrix.dtype.kind not in "fiu":
            message = f"the cost matrix has shape {matrix.shape} and type {matrix.dtype}"
            problems.add(message, f"numbers of shape {(classes, classes)}")
        elif not np.isfinite(matrix).all():
            problems.add("the cost matrix is not finite", "a number in every cell")
        else:
            matrix = matrix.astype(np.float64)
    return labels, scores, matrix, problems
