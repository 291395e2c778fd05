"""Trading measures: against another implementation, and where they have no answer."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError, UsageError
from podium.portfolio import (
    Trades,
    cagr,
    calmar,
    closed_profits,
    exposure,
    hit_rate,
    max_drawdown,
    max_drawdown_bars,
    periods_per_year,
    sharpe,
    simulate,
    sortino,
    summary,
    tail_ratio,
    turnover,
    volatility,
    win_rate,
)

NAN = math.nan
MEASURES = [
    sharpe, sortino, volatility, cagr, max_drawdown, max_drawdown_bars, calmar, hit_rate, turnover,
    tail_ratio, exposure,
]  # fmt: skip
SUMMARY = [
    "sharpe", "sortino", "volatility", "cagr", "max_drawdown", "max_drawdown_bars", "calmar",
    "hit_rate", "turnover", "total_return", "win_rate", "tail_ratio", "exposure",
]  # fmt: skip


def test_measures_agree_with_another_implementation():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import empyrical

    returns = 0.01 * np.random.default_rng(0).standard_t(4, 1500)
    year = {"annualization": 252}
    assert sharpe(returns, 252) == pytest.approx(empyrical.sharpe_ratio(returns, **year))
    assert sortino(returns, 252) == pytest.approx(empyrical.sortino_ratio(returns, **year))
    assert volatility(returns, 252) == pytest.approx(empyrical.annual_volatility(returns, **year))
    assert cagr(returns, 252) == pytest.approx(empyrical.cagr(returns, **year))
    assert calmar(returns, 252) == pytest.approx(empyrical.calmar_ratio(returns, **year))
    assert max_drawdown(returns) == pytest.approx(empyrical.max_drawdown(returns))
    assert tail_ratio(returns) == pytest.approx(empyrical.tail_ratio(returns))
    assert max_drawdown([-0.1, 0.05]) == pytest.approx(empyrical.max_drawdown(np.array([-0.1, 0])))


def test_a_loss_on_the_first_bar_is_a_drawdown_from_the_initial_capital():
    assert max_drawdown([-0.1]) == pytest.approx(-0.1)
    assert max_drawdown_bars([-0.1]) == 1.0


@pytest.mark.parametrize(
    ("returns", "bars"),
    [
        ([0.1, -0.5, 1.0, -0.1], 2),
        ([0.1, -0.5, 0.1, 0.1], 3),
        ([-0.1, 0.5, -0.5, 0.2, 0.1], 3),
        ([0.1, 0.1], 0),
        ([0.0, 0.0, -0.1], 1),
    ],
)
def test_the_length_of_the_deepest_fall_runs_from_its_peak_to_its_recovery(returns, bars):
    assert max_drawdown_bars(returns) == bars


def test_bars_without_a_gain_or_loss_do_not_count_as_misses():
    assert hit_rate([0.0, 0.01, 0.0, -0.01, 0.02, 0.03]) == 0.75


@looped("returns", [[], [0.01], [0.0] * 9, [0.01] * 9, [-0.01] * 9, [0.1, 1e-300]])
@looped("measure", MEASURES)
def test_a_measure_without_an_answer_is_never_infinite(measure, returns):
    assert not math.isinf(measure(returns, 252))


def test_ratios_over_nothing_are_nan():
    for constant in ([0.0] * 9, [0.01] * 9, [0.1 + 0.2] * 7):
        assert math.isnan(sharpe(constant, 252))
        assert volatility(constant, 252) == 0.0
        assert math.isnan(sortino(constant, 252))
        assert math.isnan(calmar(constant, 252))
        assert max_drawdown(constant) == 0.0
    assert all(math.isnan(measure([], 252)) for measure in MEASURES)
    assert math.isnan(hit_rate([0.0, 0.0]))
    assert math.isnan(volatility([0.01], 252))


def test_growth_that_no_number_holds_is_nan():
    assert math.isnan(cagr([9.0], 8766))
    assert cagr([0.5, -1.0, 0.5], 252) == -1.0


@given(st.lists(st.floats(-0.99, 3.0), max_size=60), st.floats(1.0, 10_000.0))
def test_no_returns_make_a_measure_infinite_or_warn(returns, periods):
    for measure in MEASURES:
        assert not math.isinf(measure(returns, periods))
    assert len(returns) == 0 or -1.0 <= max_drawdown(returns) <= 0.0
    assert 0.0 <= max_drawdown_bars(returns) <= len(returns) or not returns


@looped("measure", MEASURES)
def test_a_measure_refuses_returns_that_are_not_finite(measure):
    with pytest.raises(DataError, match="bar 1 is nan"):
        measure([0.1, NAN], 252)


@looped("measure", [sharpe, sortino, volatility, cagr, calmar, turnover])
def test_a_measure_refuses_a_year_without_bars(measure):
    with pytest.raises(UsageError, match="periods_per_year is 0"):
        measure([0.1, 0.2], 0)


def hours_of(dates, first, last):
    """Hourly bars of each date, from an hour to another."""
    hours = dates.astype("datetime64[h]")[:, np.newaxis] + np.arange(first, last + 1)
    return hours.ravel()


def test_bars_a_year_come_from_the_calendar_of_the_bars():
    days = np.arange("2010-01-01", "2020-01-01", dtype="datetime64[D]")
    weekdays = days[np.is_busday(days)]
    hours = np.arange("2020-01-01T00", "2021-01-01T00", dtype="datetime64[h]")
    assert periods_per_year(days) == 365
    assert periods_per_year(weekdays) == 252
    assert periods_per_year(weekdays.astype("datetime64[ns]")) == 252
    assert periods_per_year(hours) == pytest.approx(24 * 365)
    assert periods_per_year(hours_of(weekdays, 14, 20)) == pytest.approx(7 * 252)
    assert periods_per_year(days[::7]) == pytest.approx(52.18, abs=0.01)
    months = np.arange("2010-01", "2020-01", dtype="datetime64[M]").astype("datetime64[D]")
    assert periods_per_year(months) == pytest.approx(12, abs=0.01)
    # Currencies: from Sunday evening to Friday evening.
    open_ = (hours.astype(int) + 3 * 24) % 168
    currencies = hours[(open_ < 4 * 24 + 22) | (open_ >= 6 * 24 + 22)]
    assert periods_per_year(currencies) == pytest.approx(120 * 365 / 7)


def test_a_few_days_have_the_bars_a_year_of_a_whole_year():
    days = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]")
    weekdays = days[np.is_busday(days)]
    for n in (2, 3, 5, 8, 60):
        for first in range(10):
            few = weekdays[first : first + n]
            assert periods_per_year(few) == 252
            assert periods_per_year(hours_of(few, 14, 20)) == pytest.approx(7 * 252)
    for n in (7, 12, 60):
        assert periods_per_year(days[3 : 3 + n]) == 365
        assert periods_per_year(hours_of(days[3 : 3 + n], 0, 23)) == pytest.approx(24 * 365)


def test_holidays_half_days_and_another_week_do_not_change_the_bars_a_year():
    days = np.arange("2020-01-01", "2020-06-01", dtype="datetime64[D]")
    weekdays = days[np.is_busday(days)]
    assert periods_per_year(np.delete(weekdays, [2, 17, 40])) == 252
    half = hours_of(weekdays, 14, 20)
    assert periods_per_year(np.delete(half, [4, 5, 6])) == pytest.approx(7 * 252)
    sunday_to_thursday = days[np.is_busday(days, weekmask="1111001")]
    assert periods_per_year(sunday_to_thursday) == 252


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "1 bars have no interval"),
        (np.array(["2020-01-02", "2020-01-01"], dtype="datetime64[D]"), r"times\[1\]"),
        (np.array(["2020-01-01", "2020-01-01"], dtype="datetime64[D]"), r"times\[1\]"),
        (np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"), r"times\[1\] is NaT"),
        ([1.0, 2.0], "of type float64"),
    ],
)
def test_times_that_are_no_calendar_are_refused(times, text):
    with pytest.raises(DataError, match=text):
        periods_per_year(times)


def test_the_summary_names_every_measure_and_leaves_out_the_bar_that_holds_nothing():
    prices, weights = np.array([[10.0, 10.0, 11.0, 9.9, 12.0], [1.0, NAN, 0.5, NAN, NAN]])
    result = simulate(prices[:, np.newaxis], weights[:, np.newaxis])
    numbers = summary(result, 252)
    returns = result.returns[1:]
    assert list(numbers) == SUMMARY
    assert all(type(value) is float for value in numbers.values())
    assert numbers["sharpe"] == sharpe(returns, 252)
    assert numbers["total_return"] == pytest.approx(np.prod(1 + returns) - 1)
    assert (1 + numbers["cagr"]) ** (4 / 252) == pytest.approx(1 + numbers["total_return"])
    assert numbers["turnover"] == pytest.approx((1.0 + 0.5) / 4 * 252)


def test_the_summary_of_a_portfolio_that_never_trades_has_no_sharpe():
    numbers = summary(simulate(np.ones((50, 2)), np.zeros((50, 2))), 252)
    assert math.isnan(numbers["sharpe"])
    assert math.isnan(numbers["hit_rate"])
    assert numbers["total_return"] == numbers["cagr"] == numbers["turnover"] == 0.0
    assert numbers["exposure"] == 0.0
    assert math.isnan(numbers["win_rate"])
    assert math.isnan(numbers["tail_ratio"])


def fills(*rows: tuple[float, ...]) -> Trades:
    bar, item, quantity, price, fee, held = np.array(rows, dtype=float).T
    return Trades(bar.astype(int), item.astype(int), quantity, price, fee, held)


def test_a_trade_lasts_from_no_position_to_none_again_and_pays_its_costs():
    trades = fills(
        # bar, item, quantity, price, fee, held: two items in turn, the second still open.
        (1, 0, 10.0, 5.0, 1.0, 10.0),
        (1, 1, 4.0, 2.0, 0.0, 4.0),
        (2, 0, 5.0, 6.0, 1.0, 15.0),
        (3, 0, -15.0, 6.0, 1.0, 0.0),
        (4, 1, -1.0, 3.0, 0.0, 3.0),
        (5, 0, 10.0, 5.0, 0.0, 10.0),
        (6, 0, -10.0, 4.0, 0.0, 0.0),
    )
    # -50 - 1 - 30 - 1 + 90 - 1; then -50 + 40.
    assert closed_profits(trades) == pytest.approx([7.0, -10.0])
    assert win_rate(trades) == 0.5


def test_a_fill_that_turns_a_position_round_closes_one_trade_and_opens_the_next():
    trades = fills(
        (1, 0, 10.0, 5.0, 0.0, 10.0),
        (2, 0, -30.0, 6.0, 3.0, -20.0),
        (3, 0, 20.0, 5.0, 0.0, 0.0),
    )
    # A third of the fill and its fee sells what was held: 60 - 1 - 50; the rest 120 - 2 - 100.
    assert closed_profits(trades) == pytest.approx([9.0, 18.0])
    assert win_rate(trades) == 1.0


@given(st.integers(0, 2**32 - 1))
def test_closed_trades_earn_what_the_portfolio_earned_once_everything_is_sold(seed):
    rng = np.random.default_rng(seed)
    prices = np.exp(np.cumsum(0.05 * rng.standard_normal((30, 3)), axis=0))
    prices[rng.random((30, 3)) < 0.05] = NAN
    weights = rng.uniform(-0.4, 0.4, (30, 3)) * rng.integers(0, 2, (30, 3))
    prices[-1], weights[-2:] = 1.0, 0.0
    result = simulate(prices, weights, fee_bps=10.0, slippage_bps=5.0, initial_cash=100.0)
    assert closed_profits(result.trades).sum() == pytest.approx(result.equity[-1] - 100.0, abs=1e-9)
    assert math.isnan(win_rate(result.trades)) == (len(result.trades) == 0)


def test_a_tail_without_a_loss_has_no_ratio():
    assert math.isnan(tail_ratio([0.0, 0.0, 0.0, 1.0]))
    assert tail_ratio([-0.01, 0.03]) == pytest.approx(0.028 / 0.008)


def test_exposure_is_the_mean_gross_weight():
    assert exposure([0.0, 0.5, 1.0]) == 0.5
