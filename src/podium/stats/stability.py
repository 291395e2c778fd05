"""Drift of features from the training data of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import DataError
from podium.stats._checks import whole

BINS = 10
FEWEST_BARS = 5
"""Shortest window, in bars."""

FEWEST_WINDOWS = 20
"""Fewest windows of a training set, so that a p-value of 0.05 is possible."""

# Training windows overlap by three quarters, so that no shift falls between two.
_STEPS = 4


@dataclass(frozen=True, eq=False)
class Baseline:
    """Distribution of features in training, and the usual drift of a window of it.

    Parameters
    ----------
    window : int
        Bars of a window.
    edges : (F, K - 1) float
        Inner edges of K bins for each feature: its quantiles, ascending.
    counts : (F, K) float
        Values of the training bars in each bin.
    usual : (F,) float
        Median non-zero stability index of the windows against the rest of training; 0 without any.
    furthest : (B,) float
        Largest index over the features of each window, in units of `usual`; ascending.
    """

    window: int
    edges: Floats
    counts: Floats
    usual: Floats
    furthest: Floats


@dataclass(frozen=True, eq=False)
class Drift:
    """Drift of the newest bars from training.

    Parameters
    ----------
    index : (F,) float
        Population stability index of each feature. NaN without a known value.
    usual : (F,) float
        Usual index of a training window of the same length.
    p_value : float in (0, 1]
        Share of windows, the newest included, whose largest index in units of `usual` is at least
        that of the newest. NaN if undecidable.
    furthest : int
        Feature with the largest index in units of `usual`; -1 if undecidable.
    reason : str or None
        Why it is undecidable.
    """

    index: Floats
    usual: Floats
    p_value: float
    furthest: int
    reason: str | None = None


def stability_index(expected: ArrayLike, actual: ArrayLike) -> float:
    """Population stability index of two histograms; 0 where their shares are equal.

    Parameters
    ----------
    expected, actual : (K,) float, >= 0
        Counts in the same bins. Half a count per bin, distributed as the pooled counts, is added to
        both, so that an empty bin is finite and equal shares give exactly 0.

    Returns
    -------
    float >= 0
        ``sum((a - e) ln(a / e))`` over the shares: the sum of both relative entropies.

    Raises
    ------
    DataError
        Different shapes, a negative count, or no counts.

    Notes
    -----
    The customary limits of 0.1 and 0.25 [1]_ are for thousands of independent samples. Without
    drift its expectation is about (K - 1)(1/n + 1/m) [2]_, and far more for autocorrelated bars: of
    undrifted windows of 63 bars, 87 % exceed 0.25 with an autocorrelation of 0.98, 39 % with 0.9,
    none with 0. `feature_drift` compares it with the usual index instead.

    Examples
    --------
    >>> stability_index([10, 10, 10], [10, 10, 10])
    0.0
    >>> stability_index([2, 0, 0], [300, 0, 0])
    0.0
    >>> stability_index([100, 100], [200, 10]) > 0.25
    True

    References
    ----------
    .. [1] Siddiqi (2006), Credit Risk Scorecards, Wiley.
    .. [2] Yurdakul & Naranjo (2020), Statistical properties of the population stability index,
       J. Risk Model Validation 14(4).
    """
    first, second = np.asarray(expected, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise DataError(f"histograms of shapes {first.shape} and {second.shape}", "(K,) both")
    if (first < 0).any() or (second < 0).any() or not first.sum() or not second.sum():
        raise DataError("a histogram with a negative count or without any", "some counts, >= 0")
    return float(_indices(first, second))


def feature_baseline(values: ArrayLike, window: int, *, bins: int = BINS) -> Baseline:
    """Baseline of the training bars for `feature_drift`.

    Parameters
    ----------
    values : (T, S, F) float
        Features of S series in T training bars, in time order; NaN where missing.
    window : int, >= 5
        Bars of a window; at most a twentieth of the training bars is used.
    bins : int, >= 2
        Quantile bins per feature.

    Raises
    ------
    DataError
        Another shape, or fewer than 100 bars (20 windows of 5).
    UsageError
        An option outside its bounds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> train = rng.standard_normal((500, 2, 3))
    >>> baseline = feature_baseline(train, 20)
    >>> float(feature_drift(baseline, rng.standard_normal((20, 2, 3))).p_value) > 0.05
    True
    >>> moved = feature_drift(baseline, rng.standard_normal((20, 2, 3)) + [0.0, 1.0, 0.0])
    >>> moved.p_value < 0.05, moved.furthest
    (True, 1)
    """
    table, most, k = _values(values), whole("window", window, FEWEST_BARS), whole("bins", bins, 2)
    bars = len(table)
    length = min(most, bars // FEWEST_WINDOWS)
    if length < FEWEST_BARS:
        raise DataError(
            f"{bars} training bars", f"at least {FEWEST_BARS * FEWEST_WINDOWS} for a drift baseline"
        )
    flat = table.reshape(-1, table.shape[-1])
    known = np.where(np.isfinite(flat).any(axis=0), flat, 0.0)
    edges = np.nanquantile(known, np.arange(1, k) / k, axis=0).T
    counts = _counted(table, edges)
    totals = counts.sum(axis=0)
    running = np.concatenate([np.zeros((1, *counts.shape[1:])), counts.cumsum(axis=0)])
    starts = np.arange(0, bars - length + 1, max(1, length // _STEPS))
    parts = running[starts + length] - running[starts]
    # Against the rest: a window that is part of its reference looks too close to it.
    indices = _indices(totals - parts, parts)
    # A feature that is constant in most windows is scaled by the others.
    usual = np.array([np.median(of[of > 0]) if of.any() else 0.0 for of in indices.T])
    furthest = _in_units(indices, usual).max(axis=1)
    return Baseline(length, edges, totals, usual, np.sort(furthest))


def feature_drift(baseline: Baseline, recent: ArrayLike) -> Drift:
    """Drift of the newest bars' features from training, relative to the usual drift.

    Parameters
    ----------
    baseline : Baseline
        Baseline of the training bars.
    recent : (W, S, F) float
        The newest ``baseline.window`` bars of the same features; NaN where missing.

    Returns
    -------
    Drift
        Undecidable with fewer bars, or without a known value.

    Raises
    ------
    DataError
        A different number of features.

    Notes
    -----
    Training windows give the distribution of the statistic, with its dependence between bars,
    series and features: subsampling [1]_. The statistic is the maximum over features, so the number
    of features needs no correction; the number of tests over time does.

    Simulated with five undrifted features of 4 series that share half of their shocks, 1,260
    training bars, windows of 63 and an autocorrelation of 0, 0.9 or 0.98 (300 runs, 100 for the
    level 0.05; `tests/test_stability.py` repeats the first two). A single test alarms in 5, 8 and
    16 % at a p-value of 0.05, and in 2, 3 and 7 % at 0.02. Tested every third day, a year has at
    least one alarm in 52, 55 and 59 % at 0.05, and in 24, 29 and 34 % at 0.02. A shift of one
    feature by its standard deviation is detected within the year in 100, 94 and 77 % at 0.05, and
    in 100, 77 and 53 % at 0.02.

    References
    ----------
    .. [1] Politis, Romano & Wolf (1999), Subsampling, Springer.
    """
    table = _values(recent)
    if table.shape[-1] != len(baseline.edges):
        raise DataError(f"{table.shape[-1]} features", f"{len(baseline.edges)}, as in training")
    counts = _counted(table[-baseline.window :], baseline.edges).sum(axis=0)
    known = counts.sum(axis=1) > 0
    index = np.where(known, _indices(baseline.counts, counts), math.nan)
    reason = None
    if len(table) < baseline.window:
        reason = f"{len(table)} bars, {baseline.window} are needed"
    elif not known.any():
        reason = "no feature has a known value"
    if reason:
        return Drift(index, baseline.usual, math.nan, -1, reason)
    moved = np.where(known, _in_units(index, baseline.usual), 0.0)
    furthest = int(moved.argmax())
    as_far = int(np.count_nonzero(baseline.furthest >= moved[furthest]))
    p_value = (1 + as_far) / (1 + len(baseline.furthest))
    return Drift(index, baseline.usual, p_value, furthest)


def _values(values: ArrayLike) -> Floats:
    array: Floats = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or not array.shape[-1]:
        raise DataError(f"features of shape {array.shape}", "bars, series, features: (T, S, F)")
    return array


def _counted(values: Floats, edges: Floats) -> Floats:
    """Number of series in each bin, (T, F, K)."""
    bins = edges.shape[1] + 1
    counts = np.zeros((len(values), len(edges), bins))
    for feature, borders in enumerate(edges):
        column = values[:, :, feature]
        place = np.searchsorted(borders, column)
        for k in range(bins):
            counts[:, feature, k] = ((place == k) & np.isfinite(column)).sum(axis=1)
    return counts


def _indices(expected: Floats, actual: Floats) -> Floats:
    """Stability index over the last axis."""
    added = 0.5 * expected.shape[-1]
    n_expected, n_actual = (counts.sum(axis=-1, keepdims=True) for counts in (expected, actual))
    # Counts are compared exactly: equal shares may differ in the last digit after division.
    differ = expected * n_actual != actual * n_expected
    with np.errstate(divide="ignore", invalid="ignore"):
        both = added * (expected + actual) / (n_expected + n_actual)
        before = (expected + both) / (n_expected + added)
        after = (actual + both) / (n_actual + added)
        terms = np.where(differ, (after - before) * np.log(after / before), 0.0)
    index: Floats = terms.sum(axis=-1)
    return index


def _in_units(indices: Floats, usual: Floats) -> Floats:
    """Indices in units of the usual index; infinite where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        units: Floats = np.where(indices > 0, indices / usual, 0.0)
    return units
