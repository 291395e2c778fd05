"""Paired bootstrap of any metric of two predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.errors import DataError
from podium.stats._checks import finite_or_nan, resampling, same_length
from podium.stats.block_bootstrap import percentiles

FEWEST_SAMPLES = 30
"""Fewest samples."""

FEWEST_GROUPS = 10
"""Fewest groups, where samples are drawn by group."""


@dataclass(frozen=True, slots=True)
class PairedBootstrap:
    """Difference of a metric between two predictions, with its interval and p-value.

    Parameters
    ----------
    difference : float
        Metric of the first less that of the second.
    low, high : float
        Interval of the difference (percentiles of the resamples). NaN if undecidable.
    p_value : float in [0, 1]
        Two-sided, of no difference. NaN if undecidable.
    metric_a, metric_b : float
        Metric of each on all samples.
    confidence : float in (0, 1)
        Share of the resampled differences in the interval.
    n, n_groups : int
        Samples and groups; without groups each sample is one.
    draws : int
        Resamples with two finite metrics.
    reason : str or None
        Why it is undecidable.
    """

    difference: float
    low: float
    high: float
    p_value: float
    metric_a: float
    metric_b: float
    confidence: float
    n: int
    n_groups: int
    draws: int
    reason: str | None = None


def paired_bootstrap(
    metric: Callable[[Any, Any], float],
    truth: ArrayLike,
    prediction_a: ArrayLike,
    prediction_b: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> PairedBootstrap:
    """Difference of any metric on the same samples, resampled by sample or by group.

    Parameters
    ----------
    metric : callable
        Function of truth and one prediction, resampled with the same rows, that returns a number.
        It is called twice per resample.
    truth : (N, ...) array
        True labels or numbers.
    prediction_a, prediction_b : (N, ...) array
        Labels, numbers, or rows of probabilities.
    groups : (N,) array of labels, optional
        Group of each sample, such as its patient or its day; groups are drawn whole. Samples of one
        group are not independent, and drawing them one by one makes the interval too narrow.
    confidence : float in (0, 1)
        Share of the resampled differences inside the interval.
    repeats : int, >= 100
        Resamples; no p-value is below 2 / (repeats + 1).
    seed : int, >= 0
        The same seed gives the same result.

    Returns
    -------
    PairedBootstrap
        With NaN and a `reason` for fewer than 30 samples or 10 groups, for predictions that never
        differ, and where the metric is NaN or infinite for all samples or for more than a
        twentieth of the resamples (as when a rare class is absent from them).

    Raises
    ------
    DataError
        Arrays of different lengths or without rows, NaN or infinite numbers, or groups that are
        not one-dimensional.
    UsageError
        An option outside its bounds.

    Notes
    -----
    The p-value is twice the smaller share of resampled differences on one side of 0, so it is
    below 0.05 where the interval of 95 % excludes 0. It needs many groups: with 10 to 30 the
    interval is too narrow. For series in time order see `block_bootstrap`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(2, size=400)
    >>> better = np.where(rng.random(400) < 0.9, truth, 1 - truth)
    >>> worse = np.where(rng.random(400) < 0.7, truth, 1 - truth)
    >>> result = paired_bootstrap(lambda y, p: np.mean(y == p), truth, better, worse)
    >>> result.low > 0.0, result.p_value < 0.05
    (True, True)

    References
    ----------
    .. [1] Efron & Tibshirani (1993), An introduction to the bootstrap, chapters 8, 13 and 16.
    .. [2] Cameron, Gelbach & Miller (2008), Bootstrap-based improvements for inference with
       clustered errors, Review of Economics and Statistics 90(3).
    """
    level, count, start = resampling(confidence, repeats, seed)
    real, first = _rows("truth", truth), _rows("prediction_a", prediction_a)
    second = _rows("prediction_b", prediction_b)
    n = len(real)
    same_length("prediction_a", first, "truth", n)
    same_length("prediction_b", second, "truth", n)
    members = None if groups is None else _members(groups, n)
    n_groups = n if members is None else len(members)
    score_a, score_b = (
        finite_or_nan(float(metric(real, each))) if n else math.nan for each in (first, second)
    )
    difference = finite_or_nan(score_a - score_b)

    def undecided(reason: str, draws: int = 0) -> PairedBootstrap:
        return PairedBootstrap(
            difference, math.nan, math.nan, math.nan, score_a, score_b,
            level, n, n_groups, draws, reason,
        )  # fmt: skip

    if n < FEWEST_SAMPLES:
        return undecided(f"{n} samples, at least {FEWEST_SAMPLES} are needed")
    if members is not None and n_groups < FEWEST_GROUPS:
        return undecided(f"{n_groups} groups, at least {FEWEST_GROUPS} are needed")
    if first.shape == second.shape and np.array_equal(first, second):
        return undecided("the two predictions never differ")
    if math.isnan(difference):
        return undecided("the metric of all samples is not finite")
    drawn = [
        metric(real[rows], first[rows]) - metric(real[rows], second[rows])
        for rows in _draws(members, n, count, start)
    ]
    low, high, defined, reason = percentiles(np.array(drawn, dtype=np.float64), level)
    if reason:
        return undecided(reason, defined.size)
    side = int(min(np.count_nonzero(defined <= 0.0), np.count_nonzero(defined >= 0.0)))
    p_value = min(1.0, 2.0 * (1.0 + side) / (1.0 + defined.size))
    return PairedBootstrap(
        difference, low, high, p_value, score_a, score_b, level, n, n_groups, defined.size
    )


def _rows(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if not array.ndim:
        raise DataError(f"{name} is {values!r}", "an array with a row per sample")
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        raise DataError(f"{name} has numbers that are not finite", "finite numbers")
    return array


def _members(groups: ArrayLike, n: int) -> list[NDArray[np.intp]]:
    """Rows of each group."""
    labels = np.asarray(groups)
    if labels.ndim != 1:
        raise DataError(f"groups have shape {labels.shape}", "one label per sample, (N,)")
    same_length("groups", labels, "truth", n)
    _, of_sample, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return np.split(np.argsort(of_sample, kind="stable"), sizes.cumsum()[:-1])


def _draws(
    members: list[NDArray[np.intp]] | None, n: int, repeats: int, seed: int
) -> Iterator[NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        if members is None:
            yield rng.integers(n, size=n)
        else:
            chosen = rng.integers(len(members), size=len(members))
            yield np.concatenate([members[at] for at in chosen])
