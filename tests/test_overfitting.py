"""Probability of backtest overfitting: by hand, against another library, on truth and noise."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import DataError, UsageError
from podium.stats import probability_of_backtest_overfitting as pbo

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import purgedcv


def noise(seed: int, bars: int, configs: int) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).standard_normal((bars, configs))


def by_hand(values: np.ndarray, n_blocks: int) -> list[float]:
    """Logits one combination at a time, sorted."""
    blocks = np.array_split(np.arange(len(values)), n_blocks)
    found = []
    for chosen in itertools.combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[at] for at in chosen])
        rest = values[np.setdiff1d(np.arange(len(values)), inside)]
        sharpes = [half.mean(0) / half.std(0, ddof=1) for half in (values[inside], rest)]
        best = sharpes[0].argmax()
        rank = (sharpes[1] < sharpes[1][best]).sum() + 1
        share = rank / (values.shape[1] + 1)
        found.append(math.log(share / (1 - share)))
    return sorted(found)


@pytest.mark.parametrize(("bars", "configs", "blocks"), [(80, 7, 8), (85, 7, 8), (60, 2, 2)])
def test_it_is_what_counting_one_combination_at_a_time_gives(bars, configs, blocks):
    values = noise(3, bars, configs)
    result = pbo(values, blocks)
    expected = by_hand(values, blocks)
    assert sorted(result.logits.tolist()) == pytest.approx(expected)
    assert result.logits.size == math.comb(blocks, blocks // 2)
    expected = np.array(expected)
    at_most = np.mean(expected < -1e-9) + 0.5 * np.mean(np.abs(expected) <= 1e-9)
    assert result.probability == pytest.approx(at_most)


@pytest.mark.parametrize(("bars", "configs", "blocks"), [(200, 10, 10), (203, 8, 8)])
def test_it_agrees_with_another_library(bars, configs, blocks):
    values = noise(bars, bars, configs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = purgedcv.probability_of_backtest_overfitting(values.T, n_splits=blocks)
    ours = pbo(values, blocks)
    assert ours.probability == pytest.approx(theirs.pbo)
    assert sorted(ours.logits) == pytest.approx(sorted(theirs.logits))
    pairs = sorted(zip(ours.in_sample, ours.out_of_sample, strict=True))
    assert np.array(pairs) == pytest.approx(np.array(sorted(map(tuple, theirs.is_oos_performance))))


def test_noise_is_a_coin_on_average_over_many_tables():
    results = [pbo(noise(seed, 1000, 50), 10) for seed in range(200)]
    # One table has a standard deviation of 0.18.
    three_errors = 3 * 0.18 / math.sqrt(200)
    assert abs(np.mean([r.probability for r in results]) - 0.5) < three_errors
    assert abs(np.mean([r.probability_of_loss for r in results]) - 0.5) < three_errors
    assert np.std([r.probability for r in results]) > 0.1


def test_one_real_edge_is_chosen_for_good():
    values = noise(4, 1000, 50)
    values[:, 9] += 0.003
    result = pbo(values)
    assert result.probability == 0.0
    assert result.probability_of_loss == 0.0
    assert result.logits.size == 12_870


def test_configs_that_are_all_good_are_ranked_by_chance_and_lose_nothing():
    results = [pbo(noise(seed, 1000, 20) + 0.002, 10) for seed in range(20)]
    assert 0.35 < np.mean([r.probability for r in results]) < 0.65
    assert np.mean([r.probability_of_loss for r in results]) < 0.01


def test_configs_that_are_one_config_say_nothing():
    values = np.repeat(noise(5, 200, 1), 7, axis=1)
    result = pbo(values, 8)
    assert result.probability == 0.5
    assert not result.logits.any()


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.sampled_from([2, 4, 6]))
def test_the_unit_of_each_config_and_their_order_do_not_matter(seed, configs, blocks):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((40, configs))
    first = pbo(values, blocks)
    other = pbo((values * rng.uniform(0.1, 10, configs))[:, rng.permutation(configs)], blocks)
    assert 0.0 <= first.probability <= 1.0
    assert np.isfinite(first.logits).all()
    assert other.probability == first.probability
    assert other.probability_of_loss == first.probability_of_loss


@given(st.integers(0, 2**32 - 1))
def test_a_copied_config_ties_with_itself(seed):
    values = np.random.default_rng(seed).standard_normal((48, 5))
    result = pbo(np.concatenate([values, values], axis=1), 6)
    once = pbo(values, 6)
    # Rank r of 5 becomes the mean of 2r - 1 and 2r among 10.
    ranks = 6 / (1 + np.exp(-once.logits))
    assert 11 / (1 + np.exp(-result.logits)) == pytest.approx(2 * ranks - 0.5)


def test_losses_are_ranked_by_their_mean():
    losses = np.random.default_rng(6).random((400, 6))
    losses[:, 2] *= 0.5
    result = pbo(-losses, 8, score="mean")
    assert result.probability == 0.0
    assert result.probability_of_loss == 1.0
    assert result.in_sample == pytest.approx(np.full(70, -0.25), abs=0.05)
    # A constant more for every config changes no rank by the mean.
    shifted = pbo(10 - losses, 8, score="mean")
    assert shifted.logits == pytest.approx(result.logits)
    assert shifted.probability_of_loss == 0.0


def test_a_config_that_never_trades_scores_zero_without_a_warning():
    values = noise(8, 200, 4)
    values[:, 1] = 0.0
    values[:100, 2] = 0.0
    result = pbo(values, 8)
    assert np.isfinite(result.in_sample).all()
    only_idle = pbo(np.zeros((100, 3)), 8)
    assert (only_idle.probability, only_idle.probability_of_loss) == (0.5, 0.0)


@pytest.mark.parametrize("size", [1e-9, 1e300])
def test_very_large_and_very_small_returns_are_finite(size):
    values = noise(9, 100, 5)
    assert pbo(size * values, 4).probability == pbo(values, 4).probability


@pytest.mark.parametrize(
    ("shape", "reason"), [((100, 1), "1 config"), ((31, 5), "31 bars"), ((0, 5), "0 bars")]
)
def test_too_little_to_judge_by_is_undecidable(shape, reason):
    result = pbo(np.ones(shape))
    assert reason in result.reason
    assert math.isnan(result.probability)
    assert math.isnan(result.probability_of_loss)
    assert result.logits.size == result.in_sample.size == 0


@pytest.mark.parametrize("n_blocks", [0, 1, 3, 22, 4.0, True])
def test_blocks_that_cannot_be_halved_are_refused(n_blocks):
    with pytest.raises(UsageError, match="n_blocks is"):
        pbo(np.ones((100, 3)), n_blocks)


def test_an_unknown_score_and_a_table_with_holes_are_refused():
    with pytest.raises(UsageError, match="score is 'sortino'"):
        pbo(np.ones((100, 3)), score="sortino")
    with pytest.raises(DataError, match=r"performance\[2, 1\] is nan"):
        pbo(np.where(np.arange(300).reshape(100, 3) == 7, np.nan, 1.0))
    with pytest.raises(DataError, match="performance has shape"):
        pbo(np.ones(100))
