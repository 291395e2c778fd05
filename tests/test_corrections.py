"""Corrections for several tests: by hand, against SciPy, and what they promise."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from podium.errors import DataError, UsageError
from podium.stats import benjamini_hochberg, holm

PROBABILITIES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


def test_holm_by_hand():
    assert holm([0.01, 0.04], of=5) == pytest.approx([0.05, 0.16])
    assert holm([0.01, 0.04], of=1) == pytest.approx(holm([0.01, 0.04]))
    with pytest.raises(UsageError, match="of is 0"):
        holm([0.01], of=0)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_by_hand():
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])


@pytest.mark.slow
@pytest.mark.parametrize("many", [1, 2, 30])
def test_they_agree_with_other_libraries(many):
    p_values = np.random.default_rng(many).random(many) ** 3
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    theirs = scipy.stats.false_discovery_control(p_values)
    assert benjamini_hochberg(p_values) == pytest.approx(theirs)


@given(PROBABILITIES)
def test_nothing_becomes_more_significant_and_holm_is_the_stricter_one(p_values):
    strict, mild = holm(p_values), benjamini_hochberg(p_values)
    assert (strict >= np.array(p_values)).all()
    assert (strict >= mild - 1e-15).all()
    assert strict.max() <= 1.0


@given(PROBABILITIES)
def test_the_order_of_the_tests_does_not_matter(p_values):
    for correct in (holm, benjamini_hochberg):
        assert correct(p_values[::-1]).tolist() == correct(p_values)[::-1].tolist()


@given(PROBABILITIES)
def test_an_undecided_test_stays_undecided_and_counts_as_one_that_found_nothing(p_values):
    for correct in (holm, benjamini_hochberg):
        found = correct([*p_values, math.nan])
        assert math.isnan(found[-1])
        assert found[:-1] == pytest.approx(correct([*p_values, 1.0])[:-1])


def test_no_test_and_only_undecided_ones_are_no_trouble():
    for correct in (holm, benjamini_hochberg):
        assert correct([]).size == 0
        assert np.isnan(correct([math.nan, math.nan])).all()
        assert correct([0.03]).tolist() == [0.03]


@pytest.mark.parametrize(
    ("p_values", "text"),
    [([0.1, 1.1], r"p_values\[1\] is 1.1"), ([-0.1], "-0.1"), ([[0.1]], "shape"), (0.1, "shape")],
)
def test_what_is_no_probability_is_refused(p_values, text):
    for correct in (holm, benjamini_hochberg):
        with pytest.raises(DataError, match=text):
            correct(p_values)


def test_holm_is_wrong_about_any_of_many_tests_as_seldom_as_it_says():
    p_values = np.random.default_rng(1).random((4000, 20))
    any_false = np.mean([holm(row).min() <= 0.05 for row in p_values])
    assert any_false == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 4000))


def test_benjamini_hochberg_keeps_the_share_of_false_alarms():
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(2000):
        scores = rng.standard_normal(20) + 3.0 * (np.arange(20) < 8)
        alarms = benjamini_hochberg(1 - scipy.special.ndtr(scores)) <= 0.05
        shares.append(alarms[8:].sum() / max(1, alarms.sum()))
    # Twelve of the twenty are nothing: 12 / 20 of the 5 per cent.
    assert np.mean(shares) == pytest.approx(0.03, abs=0.006)
