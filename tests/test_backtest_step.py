"""What podium.toml says about trading reaches the kernel; what it does not say changes nothing."""

from dataclasses import replace

import numpy as np
import pytest

from podium import config
from podium.errors import UsageError
from podium.portfolio import Impact, Limits, Rates, periods_per_year, simulate, summary
from podium.prediction import Prediction
from podium.sections import BacktestSection, SlotSection
from podium.steps.data.bars import slot_data
from podium.steps.decisions.backtest import _notes, judge_inputs
from podium.steps.evidence.trading import run_backtest, trade
from podium.steps.workspace.session import open_project
from podium.tasks.forecast import SlotData, view_of
from podium.testing.series import bars
from projects import SLOT, small_project

TERMS = {
    "fee_bps": 10.0,
    "execution": "next_close",
    "spread_bps": 4.0,
    "impact_bps": 150.0,
    "initial_cash": 1e6,
    "max_weight": 0.4,
    "max_leverage": 0.7,
    "max_turnover": 0.5,
    "cash_rate": 0.02,
    "debt_rate": 0.06,
    "borrow_rate": 0.01,
}


def test_every_term_but_those_of_refits_is_an_input_of_the_receipt(tmp_path):
    with open_project(small_project(tmp_path)) as project:
        inputs = judge_inputs(slot_data(project.config, SLOT), BacktestSection(), None, None)
    terms = {name.removeprefix("backtest.") for name in inputs if name.startswith("backtest.")}
    assert terms == vars(BacktestSection()).keys() - {"refit_every", "refit_window"}


@pytest.mark.parametrize("name", sorted(set(TERMS) - {"fee_bps", "execution"}))
def test_a_term_that_is_set_is_an_input_of_the_receipt_and_in_the_note_of_the_costs(name, tmp_path):
    root = small_project(tmp_path, backtest={name: TERMS[name]})
    with open_project(root) as project:
        data = slot_data(project.config, SLOT)
        inputs = judge_inputs(data, project.config.backtest, None, None)
        assert inputs[f"backtest.{name}"] == TERMS[name]
        assert f"{name} {TERMS[name]:g}" in _notes(project, data)["costs"]


def test_the_note_of_the_costs_omits_terms_that_are_not_set(tmp_path):
    with open_project(small_project(tmp_path)) as project:
        costs = _notes(project, slot_data(project.config, SLOT))["costs"]
    assert costs == "5 bps fee and 0 bps slippage on traded value"


def test_the_kernel_trades_on_the_terms_of_the_project(tmp_path):
    with open_project(small_project(tmp_path, backtest=TERMS)) as project:
        data = slot_data(project.config, SLOT)
        bars = slice(data.test_start, len(data.view))
        prices = data.dataset["close"][bars]
        rng = np.random.default_rng(0)
        weights = rng.uniform(-1.0, 1.0, prices.shape)
        found = run_backtest(project, data, weights)
    expected = simulate(
        prices,
        weights,
        fee_bps=10.0,
        spread_bps=4.0,
        initial_cash=1e6,
        impact=Impact(data.dataset["volume"][bars], 150.0),
        limits=Limits(weight=0.4, leverage=0.7, turnover=0.5),
        rates=Rates(data.view.times[bars], cash=0.02, debt=0.06, borrow=0.01),
    )
    np.testing.assert_array_equal(found.equity, expected.equity)
    assert len(found.trades) > 100
    assert found.interest.any()
    assert (found.turnover <= 0.51).all()


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("max_weight", -1, "backtest.max_weight.* is -1"),
        ("initial_cash", 0, "backtest.initial_cash.* is 0"),
        ("cash_rate", "much", "backtest.cash_rate.* is 'much'"),
    ],
)
def test_a_term_out_of_bounds_is_refused_where_it_is_read(key, value, text, tmp_path):
    root = small_project(tmp_path, backtest={key: value})
    with pytest.raises(UsageError, match=text):
        config.load(root, environ={})


def test_the_bars_a_year_are_those_of_the_dataset_and_not_of_a_short_test(tmp_path):
    slot = SlotSection(dataset="d", target="return", horizon=1, features=("log_return",), window=8)
    every_day = np.arange("2020-01-05", "2020-10-31", dtype="datetime64[D]")
    assert np.is_busday(every_day[-3:]).all()
    whole = replace(bars(300), times=every_day.astype("datetime64[s]"))
    data = SlotData("d/D/return", slot, whole, view_of(whole, slot), test_start=297)
    assert periods_per_year(data.view.times[297:]) == 252
    assert data.periods_per_year == 365
    with open_project(small_project(tmp_path / "p")) as project:
        forecast = Prediction.of(data.test_windows, np.ones(len(data.test_windows)))
        backtests = trade(project, data, forecast, forecast)
    equity = backtests.results["candidate"]
    assert backtests.scalars()["candidate:turnover"].value == summary(equity, 365)["turnover"]
