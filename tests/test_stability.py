"""How far new features lie from those of a training: known answers, false alarms, planted drift."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from podium.errors import DataError, UsageError
from podium.stats import feature_baseline, feature_drift, stability_index

COUNTS = arrays(np.int64, 6, elements=st.integers(0, 1000)).filter(np.any)


def test_an_index_is_the_sum_of_both_relative_entropies():
    # So many counts that half of one does not matter.
    expected, actual = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.25, 0.25])
    by_hand = ((actual - expected) * np.log(actual / expected)).sum()
    assert stability_index(1e9 * expected, 1e9 * actual) == pytest.approx(by_hand, rel=1e-6)


@given(COUNTS, COUNTS, st.integers(1, 1000))
@example(np.array([2, 0, 0, 0, 0, 0]), np.array([1, 1, 1, 1, 1, 1]), 1)
def test_an_index_is_never_negative_nor_infinite_and_zero_for_the_same_shares(
    expected, actual, times
):
    assert 0.0 <= stability_index(expected, actual) < math.inf
    assert stability_index(expected, times * expected) == 0.0
    if stability_index(expected, actual) == 0.0:
        assert (expected * actual.sum() == actual * expected.sum()).all()


@pytest.mark.parametrize("wrong", [[1.0], [-1.0, 2.0], [0.0, 0.0]])
def test_what_is_no_histogram_is_refused(wrong):
    with pytest.raises(DataError, match="histogram"):
        stability_index([1.0, 1.0], wrong)


def persistent(rng, bars, keeps, series=4, features=5):
    """Features of which each bar keeps so much of the one before; series share half of it."""
    shocks = rng.standard_normal((bars + 300, 1, features))
    shocks = math.sqrt(0.5) * (shocks + rng.standard_normal((bars + 300, series, features)))
    found = np.zeros_like(shocks)
    for t in range(1, len(found)):
        found[t] = keeps * found[t - 1] + math.sqrt(1 - keeps**2) * shocks[t]
    return found[300:]


@pytest.mark.parametrize("change", [lambda x: x + 2.0, lambda x: 4.0 * x, lambda x: 0.0 * x])
def test_a_planted_change_of_one_feature_is_found_and_named(change):
    values = persistent(np.random.default_rng(1), 1400, 0.5)
    values[1260:, :, 3] = change(values[1260:, :, 3])
    found = feature_drift(feature_baseline(values[:1260], 63), values[1260:1323])
    assert found.p_value < 0.02
    assert found.furthest == 3
    assert found.index.argmax() == 3


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100.0), st.floats(-50.0, 50.0))
@settings(max_examples=20)
def test_the_unit_of_a_feature_does_not_matter(seed, scale, offset):
    values = persistent(np.random.default_rng(seed), 300, 0.3, series=2, features=2)
    found = [
        feature_drift(feature_baseline(v[:260], 13), v[260:273])
        for v in (values, scale * values + offset)
    ]
    assert found[0].p_value == found[1].p_value
    assert found[0].index == pytest.approx(found[1].index)


def test_a_feature_of_few_values_and_one_that_never_changes_are_no_drift():
    bars = np.arange(400)
    values = np.stack([bars % 5, np.ones(400)], axis=1)[:, np.newaxis, :]
    found = feature_drift(feature_baseline(values, 15), values[-15:])
    assert found.p_value == 1.0
    assert (found.index == 0.0).all()


def test_a_feature_that_never_changed_and_does_is_named():
    rng = np.random.default_rng(5)
    values = rng.standard_normal((415, 2, 3))
    values[:, :, 1] = 1.0
    baseline = feature_baseline(values[:400], 20)
    assert baseline.usual[1] == 0.0
    assert np.isfinite(baseline.furthest).all()
    values[400:, :, 1] = 2.0
    found = feature_drift(baseline, values[395:])
    assert found.p_value == 1 / (1 + len(baseline.furthest))
    assert found.furthest == 1


def test_a_feature_that_seldom_changes_is_measured_by_the_times_it_does():
    rng = np.random.default_rng(6)
    values = np.zeros((420, 1, 1))
    values[rng.choice(400, 6, replace=False)] = 1.0
    baseline = feature_baseline(values[:400], 20)
    assert baseline.usual > 0.0
    values[400] = 1.0
    assert feature_drift(baseline, values[400:]).p_value > 0.1
    values[400:] = 1.0
    assert feature_drift(baseline, values[400:]).p_value < 0.05


def test_values_that_are_not_known_are_left_out():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((400, 3, 2))
    values[:, 2] = np.nan
    with_gap = feature_drift(feature_baseline(values[:380], 19), values[380:])
    without = feature_drift(feature_baseline(values[:380, :2], 19), values[380:, :2])
    assert with_gap.p_value == without.p_value
    nothing = feature_drift(feature_baseline(values[:380], 19), np.full((19, 3, 2), np.nan))
    assert nothing.reason == "no feature has a known value"
    assert math.isnan(nothing.p_value)


def test_a_window_is_a_twentieth_of_the_training_at_most():
    values = np.random.default_rng(3).standard_normal((200, 1, 1))
    assert feature_baseline(values, 63).window == 10
    assert feature_baseline(values, 7).window == 7
    too_few = feature_drift(feature_baseline(values, 10), values[:9])
    assert too_few.reason == "9 bars, 10 are needed"


def test_what_cannot_be_held_against_it_is_refused():
    values = np.random.default_rng(4).standard_normal((200, 1, 2))
    with pytest.raises(DataError, match="99 training bars"):
        feature_baseline(values[:99], 5)
    with pytest.raises(UsageError, match="window"):
        feature_baseline(values, 4)
    with pytest.raises(DataError, match="3 features"):
        feature_drift(feature_baseline(values, 10), np.zeros((10, 1, 3)))
    with pytest.raises(DataError, match="shape"):
        feature_baseline(values[:, 0], 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keeps", "a_look", "a_year", "found", "customary"),
    [(0.0, 0.02, 0.24, 1.0, 0.0), (0.9, 0.03, 0.29, 0.77, 0.39)],
)
def test_false_alarms_and_found_shifts_are_as_the_docstring_says(
    keeps, a_look, a_year, found, customary
):
    """A year of looks at undrifted bars, and at a feature shifted by its standard deviation."""
    bars, window, level, runs = 1260, 63, 0.02, 120
    looks, years, shifted, wide = [], [], [], []
    for seed in range(runs):
        values = persistent(np.random.default_rng(seed), bars + 252, keeps)
        baseline = feature_baseline(values[:bars], window)
        ends = range(bars + window, bars + 253, 3)
        nights = [feature_drift(baseline, values[e - window : e]) for e in ends]
        alarms = [night.p_value <= level for night in nights]
        looks.append(np.mean(alarms))
        years.append(any(alarms))
        wide.append(np.mean(nights[0].index > 0.25))
        values[bars:, :, 0] += 1.0
        shifted.append(
            any(feature_drift(baseline, values[e - window : e]).p_value <= level for e in ends)
        )
    spread = 3 * math.sqrt(0.25 / runs)
    assert np.mean(looks) == pytest.approx(a_look, abs=0.02)
    assert np.mean(years) == pytest.approx(a_year, abs=spread)
    assert np.mean(shifted) == pytest.approx(found, abs=spread)
    assert np.mean(wide) == pytest.approx(customary, abs=spread)
