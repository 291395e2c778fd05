"""Superior predictive ability: planted winners, its three p-values, and how often it is wrong."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.errors import DataError, UsageError
from podium.stats import superior_predictive_ability

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from arch.bootstrap import SPA


def gains(seed: int, n: int, spreads: list[float], better: float) -> np.ndarray:
    """Losses of models, the first better by so much; the benchmark's are 0."""
    values = np.random.default_rng(seed).standard_normal((n, len(spreads))) * spreads
    values[:, 0] -= better
    return values


def test_a_good_model_is_found_among_noisy_ones():
    # Without studentisation the noisy rivals set the scale and hide it.
    models = gains(1, 400, [0.3, 1.0, 3.0, 10.0], 0.06)
    result = superior_predictive_ability(np.zeros(400), models)
    assert result.p_value < 0.05
    assert result.best == 0
    assert result.reason is None


def test_with_equal_spreads_it_agrees_with_an_implementation_that_does_not_studentise():
    rng = np.random.default_rng(3)
    benchmark = rng.standard_normal(500)
    # Equal spreads to the last bit: circular shifts of one series of gains.
    series = rng.standard_normal(500)
    models = benchmark[:, None] - np.stack([np.roll(series, k) for k in (0, 100, 200)], 1) - 0.08
    ours = superior_predictive_ability(benchmark, models, block=4, repeats=4000)
    theirs = SPA(benchmark, models, block_size=4, reps=4000, seed=1)
    theirs.compute()
    expected = theirs.pvalues[["lower", "consistent", "upper"]].to_numpy()
    assert [ours.p_lower, ours.p_value, ours.p_upper] == pytest.approx(expected, abs=0.03)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(-1.0, 1.0))
@settings(max_examples=40)
def test_the_three_p_values_are_in_order(seed, models, better):
    values = gains(seed, 40, [1.0] * models, better)
    result = superior_predictive_ability(np.zeros(40), values, repeats=200)
    assert 0.0 < result.p_lower <= result.p_value <= result.p_upper <= 1.0
    assert result.statistic >= 0.0


def test_bad_models_do_not_weaken_the_consistent_test():
    rng = np.random.default_rng(4)
    good, bad = rng.standard_normal((300, 1)) - 0.13, rng.standard_normal((300, 200)) + 1.0
    few = superior_predictive_ability(np.zeros(300), good)
    many = superior_predictive_ability(np.zeros(300), np.concatenate([good, bad], axis=1))
    assert many.p_value == pytest.approx(few.p_value, abs=0.02)
    assert many.p_upper > 0.3


@pytest.mark.parametrize("far", [1e6, 1e20, 1e290])
def test_a_model_that_went_astray_hides_no_other(far):
    models = gains(13, 300, [1.0, 1.0], 0.2)
    astray = far * (1.0 + np.random.default_rng(14).random(300))
    alone = superior_predictive_ability(np.zeros(300), models, block=2)
    more = superior_predictive_ability(np.zeros(300), np.column_stack([astray, models]), block=2)
    assert more.p_value == pytest.approx(alone.p_value)
    assert more.best == 1 + alone.best


def test_where_no_model_gains_nothing_is_superior():
    result = superior_predictive_ability(np.zeros(100), gains(5, 100, [1.0, 1.0], 0.0) + 1.0)
    assert (result.statistic, result.p_value, result.best) == (0.0, 1.0, None)


@pytest.mark.parametrize("unit", [1e-300, 1e-3, 1e300])
def test_the_unit_of_the_losses_does_not_matter(unit):
    models = gains(6, 100, [1.0, 2.0], 0.1)
    first = superior_predictive_ability(np.zeros(100), models, block=3)
    other = superior_predictive_ability(np.zeros(100), unit * models, block=3)
    assert other.p_value == pytest.approx(first.p_value, abs=0.002)


def test_a_copy_of_the_benchmark_and_one_always_behind_are_left_out():
    benchmark = np.random.default_rng(7).random(100)
    models = benchmark[:, None] + gains(8, 100, [1.0, 1.0], 0.2)
    alone = superior_predictive_ability(benchmark, models)
    more = superior_predictive_ability(
        benchmark, np.column_stack([benchmark, benchmark + 0.1, models])
    )
    assert more.p_value == alone.p_value
    assert more.best == 2 + alone.best


@pytest.mark.parametrize(
    ("shift", "reason"),
    [
        (-0.1, "the gain of model 0 never varies"),
        (0.0, "no model's loss differs"),
        (0.1, "no model's loss differs"),
    ],
)
def test_models_a_constant_from_the_benchmark_are_undecidable(shift, reason):
    benchmark = np.random.default_rng(9).random(100)
    result = superior_predictive_ability(benchmark, (benchmark + shift)[:, None])
    assert reason in result.reason
    assert math.isnan(result.p_value)
    assert math.isnan(result.statistic)


@pytest.mark.parametrize("n", [0, 1, 29])
def test_too_few_periods_are_undecidable(n):
    result = superior_predictive_ability(np.zeros(n), np.ones((n, 2)))
    assert f"{n} periods" in result.reason
    assert all(map(math.isnan, (result.p_lower, result.p_value, result.p_upper, result.block)))


def test_blocks_as_long_as_the_series_give_no_infinity():
    models = gains(10, 60, [1.0, 1.0, 1.0], 0.1)
    for block in (1, 7.5, 60):
        result = superior_predictive_ability(np.zeros(60), models, block=block)
        assert math.isfinite(result.statistic)
        assert 0.0 < result.p_value <= 1.0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match=r"benchmark\[1\] is nan"):
        superior_predictive_ability([1.0, math.nan], np.ones((2, 1)))
    with pytest.raises(DataError, match="models has 3 rows and benchmark 2"):
        superior_predictive_ability([1.0, 2.0], np.ones((3, 1)))
    with pytest.raises(UsageError, match="repeats is 5"):
        superior_predictive_ability(np.zeros(40), np.ones((40, 1)), repeats=5)


@pytest.mark.slow
def test_five_of_a_hundred_equal_benchmarks_are_rejected():
    reps, rejected = 1500, 0
    rng = np.random.default_rng(12)
    for seed in range(reps):
        losses = rng.standard_normal((250, 11)) * ([1.0] + [0.5, 1.0, 2.0, 4.0, 8.0] * 2)
        rejected += (
            superior_predictive_ability(losses[:, 0], losses[:, 1:], repeats=500, seed=seed).p_value
            < 0.05
        )
    assert abs(rejected / reps - 0.05) < 3 * math.sqrt(0.05 * 0.95 / reps)


@pytest.mark.slow
def test_one_winner_among_noisy_rivals_is_found_where_the_other_library_misses_it():
    ours = theirs = 0
    for seed in range(100):
        models = gains(seed, 200, [0.3] + [1.0, 3.0, 10.0] * 3, 0.09)
        ours += superior_predictive_ability(np.zeros(200), models, repeats=300).p_value < 0.05
        other = SPA(np.zeros(200), models, reps=300, block_size=2, seed=seed)
        other.compute()
        theirs += other.pvalues["consistent"] < 0.05
    assert ours >= 85
    assert theirs <= 20
