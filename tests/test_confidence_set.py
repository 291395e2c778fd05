"""The model confidence set: another implementation, planted truths, and how often it is right."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looped import rest_slow
from podium.errors import DataError, UsageError
from podium.stats import model_confidence_set

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from arch.bootstrap import MCS


def losses(seed: int, n: int = 300, models: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, models)) ** 2


def test_a_clear_loser_is_out_and_a_clear_winner_stands_alone():
    values = losses(1)
    values[:, 4] += 1.0
    result = model_confidence_set(values)
    assert result.included.tolist() == [True, True, True, True, False, True]
    assert result.p_values[4] < 0.01
    values[:, 2] *= 0.1
    assert np.flatnonzero(model_confidence_set(values).included).tolist() == [2]


@pytest.mark.parametrize("seed", rest_slow(range(4), fast=1))
def test_it_agrees_with_another_implementation(seed):
    values = losses(seed, 400, 5) * np.linspace(1.0, 1.4, 5)
    theirs = MCS(values, 0.1, reps=4000, block_size=5, method="max", seed=seed)
    theirs.compute()
    expected = theirs.pvalues["Pvalue"].sort_index().to_numpy()
    ours = model_confidence_set(values, block=5, repeats=4000, seed=seed)
    # Both count resamples: two standard errors of the difference of two such shares.
    assert ours.p_values == pytest.approx(expected, abs=0.03)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(max_examples=25)
def test_one_model_at_least_is_left_and_its_p_value_is_one(seed, models):
    result = model_confidence_set(losses(seed, 40, models), repeats=100)
    assert ((result.p_values >= 0) & (result.p_values <= 1)).all()
    assert result.p_values.max() == 1.0
    assert (result.included == (result.p_values >= 0.1)).all()


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
@settings(max_examples=25)
def test_the_unit_and_the_order_of_the_models_do_not_matter(seed, unit):
    values = losses(seed, 60, 4)
    order = np.random.default_rng(seed).permutation(4)
    first = model_confidence_set(values, repeats=200)
    other = model_confidence_set(unit * values[:, order], repeats=200)
    assert other.p_values == pytest.approx(first.p_values[order], abs=0.011)


def test_a_copy_of_a_model_shares_its_p_value_and_changes_no_other():
    values = losses(2) * np.linspace(1.0, 1.5, 6)
    once = model_confidence_set(values)
    twice = model_confidence_set(values[:, [0, 1, 1, 2, 3, 4, 5, 0]])
    assert twice.p_values.tolist() == once.p_values[[0, 1, 1, 2, 3, 4, 5, 0]].tolist()


def test_models_that_are_all_one_model_are_all_in_the_set():
    result = model_confidence_set(np.repeat(losses(3, 100, 1), 4, axis=1))
    assert result.included.all()
    assert (result.p_values == 1.0).all()


@pytest.mark.parametrize("more", [1e-6, 0.1])
def test_a_model_that_always_loses_the_same_amount_more_is_certainly_worse(more):
    values = losses(4, 100, 3)
    result = model_confidence_set(np.column_stack([values, values[:, 1] + more]))
    assert result.p_values[3] == 0.0
    assert result.p_values[:3].tolist() == model_confidence_set(values).p_values.tolist()


@pytest.mark.parametrize("far", [1e6, 1e20, 1e290])
def test_a_model_that_went_astray_changes_nothing_for_the_others(far):
    values = losses(12, 200, 4) * np.linspace(1.0, 1.5, 4)
    astray = far * (1.0 + np.random.default_rng(13).random(200))
    found = model_confidence_set(np.column_stack([values, astray]), block=2)
    assert found.p_values[:4] == pytest.approx(model_confidence_set(values, block=2).p_values)
    assert found.p_values[4] < 0.01


def test_losses_that_differ_by_a_constant_are_always_distinguished():
    result = model_confidence_set(np.tile([0.3, 0.1, 0.2], (50, 1)))
    assert result.p_values.tolist() == [0.0, 1.0, 0.0]


def test_a_model_always_a_distance_from_the_mean_of_the_others_goes_first():
    values = losses(5, 100, 2)
    result = model_confidence_set(np.column_stack([values, values.mean(axis=1) + 0.5]))
    assert result.p_values[2] == 0.0
    better = model_confidence_set(np.column_stack([values, values.mean(axis=1) - 0.5]))
    assert better.p_values[2] == 1.0


@pytest.mark.parametrize("n", [0, 1, 29])
def test_too_few_periods_leave_every_model_in_with_a_reason(n):
    result = model_confidence_set(losses(6, n, 3))
    assert result.included.all()
    assert np.isnan(result.p_values).all()
    assert math.isnan(result.block)
    assert f"{n} periods" in result.reason


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_very_large_and_very_small_losses_are_no_infinity(size):
    values = losses(7, 60, 3)
    assert np.isfinite(model_confidence_set(size * values).p_values).all()


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match=r"losses\[1, 2\] is inf"):
        model_confidence_set([[1.0, 2.0, 3.0], [1.0, 2.0, math.inf]])
    with pytest.raises(DataError, match=r"losses has shape \(40,\)"):
        model_confidence_set(np.ones(40))
    with pytest.raises(DataError, match=r"losses has shape \(40, 0\)"):
        model_confidence_set(np.ones((40, 0)))
    for option in ({"alpha": 0.0}, {"block": 0.5}, {"block": 41}, {"repeats": 10}, {"seed": -1}):
        name = next(iter(option))
        with pytest.raises(UsageError, match=f"{name} is"):
            model_confidence_set(losses(8, 40, 3), **option)


def test_the_same_seed_gives_the_same_set():
    values = losses(9)
    same = [model_confidence_set(values, seed=3).p_values.tolist() for _ in range(2)]
    assert same[0] == same[1] != model_confidence_set(values, seed=4).p_values.tolist()


@pytest.mark.slow
def test_equal_models_are_all_kept_nine_times_of_ten():
    reps, kept = 1500, 0
    rng = np.random.default_rng(10)
    for seed in range(reps):
        values = rng.standard_normal((250, 10))
        kept += model_confidence_set(values, repeats=500, seed=seed).included.all()
    assert abs(kept / reps - 0.9) < 3 * math.sqrt(0.9 * 0.1 / reps)


@pytest.mark.slow
def test_the_best_model_is_kept_and_bad_ones_go():
    reps, kept, size = 600, 0, 0
    rng = np.random.default_rng(11)
    worse = np.concatenate([np.zeros(3), np.full(7, 0.3)])
    for seed in range(reps):
        included = model_confidence_set(
            rng.standard_normal((250, 10)) + worse, repeats=400, seed=seed
        ).included
        kept += included[:3].all()
        size += included[3:].sum()
    assert kept / reps > 0.9 - 3 * math.sqrt(0.9 * 0.1 / reps)
    assert size / reps < 2.8
