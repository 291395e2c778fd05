"""Sharpe ratios, probabilistic and deflated: the papers' printed figures, and another library."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium import portfolio
from podium.errors import DataError, UsageError
from podium.portfolio import Rates, simulate
from podium.stats import (
    deflated_sharpe,
    deflated_sharpe_from_moments,
    expected_max_sharpe,
    min_backtest_length,
    min_track_record_length,
    probabilistic_sharpe,
    sharpe_ratio,
    sharpe_ratios,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical
    import purgedcv
    from skfolio import measures

DAY = math.sqrt(250)
FAT = {"sharpe": 2.5 / DAY, "n_bars": 1250, "skew": -3.0, "kurtosis": 10.0}
NORMAL = {"sharpe": 2.5 / DAY, "n_bars": 1250, "skew": 0.0, "kurtosis": 3.0}
STD = math.sqrt(0.5) / DAY


def fat_returns(seed: int, n: int = 800) -> np.ndarray:
    return 0.0005 + 0.01 * np.random.default_rng(seed).standard_t(4, n)


@pytest.mark.parametrize(
    ("figures", "n_trials", "expected"),
    [(FAT, 100, 0.9004), (FAT, 46, 0.9505), (NORMAL, 88, 0.9505), (NORMAL, 100, 0.9428)],
)
def test_the_deflated_sharpe_of_the_paper_comes_out_to_its_printed_digits(
    figures, n_trials, expected
):
    found = deflated_sharpe_from_moments(**figures, n_trials=n_trials, trial_sharpe_std=STD)
    assert round(found, 4) == expected


@pytest.mark.parametrize(
    ("n_trials", "std", "digits", "expected"),
    [(100, STD, 4, 0.1132), (10, 1, 3, 1.575), (100, 1, 3, 2.531), (1000, 1, 3, 3.255)],
)
def test_the_expected_maximum_is_that_of_the_paper(n_trials, std, digits, expected):
    assert round(expected_max_sharpe(n_trials, std), digits) == expected


def test_the_expected_maximum_is_about_the_largest_of_many_normal_numbers():
    drawn = np.random.default_rng(0).standard_normal((20_000, 100)).max(axis=1)
    assert expected_max_sharpe(100, 1.0) == pytest.approx(drawn.mean(), abs=0.03)


def test_the_expected_maximum_of_one_trial_or_of_equal_trials_is_0():
    assert expected_max_sharpe(1, 3.0) == 0.0
    assert expected_max_sharpe(100, 0.0) == 0.0
    returns = fat_returns(1)
    assert deflated_sharpe(returns, n_trials=1, trial_sharpe_std=9.0) == probabilistic_sharpe(
        returns
    )


@given(st.floats(1, 1e18), st.floats(1.0, 10.0))
def test_the_expected_maximum_never_falls_with_more_trials(n_trials, factor):
    assert 0.0 <= expected_max_sharpe(n_trials, 1.0) <= expected_max_sharpe(factor * n_trials, 1.0)


def test_the_expected_maximum_is_finite_for_very_many_trials():
    assert 8.0 < expected_max_sharpe(1e300, 1.0) < 40.0
    assert math.isnan(expected_max_sharpe(1e300, 1e308))


@pytest.mark.parametrize(
    ("skew", "kurtosis", "expected"), [(-2.448, 10.164, 0.913), (0.0, 3.0, 0.982)]
)
def test_the_probabilistic_sharpe_of_the_paper_comes_out_to_its_printed_digits(
    skew, kurtosis, expected
):
    # 24 months of mean 0.036 and standard deviation 0.079; one trial needs no deflation.
    found = deflated_sharpe_from_moments(
        0.458, 24, skew, kurtosis, n_trials=1, trial_sharpe_std=0.0
    )
    assert round(found, 3) == expected


@pytest.mark.parametrize(
    ("bars", "skew", "kurtosis", "years"),
    [(252, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_record_of_the_paper_comes_out_to_its_printed_digits(
    bars, skew, kurtosis, years
):
    root = math.sqrt(bars)
    found = min_track_record_length(2 / root, 1 / root, skew=skew, kurtosis=kurtosis)
    assert round(found / bars, 2) == years


def test_after_the_minimum_track_record_the_confidence_is_just_reached():
    bars = min_track_record_length(0.1, 0.02, skew=-0.5, kurtosis=5.0, confidence=0.9)
    for n_bars, reached in ((math.floor(bars), False), (math.ceil(bars), True)):
        spread = 1 + 0.5 * 0.1 + (5 - 1) / 4 * 0.1**2
        z = (0.1 - 0.02) * math.sqrt((n_bars - 1) / spread)
        assert (z >= 1.2815515655446004) == reached


def test_the_minimum_track_record_agrees_with_another_library():
    theirs = purgedcv.min_track_record_length(0.13, 0.05, 0.05, -0.7, 6.0)
    assert math.ceil(min_track_record_length(0.13, 0.05, skew=-0.7, kurtosis=6.0)) == theirs


def test_no_record_is_long_enough_for_a_sharpe_ratio_that_is_not_above_the_benchmark():
    assert math.isnan(min_track_record_length(0.1, 0.1))
    assert math.isnan(min_track_record_length(-0.1, 0.0))
    assert math.isnan(min_track_record_length(1e-300, 0.0))


@pytest.mark.parametrize("cash", [1.0, 3.7, 1e6])
@pytest.mark.parametrize("rate", [0.03, 0.1, -0.01, 0.0])
def test_interest_alone_has_no_sharpe_ratio(cash, rate):
    times = np.arange("2015-01-01", "2019-01-01", dtype="datetime64[D]")
    still = np.zeros((len(times), 1))
    rates = Rates(times, cash=rate)
    returns = simulate(still + 1.0, still, initial_cash=cash, rates=rates).returns[1:]
    assert np.ptp(returns) < 1e-15
    rounded = (1.0 + returns.mean()) * (1.0 + 2e-16 * np.tile([1, -1, 0], 400)) - 1.0
    for constant in (returns, rounded):
        assert math.isnan(sharpe_ratio(constant))
        assert math.isnan(probabilistic_sharpe(constant))
        assert math.isnan(deflated_sharpe(constant, n_trials=20, trial_sharpe_std=0.03))
        assert math.isnan(portfolio.sharpe(constant, 252))
        assert math.isnan(portfolio.sortino(constant, 252)) or rate < 0
        assert math.isnan(portfolio.calmar(constant, 252)) or rate < 0
        assert portfolio.volatility(constant, 252) == 0.0
    few = returns + 1e-13 * np.random.default_rng(0).standard_normal(len(returns))
    assert math.isfinite(sharpe_ratio(few))


def test_forty_five_trials_need_five_years():
    assert round(min_backtest_length(45), 1) == 5.0
    assert min_backtest_length(45) < 2 * math.log(45)
    assert min_backtest_length(45) == pytest.approx(purgedcv.minimum_backtest_length(45))
    assert min_backtest_length(45, 2.0) == pytest.approx(min_backtest_length(45) / 4)
    assert min_backtest_length(1) == 0.0
    assert math.isnan(min_backtest_length(45, 1e-300))


def test_at_the_minimum_backtest_length_the_expected_maximum_is_the_sharpe_ratio():
    years = min_backtest_length(45, 1.3)
    assert expected_max_sharpe(45, 1 / math.sqrt(years)) == pytest.approx(1.3)


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_other_libraries_on_fat_returns(seed):
    returns = fat_returns(seed)
    trials = 0.03 * np.random.default_rng(seed).standard_normal(40)
    std = float(trials.std(ddof=1))
    yearly = empyrical.sharpe_ratio(returns, annualization=252)
    assert sharpe_ratio(returns) * math.sqrt(252) == pytest.approx(yearly, rel=1e-12)
    theirs = measures.probabilistic_sharpe_ratio(returns, 0.01)
    assert probabilistic_sharpe(returns, 0.01) == pytest.approx(theirs, rel=1e-12)
    assert expected_max_sharpe(40, std) == pytest.approx(
        measures.expected_max_sharpe_ratio(40, std), rel=1e-12
    )
    ours = deflated_sharpe(returns, n_trials=40, trial_sharpe_std=std)
    assert ours == pytest.approx(measures.deflated_sharpe_ratio(returns, trials), rel=1e-12)


def test_returns_and_their_moments_give_the_same_answer():
    returns = fat_returns(7)
    centred = (returns - returns.mean()) / returns.std()
    found = deflated_sharpe_from_moments(
        sharpe_ratio(returns),
        returns.size,
        float((centred**3).mean()),
        float((centred**4).mean()),
        n_trials=20,
        trial_sharpe_std=0.03,
    )
    assert found == pytest.approx(deflated_sharpe(returns, n_trials=20, trial_sharpe_std=0.03))


def test_the_ratios_of_many_trials_are_those_of_each():
    returns = np.stack([fat_returns(seed, 50) for seed in range(4)], axis=1)
    each = [sharpe_ratio(column) for column in returns.T]
    assert sharpe_ratios(returns).tolist() == pytest.approx(each)


@given(st.integers(0, 2**32 - 1), st.integers(3, 60), st.sampled_from([1e-9, 1e-3, 1.0, 1e300]))
def test_the_unit_of_the_returns_does_not_matter(seed, n, unit):
    returns = np.random.default_rng(seed).standard_normal(n)
    assert sharpe_ratio(unit * returns) == pytest.approx(sharpe_ratio(returns), rel=1e-9)
    found = probabilistic_sharpe(unit * returns)
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(probabilistic_sharpe(returns), rel=1e-6)


@looped(
    "returns", [[], [0.01], [0.0] * 9, [0.01] * 9, [-0.1] * 30, [0.1, 0.1 + 1e-17], [1e308] * 3]
)
def test_returns_without_a_sharpe_ratio_give_nan_and_no_warning(returns):
    assert math.isnan(sharpe_ratio(returns))
    assert math.isnan(probabilistic_sharpe(returns))
    assert math.isnan(deflated_sharpe(returns, n_trials=5, trial_sharpe_std=0.1))


def test_two_bars_have_a_sharpe_ratio_but_no_confidence():
    assert sharpe_ratio([0.01, 0.02]) == pytest.approx(3 / math.sqrt(2))
    assert math.isnan(probabilistic_sharpe([0.01, 0.02]))


def test_excess_kurtosis_is_found_out_where_it_can_be():
    with pytest.raises(DataError, match="Add 3 if it is excess kurtosis"):
        deflated_sharpe_from_moments(0.1, 100, 0.0, 0.0, n_trials=5, trial_sharpe_std=0.1)
    with pytest.raises(DataError, match="at least 10"):
        min_track_record_length(0.1, skew=-3.0, kurtosis=7.0)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_returns_that_are_no_numbers_are_refused(wrong):
    for call in (sharpe_ratio, probabilistic_sharpe):
        with pytest.raises(DataError, match=r"returns\[1\] is"):
            call([0.1, wrong, 0.2])
    with pytest.raises(DataError, match=r"returns\[1, 0\] is"):
        sharpe_ratios([[0.1], [wrong]])
    with pytest.raises(UsageError, match="n_trials is"):
        expected_max_sharpe(wrong, 1.0)
    with pytest.raises(UsageError, match="sharpe is"):
        deflated_sharpe_from_moments(wrong, 9, 0.0, 3.0, n_trials=5, trial_sharpe_std=0.1)


@looped(
    ("call", "text"),
    [
        (lambda: expected_max_sharpe(0, 1.0), "n_trials is 0"),
        (lambda: expected_max_sharpe(5, -1.0), "trial_sharpe_std is -1"),
        (lambda: expected_max_sharpe("5", 1.0), "n_trials is '5'"),
        (lambda: min_backtest_length(5, 0.0), "sharpe is 0"),
        (lambda: min_track_record_length(0.1, confidence=0.5), "confidence is 0.5"),
        (lambda: min_track_record_length(0.1, confidence=95), "confidence is 95"),
        (lambda: probabilistic_sharpe([0.1, 0.2, 0.1], None), "benchmark is None"),
    ],
)
def test_figures_outside_their_bounds_are_refused(call, text):
    with pytest.raises(UsageError, match=text):
        call()


@pytest.mark.parametrize("returns", [[[0.1, 0.2]], 0.1, ["a", "b"]])
def test_what_is_no_series_is_refused(returns):
    with pytest.raises(DataError, match="returns"):
        sharpe_ratio(returns)
