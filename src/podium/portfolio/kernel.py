"""The portfolio kernel: simulation of target weights on prices."""

from __future__ import annotations

from typing import TypedDict, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats, Ints, Mask
from podium.errors import DataError, UsageError
from podium.portfolio import _inputs
from podium.portfolio._book import Book, Terms
from podium.portfolio._interest import Interest
from podium.portfolio._limits import limited
from podium.portfolio.result import Backtest, Backtests, Costs, Execution, Fills
from podium.portfolio.terms import Impact, Law, Limits, Rates


class SimulateOptions(TypedDict, total=False):
    """Keywords of `simulate`."""

    open_prices: ArrayLike | None
    execution: Execution
    fee_bps: ArrayLike
    slippage_bps: ArrayLike
    spread_bps: ArrayLike
    initial_cash: float
    costs: Costs
    impact: Impact | None
    limits: Limits | None
    rates: Rates | None


def simulate(
    prices: ArrayLike,
    weights: ArrayLike,
    *,
    open_prices: ArrayLike | None = None,
    execution: Execution = "next_close",
    fee_bps: ArrayLike = 0.0,
    slippage_bps: ArrayLike = 0.0,
    spread_bps: ArrayLike = 0.0,
    initial_cash: float = 1.0,
    costs: Costs = "on_top",
    impact: Impact | None = None,
    limits: Limits | None = None,
    rates: Rates | None = None,
) -> Backtest:
    """Equity, holdings, trades and costs of a portfolio that follows target weights.

    Parameters
    ----------
    prices : (T, S) float, > 0
        Close of S items over T bars, adjusted for splits and dividends. NaN: no price. If this is
        a frame, other frames are aligned to its columns by name.
    weights : (T, S) float
        Target share of equity in each item, decided at the close of the bar; negative is short, the
        rest to 1 stays in cash. A row of NaN is no order: the holdings are kept.
    open_prices : (T, S) float, > 0, optional
        Open of the same bars. Required for "next_open", ignored for "next_close".
    execution : {"next_close", "next_open"}
        Weights decided at the close of bar t are filled at this price of bar t + 1.
    fee_bps : float or (S,) float in [0, 10000)
        Fee on traded notional, in basis points, paid from cash.
    slippage_bps : float or (S,) float in [0, 10000)
        Slippage of the fill price, against the order.
    spread_bps : float or (S,) float in [0, 10000)
        Bid-ask spread; half of it is paid on each side, like slippage.
    initial_cash : float, > 0
        Cash at the first bar.
    costs : {"on_top", "within"}
        Whether costs are added to the notional of an order or included in it, see Notes.
    impact : Impact, optional
        Price impact of an order, relative to the volume of the bar of its fill.
    limits : Limits, optional
        Limits on positions, groups, leverage and turnover; lots.
    rates : Rates, optional
        Interest on cash, debt and shorts. Default: none.

    Returns
    -------
    Backtest
        Arrays of length T, the trades, and lists of delistings and dropped orders.

    Raises
    ------
    DataError
        Matrices of different or wrong shape; a price that is zero, negative or infinite; a weight
        that is infinite; a row with only some weights NaN; frames with different rows or columns.
    UsageError
        An unknown execution, "next_open" without opens, a cost, limit, rate or initial cash out of
        bounds.

    Notes
    -----
    One bar, in this order:

    1. Interest, if there are rates, on cash and shorts of the previous close.
    2. The order of the previous bar, if any. Equity E is cash plus holdings at the execution price,
       before any cost of this order. The target quantity of an item is w E / price; the difference
       to the holding is bought at price x (1 + slippage) or sold at price x (1 - slippage), with
       half the spread and the impact added to the slippage. Cash pays the notional of the fill and
       the fee, `fee_bps` of that notional. Quantities are fractional without lots, and not reduced
       by the costs: with weights that sum to one, cash is negative by the costs of the order (0.1 %
       of equity for a full purchase at 10 bps) until the next order, which is sized on equity after
       costs. With costs "within" the change of cash, fee and slippage included, is w E less the
       value held, so less is bought and more is sold; a position with a target of zero is sold
       whole. A difference below 1e-12 of equity is not traded.
    3. A holding without a close is liquidated at its last known price, at the usual costs but
       without impact, and listed in `delisted`. Gaps in a price series have the same effect, so
       fill them first if the item continues to trade.
    4. Equity is marked at the close. If it is 0 or below, everything is liquidated at the close, at
       the usual costs; later orders are not filled, no interest is booked, and later returns are 0.
       If equity is 0 or below at the execution price, the order sells everything instead.

    Weights of bar t are never filled at prices of bar t, and those of the last bar are never
    filled. An order for an item without an execution price is dropped and listed in `unfilled`; its
    share stays in cash, and a holding is kept, valued in E at its last known price.

    There are no margin calls before ruin: limits apply to targets, not to later values.
    Time is O(T S).

    Examples
    --------
    Half the equity in one item at 1 percent fee, decided on bar 0, bought at the close of bar 1:

    >>> result = simulate([[9.0], [10.0], [12.0]], [[0.5], [np.nan], [np.nan]],
    ...                   fee_bps=100, initial_cash=1000.0)
    >>> result.trades.quantity.tolist(), result.trades.fee.tolist()
    ([50.0], [5.0])
    >>> result.equity.tolist()
    [1000.0, 995.0, 1095.0]
    """
    alone = np.asarray(_inputs.aligned(prices, "weights", weights), dtype=np.float64)
    if alone.ndim != 2:
        raise DataError(
            f"weights has shape {alone.shape}",
            "a matrix of bars by items",
            "use simulate_stack for several portfolios" if alone.ndim == 3 else "",
        )
    return simulate_stack(
        prices,
        alone[np.newaxis],
        open_prices=open_prices,
        execution=execution,
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
        spread_bps=spread_bps,
        initial_cash=initial_cash,
        costs=costs,
        impact=impact,
        limits=limits,
        rates=rates,
    )[0]


def simulate_stack(
    prices: ArrayLike, weights: ArrayLike, **options: Unpack[SimulateOptions]
) -> Backtests:
    """Simulate many sets of weights on the same prices in one pass over the bars.

    Parameters
    ----------
    prices : (T, S) float
        As in `simulate`.
    weights : (K, T, S) float
        K sets of target weights; the bars with orders may differ.
    **options
        Keywords of `simulate`, the same for all sets.

    Returns
    -------
    Backtests
        ``result[k]`` equals ``simulate(prices, weights[k], **options)`` to the bit.

    Raises
    ------
    DataError, UsageError
        As `simulate`.

    Examples
    --------
    >>> half, whole = [[0.5], [np.nan], [np.nan]], [[1.0], [np.nan], [np.nan]]
    >>> simulate_stack([[9.0], [10.0], [12.0]], [half, whole]).equity.round(9).tolist()
    [[1.0, 1.0, 1.1], [1.0, 1.0, 1.2]]
    """
    execution: Execution = options.get("execution", "next_close")
    costs: Costs = options.get("costs", "on_top")
    initial_cash, opens = options.get("initial_cash", 1.0), options.get("open_prices")
    impact, rates = options.get("impact"), options.get("rates")
    limits = options.get("limits") or Limits()
    _require_options(execution, opens, costs, initial_cash)
    fills = opens if execution == "next_open" else None
    market = _inputs.market_of(prices, fills, None if impact is None else impact.volume)
    bars, items = market.marks.shape
    fee_bps, slippage_bps, terms = _terms(options, costs, impact, limits, items)
    targets, ordered = _inputs.targets_of(weights, market.marks.shape)
    interest = None if rates is None else Interest(rates, bars, items)
    book = Book(len(targets), bars, items, float(initial_cash), terms)
    walk = _walk(market, limited(targets, limits), ordered, book, interest)
    scale = np.where(walk.equity > 0.0, walk.equity, 1.0)
    walk.values /= scale[:, :, np.newaxis]
    walk.gross /= scale
    returns = np.zeros_like(walk.equity)
    before, after = walk.equity[:, :-1], walk.equity[:, 1:]
    np.divide(after, before, out=returns[:, 1:], where=before > 0.0)
    np.subtract(returns[:, 1:], 1.0, out=returns[:, 1:], where=before > 0.0)
    return Backtests(
        equity=walk.equity,
        returns=returns,
        cash=walk.cash,
        weights_held=walk.values,
        fills=book.fills(),
        turnover=book.turnover(),
        exposure=walk.gross,
        interest=walk.interest,
        excess=returns if interest is None else returns - interest.riskless,
        delisted=walk.delisted.of_each(),
        unfilled=walk.unfilled.of_each(),
        ruined=tuple(None if bar < 0 else bar for bar in walk.ruined.tolist()),
        execution=execution,
        costs=costs,
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
    )


class _Walk:
    """State of K portfolios at each of T closes, filled bar by bar."""

    def __init__(self, runs: int, bars: int, items: int) -> None:
        self.equity, self.cash, self.gross, self.interest = np.zeros((4, runs, bars))
        self.values = np.empty((runs, bars, items))
        self.ruined = np.full(runs, -1)
        self.delisted, self.unfilled = _Places(runs, items), _Places(runs, items)


def _walk(
    market: _inputs.Market, targets: Floats, ordered: Mask, book: Book, interest: Interest | None
) -> _Walk:
    """Simulate bar by bar; the bars between two orders are marked together.

    Such a range ends early at a missing price or the ruin of a portfolio.
    """
    runs, bars, items = targets.shape
    walk = _Walk(runs, bars, items)
    marks, fills, volume = market.marks, market.fills, market.volume
    no_close, no_fill = market.no_close, market.no_fill
    # A decision of one bar is filled on the next.
    due = np.zeros((runs, bars), dtype=bool)
    due[:, 1:] = ordered[:, :-1]
    ends = _ends(np.asarray(due.any(axis=0)) if interest is None else np.ones(bars, dtype=bool))
    due_to_all: list[bool] = np.asarray(due.all(axis=0)).tolist()
    alive, all_alive = walk.ruined < 0, True
    bar = 0
    while bar < bars:
        end, volume_now = ends[bar], None if volume is None else volume[bar]
        if interest is not None and bar:
            earned = interest.until(bar, book.cash, book.held, marks[bar - 1])
            walk.interest[:, bar] = np.where(alive, earned, 0.0)
            book.cash += walk.interest[:, bar]
        everyone = due_to_all[bar] and all_alive
        which = None if everyone else (due[:, bar] & alive).nonzero()[0]
        if which is None or which.size:
            weights_now = targets[:, bar - 1] if which is None else targets[which, bar - 1]
            gaps = None if no_fill is None else no_fill[bar]
            dropped = book.order(bar, which, weights_now, fills[bar], volume_now, gaps)
            walk.unfilled.add(bar, dropped)
        if no_close is not None:
            walk.delisted.add(bar, book.liquidate(bar, no_close[bar], marks[bar], volume_now))
            end = bar + 1 + _first(no_close[bar + 1 : end] & (book.held != 0.0).any(axis=0))
        worth = book.worth(marks[bar:end])
        if np.minimum.reduce(worth, axis=None, initial=np.inf) <= 0.0:
            bust = (worth <= 0.0) & alive[:, np.newaxis]
            end = bar + max(_first(bust.T), 1)
            bust_now = bust[:, 0]
            if bust_now.any():
                walk.ruined[bust_now] = bar
                alive, all_alive = walk.ruined < 0, False
                book.liquidate(bar, bust_now[:, np.newaxis], marks[bar], volume_now)
                end = bar + 1
            worth = book.worth(marks[bar:end])
        walk.equity[:, bar:end] = worth
        walk.cash[:, bar:end] = book.cash[:, np.newaxis]
        book.values(marks[bar:end], walk.values[:, bar:end], walk.gross[:, bar:end])
        bar = end
    return walk


class _Places:
    """Bars and items of events by portfolio."""

    def __init__(self, runs: int, items: int) -> None:
        self._runs, self._items = runs, items
        self._events: list[tuple[int, Ints]] = []

    def add(self, bar: int, places: Ints) -> None:
        if places.size:
            self._events.append((bar, places))

    def of_each(self) -> tuple[Ints, ...]:
        fills = Fills(self._runs, self._items, 0, self._events)
        return tuple(np.column_stack([bar, item]) for bar, item in fills.of_each())


def _ends(event: Mask) -> list[int]:
    """For each bar the next one with an event, or the end."""
    later = np.append(event.nonzero()[0], event.size)
    following = np.searchsorted(later[:-1], np.arange(event.size), side="right")
    return list(later[following].tolist())


def _first(events: Mask) -> int:
    """Number of rows before the first event."""
    rows = np.asarray(events.any(axis=1))
    return int(rows.argmax()) if rows.any() else len(rows)


def _terms(
    options: SimulateOptions, costs: Costs, impact: Impact | None, limits: Limits, items: int
) -> tuple[float | Floats, float | Floats, Terms]:
    """Fee and slippage in basis points, and all terms as fractions."""
    expected = "basis points of at least 0 and below 10000"
    fee, slippage, spread = (
        _inputs.per_item(name, bps, items, lambda bps: (bps >= 0.0) & (bps < 1e4), expected)
        for name, bps in (
            ("fee_bps", options.get("fee_bps", 0.0)),
            ("slippage_bps", options.get("slippage_bps", 0.0)),
            ("spread_bps", options.get("spread_bps", 0.0)),
        )
    )
    moved: float | Floats = 0.0
    if impact is not None:
        if impact.law not in get_args(Law):
            raise UsageError(f"impact.law is {impact.law!r}", _either(Law))
        moved = _inputs.per_item(
            "impact.bps",
            impact.bps,
            items,
            lambda bps: (bps >= 0.0) & np.isfinite(bps),
            "basis points of at least 0",
        )
    lot = None
    if limits.lot is not None:
        lot = _inputs.per_item(
            "limits.lot", limits.lot, items, lambda v: (v > 0.0) & np.isfinite(v), "units above 0"
        )
    terms = Terms(
        fee=fee / 1e4,
        slippage=slippage / 1e4 + spread / 2e4,
        impact=moved / 1e4,
        root=impact is None or impact.law == "sqrt",
        within=costs == "within",
        lot=lot,
        turnover=limits.turnover,
    )
    return fee, slippage, terms


def _require_options(execution: str, opens: object, costs: str, initial_cash: float) -> None:
    if execution not in get_args(Execution):
        raise UsageError(f"execution is {execution!r}", _either(Execution))
    if execution == "next_open" and opens is None:
        raise UsageError(
            "execution 'next_open' needs open_prices",
            "the open of every bar",
            "pass open_prices, or execution='next_close'",
        )
    if costs not in get_args(Costs):
        raise UsageError(f"costs is {costs!r}", _either(Costs))
    if not 0.0 < initial_cash < np.inf:
        raise UsageError(f"initial_cash is {initial_cash}", "an amount above 0")


def _either(words: object) -> str:
    return " or ".join(map(repr, get_args(words)))
