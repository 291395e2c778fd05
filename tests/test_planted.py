"""Planted truths are found and planted lies refused, by the same gates with the same limits."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from podium.portfolio import simulate
from podium.stats import sharpe_ratio

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "planted.py"
spec = importlib.util.spec_from_file_location("planted", BENCHMARK)
planted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(planted)

YEAR = planted.YEAR**0.5


@pytest.mark.parametrize("sharpe", [0.5, 1.0, 2.0])
def test_the_oracle_has_the_sharpe_ratio_it_was_planted_with(sharpe):
    coefficient = planted.coefficient_for(sharpe)
    returns = planted.returns_of(coefficient, seed=1, bars=400_000)
    held = np.sign(returns[:-1])
    earned = held * returns[1:] - planted.FEE * np.abs(np.diff(held, prepend=0.0))
    assert sharpe_ratio(earned) * YEAR == pytest.approx(sharpe, abs=0.05)


def test_the_arrays_are_traded_as_the_kernel_would():
    rng = np.random.default_rng(0)
    returns = np.expm1(planted.returns_of(0.2, seed=0, bars=300))
    held = np.sign(rng.standard_normal(299))
    prices = np.cumprod(1.0 + np.append(0.0, returns[1:]))[:, None]
    opens = np.append(1.0, prices[:-1, 0])[:, None]
    found = simulate(
        prices,
        np.append(held, np.nan)[:, None],
        open_prices=opens,
        execution="next_open",
        fee_bps=planted.FEE * 1e4,
    ).returns[1:]
    plain = held * returns[1:] - planted.FEE * np.abs(np.diff(held, prepend=0.0))
    # Weights drift within a bar, and fees are paid on what the drift left.
    assert np.abs(found - plain).max() < 2e-4


def test_a_share_of_nearly_all_has_a_lower_bound_that_knows_the_number_of_seeds():
    assert planted.wilson_lower(285, 300) == pytest.approx(0.9192, abs=1e-4)
    assert planted.wilson_lower(300, 300) == pytest.approx(0.9874, abs=1e-4)


@pytest.mark.slow
def test_a_few_seeds_tell_the_truth_from_the_lie():
    for sharpe, right in ((None, False), (2.0, True)):
        told = [planted.accepted(planted.passes(one)) for one in planted.on_arrays(sharpe, 4)]
        assert sum(told) == (4 if right else 0)


# Miniatures of benchmarks/planted.py, whose figures for 300 seeds are in docs/judgement.md.


@pytest.mark.slow
@pytest.mark.parametrize("fee", [planted.FEE, 0.0])
def test_noise_that_200_configs_searched_is_refused(fee):
    found = [planted.accepted(planted.passes(one)) for one in planted.on_arrays(None, 50, fee)]
    # All of 300 were refused; of 50 no other number is as good.
    assert not any(found)


@pytest.mark.slow
def test_a_truth_of_a_sharpe_ratio_of_two_is_accepted():
    seeds, share = 50, 0.96
    told = sum(planted.accepted(planted.passes(one)) for one in planted.on_arrays(2.0, seeds))
    # At most three binomial errors below the share of 300.
    assert told / seeds > share - 3 * (share * (1 - share) / seeds) ** 0.5


@pytest.mark.slow
def test_whole_projects_tell_the_truth_from_the_lie():
    # Of 20 each, no lie was accepted and two truths were refused; these are of those told right.
    for sharpe, right in ((None, False), (2.0, True)):
        told = [planted.accepted(planted.end_to_end(sharpe, seed)) for seed in range(2)]
        assert told == [right, right]
