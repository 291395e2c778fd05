"""Whether the newest values of features lie as those lay that a model was trained on."""

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
"""Shortest window that is looked at, in bars."""

FEWEST_WINDOWS = 20
"""Training must be so many windows long, so that five in a hundred can be told from all."""

# Training windows overlap by three quarters: more of them, nothing between two is missed.
_STEPS = 4


@dataclass(frozen=True, eq=False)
class Baseline:
    """How features lay in training, and how far a stretch of training lies from the rest of it.

    Parameters
    ----------
    window : int
        Bars of a stretch.
    edges : (F, K - 1) float
        Inner borders of K bins for each feature: its quantiles, ascending.
    counts : (F, K) float
        Values of the training bars in each bin.
    usual : (F,) float
        Median stability index of the stretches that moved at all, 0 where none did; what a feature
        usually moves by.
    furthest : (B,) float
        Of each stretch the largest index over the features, each in units of `usual`; ascending.
    """

    window: int
    edges: Floats
    counts: Floats
    usual: Floats
    furthest: Floats


@dataclass(frozen=True, eq=False)
class Drift:
    """How far the newest bars lie from training.

    Parameters
    ----------
    index : (F,) float
        Population stability index of each feature. NaN where none of its values is known.
    usual : (F,) float
        What it usually is between a stretch of training as long and the rest.
    p_value : float in (0, 1]
        Share of those stretches in which some feature moved as far as the one that moved most does
        now, the newest bars counted among them. NaN if undecidable.
    furthest : int
        The feature that moved most, in units of `usual`; -1 if undecidable.
    reason : str or None
        Why nothing can be said.
    """

    index: Floats
    usual: Floats
    p_value: float
    furthest: int
    reason: str | None = None


def stability_index(expected: ArrayLike, actual: ArrayLike) -> float:
    """Population stability index of two histograms; 0 where they agree.

    Parameters
    ----------
    expected, actual : (K,) float, >= 0
        Counts in the same bins. To both half a count a bin is added, dealt out as both together
        lie, so that an empty bin gives no infinity and equal shares give exactly 0.

    Returns
    -------
    float >= 0
        ``sum((a - e) ln(a / e))`` over the shares of both, which is the sum of both relative
        entropies.

    Raises
    ------
    DataError
        Other shapes, a negative count, or none at all.

    Notes
    -----
    The customary limits (0.1 look, 0.25 act, [1]_) are for independent samples of thousands. Its
    expectation without any change is about (K - 1)(1/n + 1/m) [2]_, and far more where bars depend
    on one another: of 63 bars of a feature that keeps 0.98 of the one before, 87 of 100 undrifted
    windows exceed 0.25 (39 where it keeps 0.9, none where it keeps nothing). Hence `feature_drift`,
    which asks what is usual.

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
        raise DataError(
            "a histogram with a negative count, or without any", "counts of some values"
        )
    return float(_indices(first, second))


def feature_baseline(values: ArrayLike, window: int, *, bins: int = BINS) -> Baseline:
    """What newer values of the same features can be held against.

    Parameters
    ----------
    values : (T, S, F) float
        Features of S series in T training bars, in time order; NaN where not known.
    window : int, >= 5
        Bars of the stretches that will be looked at. Shortened to a twentieth of the training
        bars where it is longer than that.
    bins : int, >= 2
        Quantile bins of a feature.

    Raises
    ------
    DataError
        Another shape, or fewer than 100 bars: no twenty stretches of five.
    UsageError
        An option outside its bounds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> train = rng.standard_normal((500, 2, 3))
    >>> found = feature_baseline(train, 20)
    >>> float(feature_drift(found, rng.standard_normal((20, 2, 3))).p_value) > 0.05
    True
    >>> moved = feature_drift(found, rng.standard_normal((20, 2, 3)) + [0.0, 1.0, 0.0])
    >>> moved.p_value < 0.05, moved.furthest
    (True, 1)
    """
    table, asked, k = _values(values), whole("window", window, FEWEST_BARS), whole("bins", bins, 2)
    bars = len(table)
    length = min(asked, bars // FEWEST_WINDOWS)
    if length < FEWEST_BARS:
        raise DataError(
            f"{bars} training bars", f"at least {FEWEST_BARS * FEWEST_WINDOWS}, or nothing is usual"
        )
    flat = table.reshape(-1, table.shape[-1])
    known = np.where(np.isfinite(flat).any(axis=0), flat, 0.0)
    edges = np.nanquantile(known, np.arange(1, k) / k, axis=0).T
    counts = _counted(table, edges)
    whole_of = counts.sum(axis=0)
    running = np.concatenate([np.zeros((1, *counts.shape[1:])), counts.cumsum(axis=0)])
    starts = np.arange(0, bars - length + 1, max(1, length // _STEPS))
    parts = running[starts + length] - running[starts]
    # Against the rest: a stretch that is part of what it is held against looks nearer than it is.
    indices = _indices(whole_of - parts, parts)
    # A feature that lies still in most stretches is measured by those in which it does not.
    usual = np.array([np.median(of[of > 0]) if of.any() else 0.0 for of in indices.T])
    furthest = _in_units(indices, usual).max(axis=1)
    return Baseline(length, edges, whole_of, usual, np.sort(furthest))


def feature_drift(baseline: Baseline, recent: ArrayLike) -> Drift:
    """How far the newest bars' features lie from training, beside what is usual.

    Parameters
    ----------
    baseline : Baseline
        Of the training bars.
    recent : (W, S, F) float
        The newest ``baseline.window`` bars of the same features; NaN where not known.

    Returns
    -------
    Drift
        Undecidable with fewer bars than that, or where no feature has a known value.

    Raises
    ------
    DataError
        Other features.

    Notes
    -----
    Stretches of the training as long as the window give the distribution of the statistic, with
    all dependence between bars, series and features in it: subsampling, [1]_. One statistic (the
    feature that moved most) is looked at, so many features are no many looks; many nights are.

    Measured on five undrifted features of 4 series that share half of their shocks, 1,260 training
    bars and windows of 63, each bar keeping 0, 0.9 or 0.98 of the one before (300 runs, 100 for the
    level 0.05; the first two are simulated again by `tests/test_stability.py`). An alarm at a
    p-value of 0.05 in 5, 8 and 16 of 100 looks, at 0.02 (further than nearly any stretch of
    training) in 2, 3 and 7. Looked at every third night of a year, at least one in 52, 55 and 59 of
    100 years at 0.05, and in 24, 29 and 34 at 0.02: nights share most of their bars, but a year
    holds several looks. A shift of one feature by its standard deviation was found within the year
    in 100, 94 and 77 of 100 at 0.05, in 100, 77 and 53 at 0.02.

    References
    ----------
    .. [1] Politis, Romano & Wolf (1999), Subsampling, Springer.
    """
    table = _values(recent)
    if table.shape[-1] != len(baseline.edges):
        raise DataError(f"{table.shape[-1]} features", f"{len(baseline.edges)}, as in training")
    counts = _counted(table[-baseline.window :], baseline.edges).sum(axis=0)
    there = counts.sum(axis=1) > 0
    index = np.where(there, _indices(baseline.counts, counts), math.nan)
    reason = None
    if len(table) < baseline.window:
        reason = f"{len(table)} bars, {baseline.window} are looked at"
    elif not there.any():
        reason = "no feature has a known value"
    if reason:
        return Drift(index, baseline.usual, math.nan, -1, reason)
    moved = np.where(there, _in_units(index, baseline.usual), 0.0)
    furthest = int(moved.argmax())
    as_far = int(np.count_nonzero(baseline.furthest >= moved[furthest]))
    p_value = (1 + as_far) / (1 + len(baseline.furthest))
    return Drift(index, baseline.usual, p_value, furthest)


def _values(values: ArrayLike) -> Floats:
    found: Floats = np.asarray(values, dtype=np.float64)
    if found.ndim != 3 or not found.shape[-1]:
        raise DataError(f"features of shape {found.shape}", "bars, series, features: (T, S, F)")
    return found


def _counted(values: Floats, edges: Floats) -> Floats:
    """How many series are in each bin, (T, F, K)."""
    bins = edges.shape[1] + 1
    found = np.zeros((len(values), len(edges), bins))
    for feature, borders in enumerate(edges):
        column = values[:, :, feature]
        place = np.searchsorted(borders, column)
        for k in range(bins):
            found[:, feature, k] = ((place == k) & np.isfinite(column)).sum(axis=1)
    return found


def _indices(expected: Floats, actual: Floats) -> Floats:
    """Stability index over the last axis."""
    added = 0.5 * expected.shape[-1]
    wanted, found = (counts.sum(axis=-1, keepdims=True) for counts in (expected, actual))
    # Of counts exactly: two equal shares may differ in their last digit once they are divided.
    differ = expected * found != actual * wanted
    with np.errstate(divide="ignore", invalid="ignore"):
        both = added * (expected + actual) / (wanted + found)
        before, after = (expected + both) / (wanted + added), (actual + both) / (found + added)
        terms = np.where(differ, (after - before) * np.log(after / before), 0.0)
    index: Floats = terms.sum(axis=-1)
    return index


def _in_units(indices: Floats, usual: Floats) -> Floats:
    """Indices in units of what is usual; infinite for what never moved before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        units: Floats = np.where(indices > 0, indices / usual, 0.0)
    return units
