"""Improvement of a classifier over its parent, on the same samples."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats
from podium.stats._checks import resampling
from podium.stats._resampling import resampled_sums
from podium.stats.block_bootstrap import percentiles
from podium.stats.class_figures import Counts, log_losses
from podium.stats.classification import Evaluation
from podium.stats.improvement import Direction, Improvement, improvement
from podium.stats.paired_bootstrap import FEWEST_GROUPS, FEWEST_SAMPLES

# Figures that are functions of sums over samples, so that a resample is one product.
RESAMPLED = ("macro_f1", "weighted_f1", "accuracy", "balanced_accuracy", "log_loss", "brier")
LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error", "cost", "cost_minimised")


def improvements_of_classes(
    parent: Evaluation,
    child: Evaluation,
    truth: ArrayLike,
    of_parent: ArrayLike,
    of_child: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> dict[str, Improvement]:
    """Signed change of every figure, with bootstrap intervals from common resamples.

    Parameters
    ----------
    parent, child : Evaluation
        Figures of each on these samples.
    truth : (N,) int, from 0 to K - 1
    of_parent, of_child : (N, K) float
        Probabilities of each.
    groups : (N,), optional
        Group of each sample, such as its patient or its day; groups are drawn whole.
    confidence : float in (0, 1)
        Share of the resampled improvements inside the interval.
    repeats : int, >= 100
    seed : int, >= 0
        The same seed gives the same intervals.

    Returns
    -------
    dict of str to Improvement
        Every figure that is defined for either. `macro_f1`, `weighted_f1`, `accuracy`,
        `balanced_accuracy`, `log_loss` and `brier` have an interval, or a reason why there is none:
        fewer than 30 samples or 10 groups, or a parent's figure that is 0 in resamples. There is no
        percentage where the parent's figure is smaller than its bootstrap standard error.

    Raises
    ------
    UsageError
        An option outside its bounds.

    Examples
    --------
    >>> from podium.stats.classification import evaluate
    >>> truth = np.tile([0, 1], 50)
    >>> sure, unsure = (np.where(truth[:, None] == [0, 1], p, 1 - p) for p in (0.8, 0.6))
    >>> both = [evaluate(truth, p, ["calm", "storm"]) for p in (unsure, sure)]
    >>> change = improvements_of_classes(*both, truth, unsure, sure)["log_loss"]
    >>> [round(x, 4) for x in (change.low, change.percent, change.high)]
    [56.3171, 56.3171, 56.3171]
    """
    level, count, start = resampling(confidence, repeats, seed)
    before, after = parent.scalars(), child.scalars()
    names = [name for name in before if name in after and not name.rpartition("_")[2].isdigit()]
    labels = np.asarray(truth)
    sums = [_sums(labels, np.asarray(p, dtype=np.float64)) for p in (of_parent, of_child)]
    units = np.concatenate(sums, axis=1)
    few = f"{len(labels)} samples, at least {FEWEST_SAMPLES} are needed"
    enough = len(labels) >= FEWEST_SAMPLES
    if groups is not None:
        units = _by_group(units, np.asarray(groups))
        few = f"{len(units)} groups, at least {FEWEST_GROUPS} are needed"
        enough = len(units) >= FEWEST_GROUPS
    drawn = None
    if enough:
        # Figures of both in each resample, (repeats, 2, figures).
        sums_drawn = resampled_sums(units, np.ones(len(units), np.int64), count, start)
        drawn = _figures(sums_drawn.reshape(count, 2, -1), len(child.class_names))

    def change(name: str) -> Improvement:
        direction: Direction = "min" if name in LOWER_IS_BETTER else "max"
        if name not in RESAMPLED or drawn is None:
            one = improvement(before[name], after[name], direction)
            why = few if name in RESAMPLED and one.reason is None else None
            return replace(one, interval_reason=why)
        at = RESAMPLED.index(name)
        first, second = drawn[:, 0, at], drawn[:, 1, at]
        one = improvement(before[name], after[name], direction, standard_error=float(first.std()))
        if one.reason is not None:
            return one
        sign = 1.0 if direction == "max" else -1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = 100.0 * sign * (second - first) / np.abs(first)
        low, high, _, why = percentiles(shares, level)
        return replace(one, low=low, high=high, interval_reason=why)

    known = [n for n in names if not (math.isnan(before[n]) and math.isnan(after[n]))]
    return {name: change(name) for name in known}


def _sums(truth: Counts, probabilities: Floats) -> Floats:
    """Terms of the figures, a row per sample, (N, 3K + 2).

    Per class: true, predicted, and both; then the two losses.
    """
    classes = np.arange(probabilities.shape[1])
    true = truth[:, np.newaxis] == classes
    chosen = probabilities.argmax(axis=1)[:, np.newaxis] == classes
    losses = log_losses(truth, probabilities), np.square(true - probabilities).sum(axis=1)
    return np.concatenate([true, chosen, true & chosen, np.stack(losses, axis=1)], axis=1)


def _by_group(units: Floats, groups: NDArray[Any]) -> Floats:
    """Sums over the samples of each group."""
    names, of = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), units.shape[1]))
    np.add.at(sums, of, units)
    return sums


def _figures(sums: Floats, classes: int) -> Floats:
    """Resampled figures from sums over samples, (..., figures)."""
    true, chosen, right = (sums[..., k * classes : (k + 1) * classes] for k in range(3))
    total = true.sum(axis=-1)
    f1 = 2 * right / np.maximum(true + chosen, 1.0)
    recall = right / np.maximum(true, 1.0)
    return np.stack(
        [
            f1.mean(axis=-1),
            (f1 * true).sum(axis=-1) / total,
            right.sum(axis=-1) / total,
            recall.sum(axis=-1) / (true > 0.0).sum(axis=-1),
            sums[..., -2] / total,
            sums[..., -1] / total,
        ],
        axis=-1,
    )
