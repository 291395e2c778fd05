"""Scores of samples, quantiles and intervals: by hand, and against other libraries."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError, UsageError
from podium.stats import coverage, crps_from_samples, pinball

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import scoringrules
    from sklearn.metrics import mean_pinball_loss

RNG = np.random.default_rng(1)
TRUTH = RNG.standard_normal(200)
SAMPLES = 0.3 + 1.2 * RNG.standard_normal((200, 50))


@pytest.mark.parametrize(("fair", "estimator"), [(False, "nrg"), (True, "fair")])
def test_crps_agrees_with_another_library(fair, estimator):
    ours = crps_from_samples(TRUTH, SAMPLES, fair=fair)
    theirs = scoringrules.crps_ensemble(TRUTH, SAMPLES, estimator=estimator)
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-13)


def test_crps_by_hand():
    # Draws 0 and 2 of 3: errors 3 and 1, pairs 0, 2, 2, 0.
    assert crps_from_samples([3.0], [[2.0, 0.0]]).tolist() == [2.0 - 0.5]
    assert crps_from_samples([3.0], [[2.0, 0.0]], fair=True).tolist() == [2.0 - 1.0]


def test_crps_of_a_single_draw_is_the_absolute_error():
    assert crps_from_samples(TRUTH, SAMPLES[:, :1]) == pytest.approx(np.abs(TRUTH - SAMPLES[:, 0]))


def test_crps_of_very_many_normal_draws_is_the_closed_form():
    draws = np.random.default_rng(2).standard_normal((1, 400_000))
    expected = scoringrules.crps_normal(0.7, 0.0, 1.0)
    assert crps_from_samples([0.7], draws)[0] == pytest.approx(expected, abs=0.005)


def test_the_fair_score_does_not_reward_more_draws():
    few, many = (
        crps_from_samples(TRUTH, np.random.default_rng(3).standard_normal((200, n)), fair=True)
        for n in (4, 400)
    )
    assert few.mean() == pytest.approx(many.mean(), abs=0.06)
    plain = crps_from_samples(TRUTH, np.random.default_rng(3).standard_normal((200, 4)))
    assert plain.mean() > many.mean() + 0.1


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(-5, 5))
def test_crps_is_no_loss_below_zero_and_moves_with_its_unit(seed, many, shift):
    rng = np.random.default_rng(seed)
    truth, samples = rng.standard_normal(5), rng.standard_normal((5, many))
    score = crps_from_samples(truth, samples)
    assert (score >= -1e-15).all()
    assert crps_from_samples(3 * truth + shift, 3 * samples + shift) == pytest.approx(3 * score)


def test_pinball_agrees_with_other_libraries():
    for quantile in (0.05, 0.5, 0.9):
        ours = pinball(TRUTH, SAMPLES[:, 0], quantile)
        theirs = scoringrules.quantile_score(TRUTH, SAMPLES[:, 0], quantile)
        assert ours == pytest.approx(theirs)
        mean = mean_pinball_loss(TRUTH, SAMPLES[:, 0], alpha=quantile)
        assert ours.mean() == pytest.approx(mean, rel=1e-12)


def test_pinball_of_many_quantiles_is_that_of_each():
    levels = np.array([0.1, 0.5, 0.9])
    together = pinball(TRUTH, SAMPLES[:, :3], levels)
    each = [pinball(TRUTH, SAMPLES[:, at], level) for at, level in enumerate(levels)]
    assert together.tolist() == np.stack(each, axis=1).tolist()


def test_twice_pinball_over_the_quantiles_is_about_the_crps():
    levels = (np.arange(400) + 0.5) / 400
    draws = np.quantile(np.random.default_rng(4).standard_normal(100_000), levels)
    loss = pinball(TRUTH, np.tile(draws, (200, 1)), levels).mean()
    score = crps_from_samples(TRUTH, np.tile(draws, (200, 1))).mean()
    assert 2 * loss == pytest.approx(score, rel=1e-3)


def test_the_true_quantile_has_the_least_pinball_loss():
    outcomes = np.random.default_rng(5).random(20_000)
    losses = [pinball(outcomes, np.full(20_000, q), 0.8).mean() for q in (0.6, 0.7, 0.8, 0.9)]
    assert int(np.argmin(losses)) == 2


def test_coverage_counts_the_ends_as_inside():
    assert coverage([0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]) == pytest.approx(2 / 3)
    assert coverage(TRUTH, TRUTH, TRUTH) == 1.0
    assert coverage(TRUTH, TRUTH + 1, TRUTH + 2) == 0.0


def test_without_an_outcome_there_is_no_score_and_no_coverage():
    assert math.isnan(coverage([], [], []))
    assert crps_from_samples([], np.empty((0, 3))).size == 0
    assert pinball([], [], 0.5).size == 0


def test_numbers_too_far_apart_give_nan_and_no_warning():
    assert np.isnan(crps_from_samples([-1e308], [[1e308, 1e308]])).all()
    assert np.isnan(pinball([-1e308], [1e308], 0.5)).all()


@looped(
    ("call", "error", "text"),
    [
        (lambda: crps_from_samples([1.0], [[math.nan]]), DataError, r"samples\[0, 0\] is nan"),
        (lambda: crps_from_samples([1.0, 2.0], [[1.0]]), DataError, "samples has 1 rows and truth"),
        (lambda: crps_from_samples([1.0], [1.0]), DataError, "samples has shape"),
        (lambda: crps_from_samples([1.0], [[1.0]], fair=True), UsageError, "1 sample"),
        (lambda: pinball([1.0], [1.0], 1.0), UsageError, "quantile is 1.0"),
        (lambda: pinball([1.0], [1.0], math.nan), UsageError, "quantile is nan"),
        (lambda: pinball([1.0], [[1.0, 2.0]], 0.5), DataError, "forecast has shape"),
        (lambda: pinball([1.0], [[1.0, 2.0]], [0.5]), DataError, "forecast has shape"),
        (lambda: pinball([1.0, 2.0], [1.0], 0.5), DataError, "forecast has 1 rows"),
        (lambda: pinball([1.0], [math.inf], 0.5), DataError, r"forecast\[0\] is inf"),
        (lambda: coverage([1.0], [2.0], [1.0]), DataError, r"low\[0\] is 2.0 and high\[0\] 1.0"),
        (lambda: coverage([1.0], [math.nan], [1.0]), DataError, r"low\[0\] is nan"),
        (lambda: coverage([1.0], [0.0, 1.0], [1.0]), DataError, "low has 2 rows"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
