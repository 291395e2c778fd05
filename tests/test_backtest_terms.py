"""What the kernel charges, allows and pays beyond fee and slippage; many portfolios at once."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import rest_slow
from podium.errors import DataError, UsageError
from podium.portfolio import Impact, Limits, Rates, sharpe, simulate, simulate_stack, summary
from podium.signals import proportional
from podium.testing.leak import probe, probe_fills
from podium.testing.series import bars

NAN = math.nan
SEEDS = st.integers(0, 2**32 - 1)
DAYS = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]")
BARS = 40
GROUPS = ["bank", "oil", "bank", "oil"]


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, np.newaxis]


def market(seed: int, items: int = 4, gaps: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    closes = 50.0 * np.exp(np.cumsum(0.02 * rng.standard_normal((BARS, items)), axis=0))
    opens = closes * np.exp(0.01 * rng.standard_normal((BARS, items)))
    weights = rng.uniform(-0.5, 0.6, (BARS, items))
    weights[rng.random(BARS) < 0.4] = NAN
    if gaps:
        closes[rng.random((BARS, items)) < 0.05] = NAN
        opens[rng.random((BARS, items)) < 0.05] = NAN
    return {"prices": closes, "weights": weights, "open_prices": opens}


def terms(seed: int) -> dict[str, object]:
    """Everything at once, some of it for each item on its own."""
    rng = np.random.default_rng(seed + 1)
    volume = rng.uniform(0.0, 20.0, (BARS, 4))
    volume[rng.random((BARS, 4)) < 0.05] = 0.0
    return {
        "fee_bps": rng.uniform(0.0, 20.0, 4),
        "slippage_bps": 3.0,
        "spread_bps": rng.uniform(0.0, 10.0, 4),
        "initial_cash": 1000.0,
        "costs": rng.choice(["on_top", "within"]),
        "execution": rng.choice(["next_close", "next_open"]),
        "impact": Impact(volume, 50.0, rng.choice(["sqrt", "linear"])),
        "limits": Limits(
            weight=0.4, group=0.6, groups=GROUPS, leverage=1.0, turnover=0.7,
            lot=rng.choice([None, 0.5]),
        ),
        "rates": Rates(DAYS[:BARS], cash=0.02, debt=0.05, borrow=0.03),
    }  # fmt: skip


# --- by hand ------------------------------------------------------------------------------------


def test_fees_and_slippage_may_differ_from_item_to_item():
    prices = np.full((3, 2), 10.0)
    result = simulate(
        prices,
        [[0.5, -0.5], [NAN, NAN], [NAN, NAN]],
        fee_bps=[100.0, 0.0],
        slippage_bps=[0.0, 100.0],
        initial_cash=1000.0,
    )
    assert result.trades.price.tolist() == [10.0, 9.9]
    assert result.trades.fee.tolist() == [5.0, 0.0]
    assert result.cash[1] == pytest.approx(1000.0 - 500.0 - 5.0 + 495.0)


def test_half_the_spread_is_paid_on_each_side():
    half = simulate(column(10.0, 10.0, 10.0), column(1.0, 0.0, NAN), spread_bps=200.0)
    slipped = simulate(column(10.0, 10.0, 10.0), column(1.0, 0.0, NAN), slippage_bps=100.0)
    np.testing.assert_array_equal(half.equity, slipped.equity)
    assert half.trades.price == pytest.approx([10.1, 9.9])


def test_costs_within_the_amount_leave_no_debt_and_sell_more():
    # 100 for everything: 100 / 1.01 worth of shares. Half is then to be sold for 100 less fee.
    result = simulate(
        column(10.0, 10.0, 10.0),
        column(1.0, 0.5, NAN),
        fee_bps=100.0,
        initial_cash=100.0,
        costs="within",
    )
    bought = 100.0 / (10.0 * 1.01)
    assert result.cash[1] == pytest.approx(0.0, abs=1e-12)
    assert result.trades.quantity[0] == pytest.approx(bought)
    equity = 10.0 * bought
    assert result.trades.quantity[1] == pytest.approx(-0.5 * equity / (10.0 * 0.99))
    assert result.cash[2] == pytest.approx(0.5 * equity)
    assert result.costs == "within"


def test_costs_within_the_amount_never_turn_a_position_round_that_was_to_stay():
    result = simulate(
        column(10.0, 10.0, 10.0), column(1.0, 0.001, NAN), fee_bps=500.0, costs="within"
    )
    assert result.trades.held.tolist()[-1] == 0.0
    assert result.cash[2] > 0.0


def test_an_order_moves_its_price_by_the_root_of_its_share_of_the_volume():
    volume = column(NAN, 400.0, NAN)
    # 100 bps for the whole volume; a quarter of it moves the price by half of that.
    rooted = simulate(
        column(10.0, 10.0, 10.0), column(1.0, NAN, NAN), initial_cash=1000.0,
        impact=Impact(volume, 100.0),
    )  # fmt: skip
    assert rooted.trades.price == pytest.approx([10.05])
    assert rooted.equity[1] == pytest.approx(1000.0 - 100.0 * 0.05)
    linear = simulate(
        column(10.0, 10.0, 10.0), column(-1.0, NAN, NAN), initial_cash=1000.0,
        impact=Impact(volume, 100.0, "linear"),
    )  # fmt: skip
    assert linear.trades.price == pytest.approx([9.975])


def test_an_order_without_volume_is_dropped_but_a_delisted_holding_is_sold():
    prices, volume = column(10.0, 10.0, 12.0, NAN), column(5.0, 0.0, 100.0, NAN)
    result = simulate(prices, column(1.0, 1.0, NAN, NAN), impact=Impact(volume, 10.0))
    assert result.unfilled.tolist() == [[1, 0]]
    assert result.trades.bar.tolist() == [2, 3]
    assert result.trades.price[1] == 12.0
    assert result.delisted.tolist() == [[3, 0]]


def test_impact_never_makes_a_seller_pay():
    result = simulate(
        column(10.0, 10.0, 10.0), column(-1.0, NAN, NAN), slippage_bps=100.0,
        impact=Impact(column(1.0, 1e-9, 1.0), 1e4, "linear"),
    )  # fmt: skip
    assert result.trades.price[0] == pytest.approx(0.0, abs=1e-12)


def test_limits_cut_off_positions_then_shrink_groups_then_everything():
    weights = np.full((3, 4), NAN)
    weights[0] = [0.8, 0.3, -0.5, 0.1]
    limits = Limits(weight=0.5, group={"bank": 0.8}, groups=GROUPS, leverage=0.6)
    result = simulate(np.ones((3, 4)), weights, limits=limits)
    # Cut off: 0.5, 0.3, -0.5, 0.1. Banks have 1.0, so 0.4 each. All have 1.2, so half of that.
    assert result.weights_held[1] == pytest.approx([0.2, 0.15, -0.2, 0.05])


def test_a_turnover_limit_goes_part_of_the_way_and_on_with_the_next_order():
    weights = np.tile([0.6, -0.2], (4, 1))
    result = simulate(np.ones((4, 2)), weights, limits=Limits(turnover=0.4))
    assert result.turnover == pytest.approx([0.0, 0.4, 0.4, 0.0])
    assert result.weights_held[1] == pytest.approx([0.3, -0.1])
    assert result.weights_held[2] == pytest.approx([0.6, -0.2])


def test_what_has_no_price_takes_nothing_of_the_turnover_limit():
    prices = np.array([[1.0, 1.0], [1.0, NAN], [1.0, 1.0]])
    result = simulate(prices, [[0.4, 0.4], [NAN, NAN], [NAN, NAN]], limits=Limits(turnover=0.4))
    assert result.weights_held[1] == pytest.approx([0.4, 0.0])


def test_lots_are_whole_and_never_more_than_asked():
    result = simulate(
        np.array([[7.0, 1.0]] * 3), [[0.5, -0.57], [0.0, -0.57], [NAN, NAN]],
        initial_cash=100.0, limits=Limits(lot=[1.0, 19.0]),
    )  # fmt: skip
    # 50 / 7 is seven lots; 57 is three of 19, although 0.57 of 100 comes out as 56.99999999999999.
    assert result.trades.quantity.tolist() == [7.0, -57.0, -7.0]


def test_costs_within_that_leave_less_than_a_lot_make_no_fill():
    result = simulate(
        column(10.0, 10.0, 10.0), column(1.0, NAN, NAN), fee_bps=10.0, initial_cash=10.0,
        costs="within", limits=Limits(lot=1.0),
    )  # fmt: skip
    assert len(result.trades) == 0
    assert result.cash.tolist() == [10.0, 10.0, 10.0]


def test_interest_runs_by_the_calendar_on_cash_debt_and_shorts():
    # Friday, Monday, Tuesday: three days, then one.
    times = np.array(["2020-01-03", "2020-01-06", "2020-01-07"], dtype="datetime64[D]")
    rates = Rates(times, cash=0.1, debt=0.2, borrow=0.05)
    idle = simulate(np.ones((3, 1)), np.full((3, 1), NAN), rates=rates, initial_cash=1000.0)
    first = 1000.0 * 0.1 * 3 / 365.25
    assert idle.interest == pytest.approx([0.0, first, (1000.0 + first) * 0.1 / 365.25])
    assert idle.equity == pytest.approx(1000.0 + np.cumsum(idle.interest))
    owing = simulate(np.ones((3, 1)), column(2.0, NAN, NAN), rates=rates, initial_cash=1000.0)
    # The interest of the weekend comes before the order, which buys for twice what is there then.
    assert owing.interest[2] == pytest.approx(-(1000.0 + first) * 0.2 / 365.25)
    # A short costs by its value at the last close, whatever the price is now.
    prices = column(1.0, 1.0, 1.5)
    short = simulate(prices, column(-1.0, NAN, NAN), rates=rates, initial_cash=1000.0)
    assert short.interest[2] == pytest.approx((1000.0 + first) * (2 * 0.1 - 0.05) / 365.25)


def test_cash_alone_has_no_sharpe_ratio_also_over_weekends():
    days = np.busday_offset("2020-01-01", np.arange(500), roll="forward")
    rates = Rates(days, cash=0.03)
    rng = np.random.default_rng(0)
    prices = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((500, 1)), axis=0))
    idle = simulate(prices, np.zeros((500, 1)), rates=rates)
    measures = summary(idle, 252)
    assert math.isnan(measures["sharpe"])
    assert math.isnan(measures["sortino"])
    assert measures["cagr"] == pytest.approx(0.03, abs=0.002)
    held = simulate(prices, np.ones((500, 1)), rates=rates)
    rate = 0.03 * np.diff(days).astype(int) / 365.25
    assert held.excess[1:] == pytest.approx(held.returns[1:] - rate)
    assert summary(held, 252)["sharpe"] == sharpe(held.excess[1:], 252)


def test_a_rate_of_each_bar_counts_from_its_close_on():
    rates = Rates(DAYS[:3], cash=[0.0, 0.36525, 9.0])
    result = simulate(np.ones((3, 1)), np.full((3, 1), NAN), rates=rates)
    assert result.interest == pytest.approx([0.0, 0.0, 0.001])


# --- frames -------------------------------------------------------------------------------------


def test_frames_are_put_together_by_the_names_of_their_columns():
    data = market(1, gaps=False)
    index = pd.date_range("2020-01-01", periods=40)
    names = ["a", "b", "c", "d"]
    frames = {name: pd.DataFrame(values, index, names) for name, values in data.items()}
    frames["weights"] = frames["weights"][["c", "a", "d", "b"]]
    frames["open_prices"] = frames["open_prices"][["d", "c", "b", "a"]]
    volume = pd.DataFrame(np.arange(160.0).reshape(40, 4), index, names)
    mixed = simulate(**frames, execution="next_open", impact=Impact(volume[names[::-1]], 10.0))
    plain = simulate(**data, execution="next_open", impact=Impact(volume.to_numpy(), 10.0))
    np.testing.assert_array_equal(mixed.equity, plain.equity)


@pytest.mark.parametrize(
    ("columns", "first", "text"),
    [
        (["a", "x"], "2020-01-01", r"weights has no column 'b'"),
        (["a", "b", "c"], "2020-01-01", r"prices has no column 'c'"),
        (["b", "a"], "2020-01-02", "weights and prices have different rows"),
    ],
)
def test_frames_of_other_rows_or_columns_are_refused(columns, first, text):
    prices = pd.DataFrame(1.0, pd.date_range("2020-01-01", periods=3), ["a", "b"])
    weights = pd.DataFrame(0.1, pd.date_range(first, periods=3), columns)
    with pytest.raises(DataError, match=text):
        simulate(prices, weights)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"costs": "somewhere"}, UsageError, "costs is 'somewhere'"),
        ({"fee_bps": [1.0, -2.0]}, UsageError, "fee_bps of item 1 is -2.0"),
        ({"fee_bps": [1.0, 2.0, 3.0]}, DataError, r"fee_bps has shape \(3,\)"),
        ({"spread_bps": NAN}, UsageError, "spread_bps is nan"),
        ({"impact": Impact(np.ones((3, 2)), -1.0)}, UsageError, "impact.bps is -1.0"),
        ({"impact": Impact(np.ones((3, 1)), 1.0)}, DataError, "impact.volume has shape"),
        ({"impact": Impact(-np.ones((3, 2)), 1.0)}, DataError, "impact.volume of item 0 at bar 0"),
        ({"impact": Impact(np.ones((3, 2)), 1.0, "cubic")}, UsageError, "impact.law is 'cubic'"),
        ({"limits": Limits(weight=-0.1)}, UsageError, "limits.weight is -0.1"),
        ({"limits": Limits(leverage=-1.0)}, UsageError, "limits.leverage is -1.0"),
        ({"limits": Limits(turnover=NAN)}, UsageError, "limits.turnover is nan"),
        ({"limits": Limits(lot=0.0)}, UsageError, "limits.lot is 0.0"),
        ({"limits": Limits(group=0.5)}, UsageError, "needs limits.groups"),
        ({"limits": Limits(group=0.5, groups=["a"])}, DataError, "has 1 names"),
        (
            {"limits": Limits(group={"oli": 0.5}, groups=["oil", "gas"])},
            UsageError,
            "unknown group, 'oli'.*Did you mean 'oil'",
        ),
        ({"rates": Rates(DAYS[:2])}, DataError, r"rates.times has shape \(2,\)"),
        ({"rates": Rates(DAYS[[0, 2, 1]])}, DataError, r"times\[2\]"),
        ({"rates": Rates(DAYS[:3], cash=np.inf)}, UsageError, "rates.cash is not finite"),
        ({"rates": Rates(DAYS[:3], debt=[0.1, 0.2])}, DataError, r"rates.debt has shape \(2,\)"),
        ({"rates": Rates(DAYS[:3], borrow=NAN)}, UsageError, "rates.borrow is nan"),
    ],
)
def test_an_invalid_term_is_refused(change, kind, text):
    with pytest.raises(kind, match=text):
        simulate(np.ones((3, 2)), np.zeros((3, 2)), **change)


def test_a_stack_of_another_shape_is_refused_and_a_bad_weight_is_named_with_its_portfolio():
    with pytest.raises(DataError, match=r"weights has shape \(3, 2\).*a stack of matrices"):
        simulate_stack(np.ones((3, 2)), np.ones((3, 2)))
    weights = np.zeros((4, 3, 2))
    with pytest.raises(DataError, match=r"\(4, 3, 2\).*Use simulate_stack"):
        simulate(np.ones((3, 2)), weights)
    weights[2, 1, 1] = NAN
    with pytest.raises(DataError, match="weights of portfolio 2: of item 1 at bar 1 is nan"):
        simulate_stack(np.ones((3, 2)), weights)


# --- many portfolios at once --------------------------------------------------------------------

ARRAYS = (
    "equity", "returns", "cash", "weights_held", "turnover", "exposure", "interest", "excess",
    "delisted", "unfilled",
)  # fmt: skip
COLUMNS = ("bar", "item", "quantity", "price", "fee", "held")


def assert_same(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in COLUMNS:
        np.testing.assert_array_equal(
            getattr(one.trades, name), getattr(other.trades, name), err_msg=name
        )
    assert one.ruined == other.ruined


@pytest.mark.slow
@given(seed=SEEDS, plain=st.booleans(), items=st.sampled_from([4, 40]), together=st.booleans())
def test_a_stack_is_to_the_bit_what_each_portfolio_is_alone(seed, plain, items, together):
    data = market(seed, items=items)
    stack = np.stack([market(seed + n, items=items)["weights"] * (1 + 4 * n) for n in range(4)])
    if together:
        stack[:, np.isnan(stack).any(axis=(0, 2))] = NAN
    data["weights"] = stack
    asked = {"execution": "next_open", "fee_bps": 10.0} if plain or items > 4 else terms(seed)
    results = simulate_stack(**data, **asked)
    assert len(results) == 4
    for alone, weights in zip(results, stack, strict=True):
        assert_same(alone, simulate(**{**data, "weights": weights}, **asked))


def test_a_stack_of_nothing_and_of_no_bars_is_no_trouble():
    assert len(simulate_stack(np.ones((3, 2)), np.ones((0, 3, 2)))) == 0
    assert simulate_stack(np.ones((0, 2)), np.ones((5, 0, 2))).equity.shape == (5, 0)
    assert [len(t) for t in simulate_stack(np.ones((3, 2)), np.zeros((5, 3, 2))).trades] == [0] * 5


# --- laws ---------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_equity_is_cash_and_positions_at_every_bar(seed):
    data, asked = market(seed), terms(seed)
    result = simulate(**data, **asked)
    trades = result.trades
    spent = np.zeros(40)
    np.add.at(spent, trades.bar, trades.quantity * trades.price + trades.fee)
    cash = asked["initial_cash"] + np.cumsum(result.interest - spent)
    assert result.cash == pytest.approx(cash, rel=1e-9, abs=1e-6)
    units = np.zeros((40, 4))
    np.add.at(units, (trades.bar, trades.item), trades.quantity)
    # A holding without a close is sold, so there is a price wherever there is one.
    value = np.where(np.isnan(data["prices"]), 0.0, np.cumsum(units, axis=0) * data["prices"])
    assert result.equity == pytest.approx(cash + value.sum(axis=1), rel=1e-9, abs=1e-6)
    for item in range(4):
        mine = trades.item == item
        assert trades.held[mine] == pytest.approx(np.cumsum(trades.quantity[mine]), abs=1e-9)


@given(seed=SEEDS)
def test_fully_invested_without_costs_is_buy_and_hold(seed):
    data = market(seed, items=1, gaps=False)
    result = simulate(data["prices"], np.ones((40, 1)))
    assert result.equity[1:] == pytest.approx(data["prices"][1:, 0] / data["prices"][1, 0])
    assert len(result.trades) == 1


@pytest.mark.slow
@given(seed=SEEDS, scale=st.floats(1e-3, 1e3))
def test_the_unit_of_the_prices_changes_no_return(seed, scale):
    data, asked = market(seed), terms(seed)
    asked["limits"] = Limits(weight=0.4, turnover=0.7)
    asked["impact"] = None
    one = simulate(**data, **asked)
    data["prices"], data["open_prices"] = scale * data["prices"], scale * data["open_prices"]
    assert simulate(**data, **asked).returns == pytest.approx(one.returns, abs=1e-9)


@pytest.mark.slow
@given(seed=SEEDS)
def test_the_order_of_the_items_changes_nothing(seed):
    data, asked = market(seed), terms(seed)
    one = simulate(**data, **asked)
    order = np.random.default_rng(seed).permutation(4)
    shuffled = {name: values[:, order] for name, values in data.items()}
    limits, impact = asked["limits"], asked["impact"]
    asked |= {
        "fee_bps": asked["fee_bps"][order],
        "spread_bps": asked["spread_bps"][order],
        "impact": Impact(impact.volume[:, order], impact.bps, impact.law),
        "limits": Limits(
            weight=0.4, group=0.6, groups=[GROUPS[n] for n in order], leverage=1.0, turnover=0.7,
            lot=limits.lot,
        ),
    }  # fmt: skip
    other = simulate(**shuffled, **asked)
    # With lots a rounding may decide about a whole one.
    if limits.lot is None:
        assert other.equity == pytest.approx(one.equity, rel=1e-9)
        assert other.weights_held == pytest.approx(one.weights_held[:, order], abs=1e-9)


@pytest.mark.slow
@given(seed=SEEDS, cut=st.integers(3, 38))
def test_with_all_terms_the_future_never_moves_the_past_to_the_bit(seed, cut):
    data, asked = market(seed), terms(seed)
    before = simulate(**data, **asked)
    rng = np.random.default_rng(seed + 2)
    for values in data.values():
        values[cut:] *= rng.uniform(0.5, 1.5, values[cut:].shape)
    data["weights"][cut - 1 :] = rng.uniform(-0.5, 0.5, (41 - cut, 4))
    volume = asked["impact"].volume.copy()
    volume[cut:] = rng.uniform(0.0, 50.0, volume[cut:].shape)
    asked["impact"] = Impact(volume, 50.0, asked["impact"].law)
    rate = np.where(np.arange(40) < cut, 0.02, 0.9)
    asked["rates"] = Rates(DAYS[:40], cash=rate, debt=0.05, borrow=0.03)
    after = simulate(**data, **asked)
    for name in ("equity", "cash", "weights_held", "turnover", "interest"):
        np.testing.assert_array_equal(getattr(after, name)[:cut], getattr(before, name)[:cut])


def traded(dataset, **asked):
    """The second of a stack of two portfolios that lean by what each bar did."""
    moved = np.log(dataset["close"] / dataset["open"])
    weights = proportional.weights(moved, gross=0.01)
    rates = Rates(dataset.times, cash=0.02, debt=0.05, borrow=0.03)
    return simulate_stack(
        dataset["close"],
        [-weights, weights],
        open_prices=dataset["open"],
        fee_bps=5.0,
        impact=Impact(dataset["volume"], 10.0),
        limits=Limits(weight=0.005, leverage=0.009),
        rates=rates,
        **asked,
    )[1]


@pytest.mark.parametrize(
    ("execution", "costs"),
    rest_slow(itertools.product(["next_open", "next_close"], ["on_top", "within"]), fast=1),
)
def test_the_probe_sees_no_look_ahead_in_equity_holdings_or_fills(execution, costs):
    asked = {"execution": execution, "costs": costs}
    for name in ("equity", "weights_held", "cash", "turnover", "interest"):
        assert probe(lambda d, name=name: getattr(traded(d, **asked), name), bars(120), 60) is None
    assert probe_fills(lambda d: traded(d, **asked).weights_held, bars(120), 60) is None


@given(seed=SEEDS, lot=st.sampled_from([None, 0.5]))
def test_limits_hold_at_the_price_of_every_order(seed, lot):
    data = market(seed, gaps=False)
    data["weights"] *= 3.0
    limits = Limits(
        weight=[0.3, 0.4, 0.2, 0.5], group={"oil": 0.5}, groups=GROUPS, leverage=0.9, lot=lot
    )
    result = simulate(**data, initial_cash=1e4, limits=limits)
    ordered = np.flatnonzero(~np.isnan(data["weights"][:-1, 0])) + 1
    held = np.abs(result.weights_held[ordered])
    assert (held <= np.array([0.3, 0.4, 0.2, 0.5]) + 1e-9).all()
    assert (held[:, [1, 3]].sum(axis=1) <= 0.5 + 1e-9).all()
    assert (held.sum(axis=1) <= 0.9 + 1e-9).all()
    if lot:
        assert result.trades.held / lot == pytest.approx(np.round(result.trades.held / lot))


@given(seed=SEEDS, lot=st.sampled_from([None, 0.5]), limit=st.floats(0.0, 1.0))
def test_no_order_trades_more_than_the_turnover_limit(seed, lot, limit):
    data = market(seed, gaps=False)
    result = simulate(**data, initial_cash=1e4, limits=Limits(turnover=limit, lot=lot))
    assert (result.turnover <= limit + 1e-9).all()


@given(seed=SEEDS, costs=st.sampled_from(["on_top", "within"]))
def test_no_cost_ever_raises_equity_on_the_bar_that_pays_it(seed, costs):
    data = market(seed, gaps=False)
    data["weights"][0], data["weights"][1:] = [0.3, -0.2, 0.4, 0.1], NAN
    volume = np.full((40, 4), 10.0)
    free = simulate(**data, costs=costs).equity[1]
    for cost in (
        {"fee_bps": 10.0},
        {"slippage_bps": 10.0},
        {"spread_bps": 10.0},
        {"impact": Impact(volume, 10.0)},
        {"impact": Impact(volume, 10.0, "linear")},
    ):
        assert simulate(**data, **cost, costs=costs).equity[1] < free


@given(seed=SEEDS, costs=st.sampled_from(["on_top", "within"]))
def test_what_is_traded_with_all_terms_has_no_number_that_is_not_finite(seed, costs):
    data, asked = market(seed), terms(seed)
    data["weights"] *= 20.0
    asked |= {"limits": None, "costs": costs}
    result = simulate(**data, **asked)
    for name in ("equity", "returns", "cash", "weights_held", "turnover", "exposure", "interest"):
        assert np.isfinite(getattr(result, name)).all(), name
    if result.ruined is not None:
        assert (result.equity[result.ruined :] == result.equity[result.ruined]).all()
        assert not result.interest[result.ruined + 1 :].any()
