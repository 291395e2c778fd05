"""Miniatures of benchmarks/honest.py, whose figures are in docs/benchmarks.md."""

import json
from dataclasses import replace

import numpy as np
import pytest

import honest
from _bars import autoregressive, noise, simulated, volatile
from _planted import (
    FEE,
    TRADING_GATES,
    WARM,
    YEAR,
    Search,
    coefficient_for,
    passes,
    returns_of,
    traded,
)
from podium.portfolio import simulate
from podium.stats import sharpe_ratio

SMALL = honest.Size(bars=500, tickers=2, configs=2)
# Enough steps for the network to learn a planted effect in two epochs.
LEARNING = replace(SMALL, tickers=3, batch=64)


@pytest.mark.parametrize("sharpe", [0.5, 1.0, 2.0])
def test_the_oracle_has_the_sharpe_ratio_that_is_planted(sharpe):
    returns = returns_of(coefficient_for(sharpe), seed=1, bars=400_000)
    held = np.sign(returns[:-2] * returns[1:-1])
    earned = held * returns[2:] - FEE * np.abs(np.diff(held, prepend=0.0))
    assert sharpe_ratio(earned) * YEAR**0.5 == pytest.approx(sharpe, abs=0.05)


def test_the_arrays_are_traded_as_by_the_kernel():
    returns = np.expm1(returns_of(0.2, seed=0, bars=300))
    held = np.sign(np.random.default_rng(0).standard_normal(299))
    prices = np.cumprod(1.0 + np.append(0.0, returns[1:]))[:, None]
    opens = np.append(1.0, prices[:-1, 0])[:, None]
    weights = np.append(held, np.nan)[:, None]
    kernel = simulate(
        prices, weights, open_prices=opens, execution="next_open", fee_bps=FEE * 1e4
    ).returns[1:]
    arrays = traded(held[:, None], returns[1:], FEE)[:, 0]
    # Weights drift within a bar, and fees are paid on what the drift left.
    assert np.abs(kernel - arrays).max() < 2e-4


def test_a_search_uses_no_bar_of_its_test():
    one = Search.of(2.0, 3, configs=4, bars=600, test=100)
    # The same series with another test: the shocks after the validation bars differ.
    other = Search.of(2.0, 3, configs=4, bars=600, test=50)
    assert one.losses.shape == (600 - WARM - 1, 4)
    assert one.test_losses.shape == (100, 4)
    np.testing.assert_array_equal(one.losses, other.losses)
    np.testing.assert_array_equal(one.test_losses[:50], other.test_losses)


def test_simulated_series_have_the_planted_structure():
    plain, trend = noise(0, 20_000, 2), autoregressive(0, 20_000, 2, 0.25)
    vol = volatile(0, 20_000, 2, 0.97, 0.5)

    def lagged(values):
        return np.corrcoef(values[1:, 0], values[:-1, 0])[0, 1]

    for returns in (plain, trend):
        assert returns.std() == pytest.approx(0.01, rel=0.1)
    assert abs(lagged(plain)) < 0.03 > abs(lagged(np.abs(plain)))
    assert lagged(trend) == pytest.approx(0.25, abs=0.03)
    assert abs(lagged(vol)) < 0.05 < 0.2 < lagged(np.abs(vol))
    assert abs(np.corrcoef(plain.T)[0, 1]) < 0.03
    bars = simulated(plain[:50], 0).frames["T1"]
    np.testing.assert_allclose(np.diff(np.log(bars["close"])), plain[1:50, 1])
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()


@pytest.mark.slow
def test_the_gates_accept_skill_and_refuse_noise_on_arrays():
    outcomes = {}
    for sharpe, fee in ((0.0, 0.0), (0.0, FEE), (3.0, FEE)):
        searches = [
            Search.of(sharpe, n, configs=16, bars=1_500, test=1_000, fee=fee) for n in range(2)
        ]
        strongest = [passes(TRADING_GATES, s.validation(s.luckiest)) for s in searches]
        policy = [
            passes(honest.POLICY_GATES, s.validation(s.best), s.test(s.best, 1_000))
            for s in searches
        ]
        outcomes[sharpe, fee] = sum(strongest), sum(policy)
    assert outcomes == {(0.0, 0.0): (0, 0), (0.0, FEE): (0, 0), (3.0, FEE): (2, 2)}


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_user_without_a_signal_gets_no_champion(number):
    line = honest.run_noise(number, SMALL)
    assert line["habit"] == honest.HABITS[number]
    assert len(line["verdicts"]) == (1, 3, 2)[number]
    assert not line["champion"]


@pytest.mark.slow
def test_planted_returns_have_a_champion():
    assert honest.run_planted(0, LEARNING, coefficient=0.4)["champion"]


@pytest.mark.slow
def test_a_champion_is_compared_with_the_best_baseline_on_bars_that_no_gate_read():
    bars = simulated(autoregressive(0, 900, 3, 0.4), 0)
    line = honest.holdout(bars, 0, LEARNING, data="AR(1)", target="log_return", horizon=1)
    assert line["champion"]
    assert line["bars"] == 180 - 1
    assert 0.0 < line["loss"] < 1.1 * line["baseline_loss"]
    assert not line["worse"]


def test_every_real_data_set_has_as_many_bars_as_a_run_needs():
    for name in honest.REAL:
        bars = honest.real(name, honest.FULL.bars)
        assert len(bars) == honest.FULL.bars, name
        assert bars.times.is_unique
        assert bars.times.is_monotonic_increasing
        for frame in bars.frames.values():
            assert (frame.drop(columns="volume", errors="ignore") > 0).all(axis=None), name


def test_a_stopped_benchmark_continues_with_the_missing_runs(tmp_path, monkeypatch, capsys):
    made = []

    def run(number):
        made.append(number)
        return {"effect": "returns", "champion": True, "family": "x", "verdicts": ["promoted"]}

    part = honest.Part(6, run, honest.report_planted)
    monkeypatch.setattr(honest, "PARTS", {"planted": part})
    out = tmp_path / "results.jsonl"
    for words in (["--shard", "1/2"], ["--runs", "3"], [], ["--report"]):
        assert honest.main([*words, "--out", str(out)]) == 0
    assert made == [0, 2, 4, 1, 3, 5]
    assert [json.loads(line)["number"] for line in out.read_text().splitlines()] == made
    assert "6 of   6 accepted" in capsys.readouterr().out
