"""The portfolio kernel: by hand, against other engines, and by their laws."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import rest_slow
from podium.errors import DataError, UsageError
from podium.portfolio import simulate, summary

NAN = math.nan


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, np.newaxis]


def market(seed: int, bars: int = 40, items: int = 3, gaps: bool = False) -> dict[str, np.ndarray]:
    """Closes, opens and long-short weights with bars that order nothing."""
    rng = np.random.default_rng(seed)
    closes = 50.0 * np.exp(np.cumsum(0.02 * rng.standard_normal((bars, items)), axis=0))
    opens = closes * np.exp(0.01 * rng.standard_normal((bars, items)))
    weights = rng.uniform(-0.5, 0.6, (bars, items))
    weights[rng.random(bars) < 0.4] = NAN
    weights[0] = [0.3, -0.2, 0.4, *[0.1] * (items - 3)]
    if gaps:
        closes[rng.random((bars, items)) < 0.05] = NAN
        opens[rng.random((bars, items)) < 0.05] = NAN
    return {"prices": closes, "weights": weights, "open_prices": opens}


# --- one thing at a time, by hand ---------------------------------------------------------------


def test_a_fill_never_happens_on_the_bar_that_decided_it():
    # The price doubles on the bar after the decision: a fill on the bar itself would have that.
    result = simulate(column(1.0, 1.0, 2.0, 3.0), column(NAN, 1.0, NAN, NAN))
    assert result.trades.bar.tolist() == [2]
    assert result.trades.price.tolist() == [2.0]
    assert result.equity.tolist() == [1.0, 1.0, 1.0, 1.5]
    assert result.weights_held[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_an_order_can_fill_at_the_next_open_and_earns_that_bar():
    result = simulate(
        column(10.0, 12.0, 12.0),
        column(1.0, NAN, NAN),
        open_prices=column(10.0, 11.0, 12.0),
        execution="next_open",
    )
    assert (result.trades.bar.tolist(), result.trades.price.tolist()) == ([1], [11.0])
    assert result.equity[1] == pytest.approx(12.0 / 11.0)
    assert result.execution == "next_open"


def test_what_the_last_bar_decides_is_never_filled():
    result = simulate(column(1.0, 2.0), column(NAN, 1.0))
    assert len(result.trades) == 0


def test_a_row_of_nan_keeps_the_holdings_and_a_row_of_zero_sells_them():
    kept = simulate(column(1.0, 1.0, 2.0, 4.0), column(0.5, NAN, NAN, NAN))
    sold = simulate(column(1.0, 1.0, 2.0, 4.0), column(0.5, 0.0, NAN, NAN))
    assert kept.equity.tolist() == [1.0, 1.0, 1.5, 2.5]
    assert kept.weights_held[-1, 0] == 0.8
    assert sold.equity.tolist() == [1.0, 1.0, 1.5, 1.5]
    assert sold.weights_held[-1, 0] == 0.0


def test_a_short_earns_when_its_price_falls():
    result = simulate(column(10.0, 10.0, 8.0), column(-0.5, NAN, NAN), initial_cash=100.0)
    assert result.trades.quantity.tolist() == [-5.0]
    assert result.cash.tolist() == [100.0, 150.0, 150.0]
    assert result.equity.tolist() == [100.0, 100.0, 110.0]
    assert result.exposure[2] == pytest.approx(40.0 / 110.0)
    assert result.weights_held[2, 0] == pytest.approx(-40.0 / 110.0)


def test_fees_come_from_cash_after_sizing_on_equity_before_the_trade():
    prices = np.array([[10.0, 20.0], [10.0, 20.0], [10.0, 25.0]])
    weights = np.array([[0.5, -0.25], [0.0, -0.25], [NAN, NAN]])
    result = simulate(prices, weights, fee_bps=100.0, initial_cash=1000.0)
    # Bar 1: 500 bought, 250 sold short, 7.50 of fee. Bar 2: the short has lost 62.50, equity is
    # 1000 - 7.5 - 62.5 = 930; 500 sold; the short goes from -12.5 to -930 / 4 / 25 = -9.3.
    assert result.trades.bar.tolist() == [1, 1, 2, 2]
    assert result.trades.item.tolist() == [0, 1, 0, 1]
    assert result.trades.quantity == pytest.approx([50.0, -12.5, -50.0, 3.2])
    assert result.trades.fee == pytest.approx([5.0, 2.5, 5.0, 0.8])
    assert result.equity == pytest.approx([1000.0, 992.5, 930.0 - 5.8])
    assert result.turnover == pytest.approx([0.0, 0.75, 580.0 / 930.0])


def test_weights_that_sum_to_one_borrow_exactly_the_fee():
    result = simulate(column(10.0, 10.0, 11.0), column(1.0, NAN, NAN), fee_bps=10.0)
    assert result.cash[1] == pytest.approx(-0.001)
    assert result.weights_held[1, 0] == pytest.approx(1 / 0.999)
    assert result.equity[2] == pytest.approx(1.1 - 0.001)


def test_slippage_moves_the_price_against_the_trade_and_the_fee_follows_it():
    result = simulate(
        column(10.0, 10.0, 10.0), column(1.0, 0.0, NAN), slippage_bps=100.0, fee_bps=100.0
    )
    assert result.trades.price == pytest.approx([10.1, 9.9])
    assert result.trades.fee == pytest.approx([0.0101, 0.0099])
    assert result.equity == pytest.approx([1.0, 1 - 0.01 - 0.0101, 1 - 0.02 - 0.0101 - 0.0099])


def test_a_target_that_is_already_held_is_no_trade():
    # Without the threshold the rounding of w E / price would trade on many of these bars.
    prices = market(1, bars=200)["prices"][:, :1]
    result = simulate(prices, np.ones((200, 1)))
    assert len(result.trades) == 1
    assert result.turnover.nonzero()[0].tolist() == [1]


def test_turnover_of_two_rounds_on_one_bar_is_over_the_equity_before_the_first():
    # Bought at the open of 8, closed without a price: bought and sold, 1 of equity each way, the
    # second time after the fee of the first.
    result = simulate(
        column(10.0, NAN),
        column(1.0, NAN),
        open_prices=column(10.0, 8.0),
        execution="next_open",
        fee_bps=1000.0,
    )
    assert result.turnover.tolist() == [0.0, 2.0]
    assert result.equity[1] == pytest.approx(0.8)


def test_a_holding_whose_price_goes_missing_is_sold_at_its_last_price_and_flagged():
    prices = np.array([[10.0, 5.0], [10.0, 5.0], [12.0, 5.0], [NAN, 5.0], [NAN, 6.0]])
    weights = np.full((5, 2), NAN)
    weights[0] = [0.5, 0.0]
    result = simulate(prices, weights, fee_bps=100.0, initial_cash=1000.0)
    assert result.delisted.tolist() == [[3, 0]]
    assert result.trades.bar.tolist() == [1, 3]
    assert result.trades.price.tolist() == [10.0, 12.0]
    assert result.trades.fee.tolist() == [5.0, 6.0]
    assert result.equity.tolist() == [1000.0, 995.0, 1095.0, 1089.0, 1089.0]


def test_an_item_that_closes_without_a_price_after_its_open_is_sold_at_that_open():
    result = simulate(
        column(10.0, NAN, NAN),
        column(1.0, NAN, NAN),
        open_prices=column(10.0, 8.0, NAN),
        execution="next_open",
    )
    assert result.trades.price.tolist() == [8.0, 8.0]
    assert result.delisted.tolist() == [[1, 0]]
    assert result.equity.tolist() == [1.0, 1.0, 1.0]


def test_an_order_without_a_price_is_dropped_flagged_and_stays_in_cash():
    prices = np.array([[10.0, NAN], [10.0, NAN], [20.0, 5.0], [20.0, 10.0]])
    weights = np.array([[0.5, 0.5], [0.5, 0.5], [NAN, NAN], [NAN, NAN]])
    result = simulate(prices, weights)
    assert result.unfilled.tolist() == [[1, 1]]
    assert result.delisted.size == 0
    # At bar 2 equity is 1.5, and both halves can be had.
    assert result.equity.tolist() == [1.0, 1.0, 1.5, 2.25]


def test_a_missing_open_keeps_the_holding_at_its_last_known_value():
    prices = np.array([[10.0], [10.0], [20.0], [30.0]])
    opens = np.array([[10.0], [10.0], [NAN], [25.0]])
    result = simulate(prices, column(1.0, 0.0, NAN, NAN), open_prices=opens, execution="next_open")
    assert result.unfilled.tolist() == [[2, 0]]
    assert result.equity.tolist() == [1.0, 1.0, 2.0, 3.0]


def test_a_short_that_loses_everything_ends_the_backtest_with_a_flag():
    result = simulate(
        column(10.0, 10.0, 25.0, 1.0, 1.0), column(-1.0, NAN, -1.0, -1.0, NAN), fee_bps=100.0
    )
    assert result.ruined == 2
    # 1 - 0.01 of fee - 1.5 of loss, and 0.025 of fee to buy it back.
    assert result.equity == pytest.approx([1.0, 0.99, -0.535, -0.535, -0.535])
    assert result.returns[2] == pytest.approx(-0.535 / 0.99 - 1)
    assert result.returns[3:].tolist() == [0.0, 0.0]
    assert result.exposure[2:].tolist() == [0.0, 0.0, 0.0]
    assert summary(result, 252)["cagr"] == -1.0
    assert summary(result, 252)["max_drawdown"] == pytest.approx(-1.535)
    assert all(math.isfinite(value) for name, value in summary(result, 252).items())


def test_an_order_that_meets_an_open_of_ruin_sells_everything():
    result = simulate(
        column(10.0, 10.0, 5.0),
        column(-1.0, -1.0, -1.0),
        open_prices=column(10.0, 10.0, 30.0),
        execution="next_open",
    )
    assert result.trades.quantity == pytest.approx([-0.1, 0.1])
    assert result.equity == pytest.approx([1.0, 1.0, -1.0])
    assert result.ruined == 2


def test_no_bars_and_no_items_are_no_trouble():
    assert simulate(np.empty((0, 2)), np.empty((0, 2))).equity.size == 0
    assert simulate(np.empty((3, 0)), np.empty((3, 0))).equity.tolist() == [1.0, 1.0, 1.0]
    assert math.isnan(summary(simulate(np.empty((0, 2)), np.empty((0, 2))), 252)["total_return"])


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weights": np.ones((3, 1))}, r"weights has shape \(3, 1\) and prices \(3, 2\)"),
        ({"prices": np.ones(3)}, r"prices has shape \(3,\)"),
        ({"prices": [[1, 1], [1, 0], [1, 1]]}, r"prices of item 1 at bar 1 is 0\.0"),
        ({"prices": [[1, 1], [1, 1], [-2, 1]]}, r"prices of item 0 at bar 2 is -2\.0"),
        ({"prices": [[1, np.inf], [1, 1], [1, 1]]}, "prices of item 1 at bar 0 is inf"),
        ({"weights": [[0, 0], [0, -np.inf], [0, 0]]}, "weights of item 1 at bar 1 is -inf"),
        ({"weights": [[0, 0], [NAN, 0], [0, 0]]}, "weights of item 0 at bar 1 is nan"),
        (
            {"execution": "next_open", "open_prices": np.ones((2, 2))},
            r"open_prices has shape \(2, 2\)",
        ),
        (
            {"execution": "next_open", "open_prices": np.zeros((3, 2))},
            r"open_prices of item 0 at bar 0 is 0\.0, one of 6",
        ),
    ],
)
def test_data_that_cannot_be_traded_is_refused_with_its_place(change, text):
    with pytest.raises(DataError, match=text):
        simulate(**{"prices": np.ones((3, 2)), "weights": np.zeros((3, 2)), **change})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"execution": "same_close"}, "execution is 'same_close'"),
        ({"execution": "next_open"}, "needs open_prices"),
        ({"fee_bps": -1.0}, "fee_bps is -1"),
        ({"fee_bps": NAN}, "fee_bps is nan"),
        ({"slippage_bps": 10_000.0}, "slippage_bps is 10000"),
        ({"initial_cash": 0.0}, "initial_cash is 0"),
        ({"initial_cash": np.inf}, "initial_cash is inf"),
    ],
)
def test_an_option_out_of_bounds_is_refused(change, text):
    with pytest.raises(UsageError, match=text):
        simulate(np.ones((3, 2)), np.zeros((3, 2)), **change)


# --- laws ---------------------------------------------------------------------------------------

SEEDS = st.integers(0, 2**32 - 1)
EXECUTIONS = pytest.mark.parametrize("execution", rest_slow(["next_open", "next_close"], fast=1))
COSTS = {"fee_bps": 15.0, "slippage_bps": 5.0}


def state(result) -> list[np.ndarray]:
    return [
        result.equity, result.returns, result.cash, result.turnover, result.exposure,
        result.weights_held,
    ]  # fmt: skip


@EXECUTIONS
@pytest.mark.parametrize("gaps", rest_slow([True, False], fast=1))
@given(seed=SEEDS, cut=st.integers(3, 38))
def test_the_future_never_moves_the_past_to_the_bit(execution, gaps, seed, cut):
    data = market(seed, gaps=gaps)
    before = simulate(**data, execution=execution, **COSTS)

    def perturbed(rows: slice):
        rng = np.random.default_rng(seed + 1)
        other = {name: values.copy() for name, values in data.items()}
        for name, values in other.items():
            values[rows] *= rng.uniform(0.5, 1.5, values[rows].shape)
            if name == "prices" and gaps and rows.start:
                values[rows][rng.random(values[rows].shape) < 0.2] = NAN
        other["weights"][rows.start or 0] = 0.25
        return simulate(**other, execution=execution, **COSTS)

    # The probe must be able to see: moving the past moves the last equity.
    assert perturbed(slice(0, cut)).equity[-1] != before.equity[-1]
    # Prices up to the bar before `cut` and weights likewise are the same, so is all that follows.
    for past, now in zip(state(before), state(perturbed(slice(cut, None))), strict=True):
        np.testing.assert_array_equal(now[:cut], past[:cut])


@EXECUTIONS
@given(seed=SEEDS, cut=st.integers(3, 38))
def test_weights_decided_on_a_bar_move_nothing_up_to_that_bar(execution, seed, cut):
    data = market(seed)
    before = simulate(**data, execution=execution, **COSTS).equity
    data["weights"][cut] = [0.9, 0.9, -0.9]
    after = simulate(**data, execution=execution, **COSTS).equity
    np.testing.assert_array_equal(after[: cut + 1], before[: cut + 1])
    assert cut + 1 == len(before) or after[cut + 1] != before[cut + 1]


@EXECUTIONS
@given(seed=SEEDS, gaps=st.booleans())
def test_cash_is_what_went_in_less_every_fill_and_fee(execution, seed, gaps):
    result = simulate(**market(seed, gaps=gaps), execution=execution, initial_cash=1000.0, **COSTS)
    trades = result.trades
    spent = np.zeros(result.equity.size)
    np.add.at(spent, trades.bar, trades.quantity * trades.price + trades.fee)
    assert result.cash == pytest.approx(1000.0 - np.cumsum(spent), rel=1e-9, abs=1e-9)
    assert trades.fee == pytest.approx(np.abs(trades.quantity) * trades.price * 15e-4)
    # Cash and holdings are the equity, and holdings are the sum of the fills.
    held_value = result.weights_held.sum(axis=1) * result.equity
    assert result.equity == pytest.approx(result.cash + held_value, rel=1e-9)
    quantity = np.zeros(result.weights_held.shape)
    np.add.at(quantity, (trades.bar, trades.item), trades.quantity)
    closes = market(seed, gaps=gaps)["prices"]
    value = np.where(np.isnan(closes), 0.0, np.cumsum(quantity, axis=0) * closes)
    assert value == pytest.approx(
        result.weights_held * result.equity[:, np.newaxis], rel=1e-6, abs=1e-6
    )
    assert result.exposure == pytest.approx(np.abs(result.weights_held).sum(axis=1), abs=1e-12)


@given(seed=SEEDS, weights=st.sampled_from([0.0, NAN]))
def test_without_trades_equity_never_moves(seed, weights):
    data = market(seed, gaps=True)
    data["weights"][:] = weights
    result = simulate(**data, initial_cash=123.45, **COSTS)
    assert (result.equity == 123.45).all()
    assert not result.returns.any()
    assert len(result.trades) == 0


@EXECUTIONS
@given(seed=SEEDS, scale=st.floats(1e-3, 1e9))
def test_scaling_the_initial_cash_scales_the_equity_and_nothing_else(execution, seed, scale):
    data = market(seed, gaps=True)
    one = simulate(**data, execution=execution, **COSTS)
    many = simulate(**data, execution=execution, initial_cash=scale, **COSTS)
    assert many.equity == pytest.approx(scale * one.equity, rel=1e-9)
    assert many.returns == pytest.approx(one.returns, abs=1e-9)
    assert len(many.trades) == len(one.trades)


@given(seed=SEEDS)
def test_costs_never_make_a_portfolio_richer_on_the_bar_that_pays_them(seed):
    data = market(seed)
    data["weights"][1:] = NAN
    free, paid = simulate(**data), simulate(**data, **COSTS)
    assert (paid.equity[1:] < free.equity[1:]).all()


def test_what_goes_in_is_left_as_it_was():
    data = market(0, gaps=True)
    before = {name: values.copy() for name, values in data.items()}
    simulate(**data, execution="next_open", **COSTS)
    for name, values in data.items():
        np.testing.assert_array_equal(values, before[name])


# --- other engines ------------------------------------------------------------------------------


def bt_run(data: dict[str, np.ndarray], fee: float):
    """Equity, cash and positions of bt, which fills weights on their own date: they come later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import bt
        import pandas as pd

        index = pd.bdate_range("2020-01-01", periods=len(data["prices"]))
        names = [f"item{i}" for i in range(data["prices"].shape[1])]
        frame = pd.DataFrame(data["prices"], index, names)
        targets = pd.DataFrame(data["weights"], index, names).shift(1).dropna(how="all")
        strategy = bt.Strategy(
            "s", [bt.algos.WeighTarget(targets), bt.algos.Rebalance()], children=names
        )
        test = bt.Backtest(
            strategy,
            frame,
            initial_capital=1e6,
            commissions=lambda quantity, price: abs(quantity) * price * fee,
            integer_positions=False,
            progress_bar=False,
        )
        bt.run(test)
        equity = test.strategy.values.reindex(index).to_numpy()
        cash = test.strategy.cash.reindex(index).to_numpy()
        return equity, cash, test.strategy.positions.reindex(index)[names].to_numpy()


@pytest.mark.parametrize("seed", range(3))
def test_without_fees_equity_is_that_of_bt(seed):
    data = market(seed, bars=250, items=4)
    equity, cash, _ = bt_run(data, 0.0)
    ours = simulate(data["prices"], data["weights"], initial_cash=1e6)
    assert len(ours.trades) > 400
    assert ours.equity == pytest.approx(equity, rel=1e-6)
    assert ours.cash == pytest.approx(cash, rel=1e-6, abs=1.0)


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("long_only", [False, True])
def test_with_fees_equity_is_that_of_bt_once_costs_are_within_the_amounts(every, long_only):
    data = market(every, bars=250, items=4)
    rng = np.random.default_rng(every)
    weights = rng.dirichlet(np.ones(4), 250) if long_only else rng.uniform(-0.5, 0.6, (250, 4))
    weights[rng.random((250, 4)) < 0.2] = 0.0
    weights[np.arange(250) % every > 0] = NAN
    data["weights"] = weights
    equity, cash, held = bt_run(data, 10e-4)
    ours = simulate(data["prices"], weights, fee_bps=10.0, initial_cash=1e6, costs="within")
    assert ours.equity == pytest.approx(equity, rel=1e-6)
    assert ours.cash == pytest.approx(cash, rel=1e-6, abs=1.0)
    value = ours.weights_held * ours.equity[:, np.newaxis]
    assert value == pytest.approx(held * data["prices"], rel=1e-6, abs=1e-3)
    # On top of the amounts the convention shows, and stays of the size of fee times fee.
    plain = simulate(data["prices"], weights, fee_bps=10.0, initial_cash=1e6)
    assert 1e-6 < np.abs(plain.equity / equity - 1).max() < 0.02


def test_equity_is_that_of_a_slow_account_written_out_item_by_item():
    data = market(11, bars=120)
    cash, held, equity = 1.0, [0.0] * 3, []
    for bar in range(120):
        if bar and not np.isnan(data["weights"][bar - 1]).any():
            price = data["open_prices"][bar]
            total = cash + sum(held[i] * price[i] for i in range(3))
            for i in range(3):
                quantity = data["weights"][bar - 1, i] * total / price[i] - held[i]
                fill = price[i] * (1 + math.copysign(5e-4, quantity))
                cash -= quantity * fill + abs(quantity) * fill * 15e-4
                held[i] += quantity
        equity.append(cash + sum(held[i] * data["prices"][bar, i] for i in range(3)))
    result = simulate(**data, execution="next_open", **COSTS)
    assert result.equity == pytest.approx(equity, rel=1e-12)
