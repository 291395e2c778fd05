"""Classification: classes and probabilities in, numbers out.

Figures are scikit-learn's with ``labels=range(K)`` and ``zero_division=0``: a class that is neither
there nor chosen has precision, recall and F1 of 0, and counts as 0 in the macro mean of F1.
Balanced accuracy is the mean recall of the classes that are there. Areas under curves have no value
for a class that is not there (scikit-learn warns, and gives 0 for average precision): NaN here,
left out of the macro mean. The chosen class is the likeliest, the first of equally likely ones.
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
"""Below this many groups (or samples without groups) a bootstrap says nothing."""

POINTS = ("precision", "recall", "f1", "flagged", "false_positive_rate")
"""Figures of each threshold of a curve, as they are written."""

# Single precision softmax and files rounded to six decimals pass, logits and percentages do not.
_SUM_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Cost:
    """What the decisions cost.

    Parameters
    ----------
    matrix : (K, K) float
        Cost of choosing the column's class where the row's is true; below zero is a gain.
    chosen : float
        Mean cost a sample of the likeliest classes.
    minimised : float
        Mean cost a sample of the classes whose expected cost under the probabilities is lowest.
    """

    matrix: Floats
    chosen: float
    minimised: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All figures of a classifier on some samples; made by `evaluate`.

    Parameters
    ----------
    class_names : tuple of str, length K
    samples : int
    confusion : (K, K) int
        Samples by class (row) and chosen class (column).
    precision, recall, f1 : (K,) float
    support : (K,) int
        Samples of each class.
    pr_auc, roc_auc : (K,) float
        NaN for a class without samples.
    macro_f1, weighted_f1, accuracy, balanced_accuracy, log_loss, brier, calibration_error : float
    pr_auc_macro, roc_auc_macro : float
        Mean over the classes that have one; NaN where none has.
    curves : tuple of Curve, length K
        With every distinct score.
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
        """Every single number by name; those of a class end with its index: ``recall_2``."""
        found: dict[str, float] = {
            field.name: getattr(self, field.name) for field in fields(self) if field.type == "float"
        }
        if self.cost:
            found |= {"cost": self.cost.chosen, "cost_minimised": self.cost.minimised}
        for name in ("precision", "recall", "f1", "pr_auc", "roc_auc"):
            found |= {f"{name}_{k}": v for k, v in enumerate(getattr(self, name).tolist())}
        return found

    def spec(self) -> dict[str, Any]:
        """JSON of everything, null for NaN; at most 200 points of each curve."""
        told: dict[str, Any] = {
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
        found: dict[str, Any] = strict(told)
        return found


def evaluate(
    truth: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    *,
    cost: ArrayLike | None = None,
) -> Evaluation:
    """Every figure of a classifier.

    Parameters
    ----------
    truth : (N,) int, from 0 to K - 1
    probabilities : (N, K) float
        From 0 to 1; each row's sum is 1 within 1e-4.
    class_names : sequence of str, length K
        At least two.
    cost : (K, K) number, optional
        Cost of choosing the column's class where the row's is true.

    Raises
    ------
    DataError
        With every problem: no samples, shapes that do not fit, labels that are no class,
        probabilities that are none, costs that are not finite.

    Examples
    --------
    >>> found = evaluate([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], ["calm", "storm"])
    >>> found.confusion.tolist(), round(found.macro_f1, 4), found.scalars()["recall_0"]
    ([[1, 1], [0, 1]], 0.6667, 0.5)
    """
    names = tuple(class_names)
    labels, found, matrix, problems = _given(truth, probabilities, len(names), cost)
    DataError.raise_for(problems)
    chosen = found.argmax(axis=1)
    counts = confusion(labels, chosen, len(names))
    precision, recall, f1 = rates(counts)
    drawn = curves(labels, found)
    table = reliability(labels, found)
    pr_auc, roc_auc = (
        np.array([getattr(c, area) for c in drawn]) for area in ("pr_auc", "roc_auc")
    )
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
        log_loss=log_loss(labels, found),
        brier=brier(labels, found),
        calibration_error=table.error,
        pr_auc_macro=known_mean(pr_auc),
        roc_auc_macro=known_mean(roc_auc),
        curves=drawn,
        reliability=table,
        cost=None if matrix is None else _cost(labels, chosen, found, matrix),
    )


@dataclass(frozen=True)
class Difference:
    """A figure of one classifier minus that of another, with a 95 % bootstrap interval.

    Parameters
    ----------
    value, low, high : float
        ``low`` and ``high`` are NaN where there was too little to resample.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassDifferences:
    """How two classifiers differ on the same samples; above zero the first is better.

    Parameters
    ----------
    samples : int
    units : int
        What was resampled: groups, or samples where there are none.
    grouped : bool
    macro_f1 : Difference
    p_value : float
        Two-sided, of no difference in macro-F1, by the same bootstrap; NaN if undecidable.
    precision, recall, f1 : tuple of Difference, length K
    only_first, only_second : int
        Samples that only one of the two got right.
    mcnemar_p_value : float
        Exact and two-sided, of no difference in accuracy. It takes samples for independent, so with
        groups it is too sure of itself.
    resamples, seed : int
    reason : str or None
        Why the bootstrap cannot decide; None where it did.
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
        found: dict[str, Any] = strict(asdict(self))
        return found


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

    Whole groups are drawn with replacement where there are groups: samples of one patient or day
    are not independent, and drawn one by one they would make a chance look like a certainty. A
    class that is not in a resample has figures of 0 for both, so one that few groups have cannot be
    shown to differ.

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
        Samples that do not fit each other, as `evaluate` refuses them.

    Notes
    -----
    Intervals are percentiles; the p-value is twice the smaller share of resamples on one side of
    zero, counted with the figure itself, so it is never 0 and agrees with the interval.

    Examples
    --------
    >>> truth = np.tile([0, 1], 50)
    >>> good = np.where(truth[:, None] == [0, 1], 0.8, 0.2)
    >>> found = class_differences(truth, good, good[::-1])
    >>> found.macro_f1.value, found.only_first, found.p_value < 0.01
    (1.0, 100, True)
    """
    columns = np.shape(probabilities_a)[1] if np.ndim(probabilities_a) == 2 else 2
    labels, first, _, problems = _given(truth, probabilities_a, columns, None)
    _, second, _, more = _given(truth, probabilities_b, columns, None)
    problems += [p for p in more if p not in problems]
    ids = None if groups is None else np.asarray(groups)
    if ids is not None and ids.shape != labels.shape:
        problems.add(f"groups have shape {ids.shape}", f"{labels.shape}, one a sample")
    DataError.raise_for(problems)
    chosen = first.argmax(axis=1), second.argmax(axis=1)
    counts, times = _units(labels, chosen, columns, ids)
    whole = np.tensordot(times, counts, 1)
    observed = _contrast(whole[np.newaxis])[0]
    units = int(times.sum())
    reason = None
    if units < FEWEST_UNITS:
        what = "samples" if ids is None else "groups"
        reason = f"{units} {what}, at least {FEWEST_UNITS} are needed"
        low = high = np.full(len(observed), np.nan)
        p_value = float("nan")
    else:
        flat = counts.reshape(len(times), -1).astype(np.float64)
        sums = resampled_sums(flat, times, n_boot, seed)
        drawn = _contrast(sums.reshape(n_boot, *counts.shape[1:]))
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        side = min((drawn[:, 0] <= 0).sum(), (drawn[:, 0] >= 0).sum())
        p_value = float(min(1.0, 2 * (1 + side) / (1 + n_boot)))
    found = [Difference(*row) for row in np.stack([observed, low, high], axis=1).tolist()]
    accuracy_test = mcnemar(labels, *chosen)
    return ClassDifferences(
        samples=len(labels),
        units=units,
        grouped=ids is not None,
        macro_f1=found[0],
        p_value=p_value,
        precision=tuple(found[1 : columns + 1]),
        recall=tuple(found[columns + 1 : 2 * columns + 1]),
        f1=tuple(found[2 * columns + 1 :]),
        only_first=accuracy_test.only_a,
        only_second=accuracy_test.only_b,
        # Right on the same samples: nothing speaks against equal accuracy.
        mcnemar_p_value=1.0 if accuracy_test.reason else accuracy_test.p_value,
        resamples=n_boot,
        seed=seed,
        reason=reason,
    )


def _units(
    truth: Counts, chosen: tuple[Counts, Counts], classes: int, groups: NDArray[Any] | None
) -> tuple[Counts, Counts]:
    """Confusion matrices of every different unit, (U, 2, K, K), and how often it occurs, (U,).

    Units that are alike are one, so drawing single samples costs no more than K^3 kinds of them.
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
    counts = np.stack(
        [np.bincount(c, minlength=len(times) * square).reshape(len(times), square) for c in cells],
        axis=1,
    )
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


def _given(
    truth: ArrayLike, probabilities: ArrayLike, classes: int, cost: ArrayLike | None
) -> tuple[Counts, Floats, Floats | None, Problems]:
    """The arguments as arrays, and what is wrong with them."""
    labels, found = np.asarray(truth), np.asarray(probabilities)
    problems = Problems()
    if classes < 2:
        problems.add(f"{classes} classes", "at least two")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        told = f"truth has shape {labels.shape} and type {labels.dtype}"
        problems.add(told, "a whole number for each sample, at least one")
    else:
        bad = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(bad):
            told = f"truth[{bad[0]}] is {labels[bad[0]]} ({len(bad)} such)"
            problems.add(told, f"classes 0 to {classes - 1}")
    shape = (labels.shape[0] if labels.ndim else 0, classes)
    if found.shape != shape or found.dtype.kind not in "fiub":
        told = f"probabilities have shape {found.shape} and type {found.dtype}"
        problems.add(told, f"{shape}: a row a sample, a column a class")
    else:
        found = found.astype(np.float64)
        # Written so that NaN is outside.
        outside = ~((found >= 0) & (found <= 1 + _SUM_TOLERANCE)).all(axis=1)
        off = outside | ~(np.abs(found.sum(axis=1) - 1) <= _SUM_TOLERANCE)
        if off.any():
            at = int(off.argmax())
            told = f"probabilities[{at}] are {found[at].tolist()!s:.80} ({int(off.sum())} such)"
            problems.add(told, "numbers from 0 to 1 whose sum is 1")
    matrix = None
    if cost is not None:
        matrix = np.asarray(cost)
        if matrix.shape != (classes, classes) or matrix.dtype.kind not in "fiu":
            told = f"the cost matrix has shape {matrix.shape} and type {matrix.dtype}"
            problems.add(told, f"numbers of shape {(classes, classes)}")
        elif not np.isfinite(matrix).all():
            problems.add("the cost matrix is not finite", "a number in every cell")
        else:
            matrix = matrix.astype(np.float64)
    return labels, found, matrix, problems
