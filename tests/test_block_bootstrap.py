"""Block bootstrap: how blocks are drawn, how long they are, and what its intervals hold."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError, UsageError
from podium.stats import block_bootstrap, block_bootstrap_mean, optimal_block_length, sharpe_ratio
from podium.stats._resampling import draws, resampled_means

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from arch.bootstrap import optimal_block_length as oracle


def following(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """A series whose values keep a share of the one before; of mean zero."""
    values = rng.standard_normal(n + 100)
    for at in range(1, values.size):
        values[at] += share * values[at - 1]
    return values[100:]


@pytest.mark.parametrize("method", ["stationary", "circular"])
@pytest.mark.parametrize("block", [1, 4, 50])
def test_a_drawn_period_is_followed_by_the_next_one_within_its_block(method, block):
    drawn = np.concatenate(list(draws(50, 400, block, method, seed=1)))
    assert drawn.shape == (400, 50)
    assert drawn.min() == 0
    assert drawn.max() == 49
    goes_on = np.mean(drawn[:, 1:] == (drawn[:, :-1] + 1) % 50)
    # By chance a new block may begin where the last one would have gone on.
    expected = 1 - (1 - 1 / 50) / block
    assert goes_on == pytest.approx(expected, abs=0.02)
    counts = np.bincount(drawn.ravel(), minlength=50) / 400
    assert counts == pytest.approx(np.ones(50), abs=0.4)


def test_circular_blocks_of_the_whole_series_only_turn_it_round():
    values = np.random.default_rng(2).random(40)
    result = block_bootstrap_mean(values, method="circular", block=40)
    assert result.low == pytest.approx(result.estimate)
    assert result.high == pytest.approx(result.estimate)


def test_means_of_resamples_are_those_of_the_drawn_rows():
    values = np.random.default_rng(3).random((60, 3))
    drawn = np.concatenate(list(draws(60, 50, 4.0, "stationary", seed=5)))
    assert resampled_means(values, 50, 4.0, 1.0, 5) == pytest.approx(values[drawn].mean(axis=1))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, -0.5])
def test_block_lengths_agree_with_another_implementation(share):
    rng = np.random.default_rng(4)
    columns = np.stack([following(rng, 500, share) for _ in range(20)], axis=1)
    theirs = oracle(columns)
    for method in ("stationary", "circular"):
        ours = optimal_block_length(columns, method)
        # Its autocorrelations are scaled a little differently, which can move a lag over the limit;
        # and it lets a length fall below one period, and rounds the longest up.
        expected = np.clip(theirs[method].to_numpy(), 1.0, 3 * math.sqrt(500))
        assert np.mean(np.isclose(ours, expected, rtol=1e-8)) >= 0.8
        assert np.median(ours) == pytest.approx(np.median(expected), rel=0.1)


def test_a_longer_memory_asks_for_longer_blocks():
    rng = np.random.default_rng(5)
    lengths = [
        optimal_block_length(following(rng, 2000, share)[:, None])[0] for share in (0.0, 0.5, 0.9)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < 4 < 20 < lengths[2]


@given(st.integers(0, 2**32 - 1), st.integers(30, 200), st.integers(1, 3))
@settings(max_examples=40)
def test_a_block_is_never_shorter_than_a_period_nor_longer_than_a_third(seed, n, columns):
    values = np.random.default_rng(seed).integers(-1, 2, (n, columns))
    found = optimal_block_length(values)
    assert ((found >= 1.0) & (found <= n / 3)).all()


def test_a_series_that_never_varies_needs_no_blocks_and_a_short_one_has_no_answer():
    assert optimal_block_length(np.full((50, 1), 7.0)).tolist() == [1.0]
    assert np.isnan(optimal_block_length(np.ones((29, 2)))).all()
    with pytest.raises(UsageError, match="method is 'moving'"):
        optimal_block_length(np.ones((50, 1)), "moving")


def test_blocks_widen_the_interval_of_a_series_with_memory():
    values = following(np.random.default_rng(6), 600, 0.7)
    alone, together = (
        block_bootstrap_mean(values, block=block, repeats=2000) for block in (1.0, None)
    )
    assert together.block > 5
    assert together.high - together.low > 1.7 * (alone.high - alone.low)


def test_the_interval_of_independent_numbers_is_that_of_the_normal_distribution():
    values = np.random.default_rng(7).standard_normal(2000)
    result = block_bootstrap_mean(values, block=1.0, repeats=4000)
    error = values.std() / math.sqrt(2000)
    assert result.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert result.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


@pytest.mark.parametrize("method", ["stationary", "circular"])
def test_a_mean_by_any_metric_is_the_mean(method):
    values = following(np.random.default_rng(8), 200, 0.5)
    quick = block_bootstrap_mean(values, method=method, seed=3)
    called = block_bootstrap(np.mean, values, method=method, seed=3)
    assert (called.low, called.high) == pytest.approx((quick.low, quick.high))
    assert (called.estimate, called.block, called.n, called.draws) == (
        pytest.approx(quick.estimate), quick.block, 200, 1000,
    )  # fmt: skip


def test_arrays_of_any_shape_are_resampled_alike():
    rng = np.random.default_rng(9)
    truth = rng.integers(0, 2, 100)
    forecast = np.column_stack([truth, rng.random(100)])

    def metric(real, said):
        assert (said[:, 0] == real).all()
        return said[:, 1].mean()

    result = block_bootstrap(metric, truth, forecast, repeats=100)
    assert result.low < result.estimate < result.high


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(10).random(100)
    same = [block_bootstrap_mean(values, seed=1) for _ in range(2)]
    assert same[0] == same[1] != block_bootstrap_mean(values, seed=2)


def test_more_repeats_than_fit_at_once_change_no_earlier_draw():
    few = np.concatenate(list(draws(30_000, 40, 5.0, "stationary", seed=1)))
    assert few.shape == (40, 30_000)
    first = next(draws(30_000, 33, 5.0, "stationary", seed=1))
    assert (few[:33] == first).all()


@pytest.mark.parametrize("n", [0, 1, 29])
def test_too_few_periods_have_an_estimate_and_no_interval(n):
    values = np.linspace(0.0, 1.0, n)
    for result in (block_bootstrap_mean(values), block_bootstrap(np.sum, values)):
        assert f"{n} periods" in result.reason
        assert math.isnan(result.low)
        assert math.isnan(result.high)
        assert result.draws == 0


def test_a_metric_that_is_not_finite_has_no_interval():
    still = block_bootstrap(sharpe_ratio, np.full(50, 0.1), repeats=100)
    assert still.reason == "the metric of the original series is not finite"
    rare = np.zeros(50)
    rare[7] = 1.0
    # A third of the resamples lack the one period that varies.
    often = block_bootstrap(sharpe_ratio, rare, repeats=200, block=1.0)
    assert "of 200 resamples" in often.reason
    assert math.isnan(often.low)
    assert 100 < often.draws < 160
    infinite = block_bootstrap(lambda _: math.inf, rare, repeats=100)
    assert math.isnan(infinite.estimate)


def test_very_large_numbers_are_no_infinity():
    result = block_bootstrap_mean(1e308 * np.random.default_rng(11).random(60))
    assert 0.0 < result.low < result.high < 1e308


@looped(
    ("call", "error", "text"),
    [
        (lambda x: block_bootstrap(np.mean), UsageError, "no data"),
        (lambda x: block_bootstrap(np.mean, x, x[:9]), DataError, r"data\[1\] has 9 rows"),
        (lambda x: block_bootstrap(np.mean, x, x + np.nan), DataError, r"data\[1\] has numbers"),
        (lambda x: block_bootstrap(np.mean, 3.0), DataError, r"data\[0\] has type"),
        (lambda x: block_bootstrap(np.mean, ["a"] * 40), DataError, r"data\[0\] has type"),
        (lambda x: block_bootstrap_mean(x, method="moving"), UsageError, "method is 'moving'"),
        (lambda x: block_bootstrap_mean(x, block=99), UsageError, "block is 99"),
        (lambda x: block_bootstrap_mean(x, confidence=95), UsageError, "confidence is 95"),
        (lambda x: block_bootstrap_mean(x, repeats=99), UsageError, "repeats is 99"),
        (lambda x: block_bootstrap_mean(x[:, None]), DataError, "values has shape"),
    ],
)
def test_what_cannot_be_resampled_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call(np.linspace(0.0, 1.0, 40))


def test_an_interval_of_overlapping_periods_covers_the_truth_in_about_95_of_a_hundred():
    # With optimal blocks alone it is 80 %.
    rng, reps, covered = np.random.default_rng(13), 200, 0
    for seed in range(reps):
        shocks = rng.standard_normal(109)
        values = np.convolve(shocks, np.ones(10), mode="valid")
        result = block_bootstrap_mean(values, horizon=10, repeats=200, seed=seed)
        assert 19.0 <= result.block <= 100 / 3
        covered += result.low <= 0.0 <= result.high
    assert covered / reps > 0.88


@pytest.mark.slow
@pytest.mark.parametrize(("share", "least"), [(0.0, 0.925), (0.5, 0.91)])
@pytest.mark.parametrize("method", ["stationary", "circular"])
def test_an_interval_of_95_per_cent_holds_the_truth_nearly_that_often(share, least, method):
    reps, held = 1000, 0
    rng = np.random.default_rng(12)
    for seed in range(reps):
        values = following(rng, 250, share)
        result = block_bootstrap_mean(values, method=method, repeats=400, seed=seed)
        held += result.low <= 0.0 <= result.high
    three_errors = 3 * math.sqrt(0.95 * 0.05 / reps)
    assert least < held / reps < 0.95 + three_errors
