"""The portfolio kernel: target weights against prices, one bar after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.errors import DataError, UsageError

Execution = Literal["next_close", "next_open"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

DUST = 1e-12
"""A trade below this share of equity is rounding, not intent; the holding stays as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Every fill in the order it happened, one array a column.

    Parameters
    ----------
    bar, item : (N,) int
        Row and column of the price matrix.
    quantity : (N,) float
        Units bought, negative if sold.
    price : (N,) float
        Price paid or received for a unit, slippage included.
    fee : (N,) float
        Taken from cash on top, in the currency of the prices, >= 0.
    """

    bar: Ints
    item: Ints
    quantity: Floats
    price: Floats
    fee: Floats

    def __len__(self) -> int:
        return int(self.bar.size)


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """What a portfolio was worth, held, traded and paid, bar by bar.

    Parameters
    ----------
    equity : (T,) float
        Cash plus holdings at the close; the first is the initial cash.
    returns : (T,) float
        ``equity[t] / equity[t - 1] - 1``; the first is 0, as nothing can be held before it.
    cash : (T,) float
        Cash at the close, in the currency of the prices; negative if borrowed.
    weights_held : (T, S) float
        Value of each holding over equity at the close, negative if short.
    trades : Trades
        Every fill, liquidations included.
    turnover : (T,) float, >= 0
        Bought plus sold notional of the bar over the equity before its first fill; 0 where that
        equity was 0 or below.
    exposure : (T,) float, >= 0
        Sum of absolute weights held at the close.
    delisted : (D, 2) int
        Bar and item of each holding liquidated because its price went missing.
    unfilled : (U, 2) int
        Bar and item of each order dropped because there was no price to fill it at.
    ruined : int or None
        Bar at whose close equity was 0 or below and everything was liquidated; None if never.
    execution : {"next_close", "next_open"}
        When orders were filled.
    fee_bps, slippage_bps : float
        The costs that were charged.
    """

    equity: Floats
    returns: Floats
    cash: Floats
    weights_held: Floats
    trades: Trades
    turnover: Floats
    exposure: Floats
    delisted: Ints
    unfilled: Ints
    ruined: int | None
    execution: Execution
    fee_bps: float
    slippage_bps: float


def simulate(
    prices: ArrayLike,
    weights: ArrayLike,
    *,
    open_prices: ArrayLike | None = None,
    execution: Execution = "next_close",
    fee_bps: float = 0.0,
    slippage_bps: float = 0.0,
    initial_cash: float = 1.0,
) -> Backtest:
    """Equity, holdings, trades and costs of a portfolio that follows target weights.

    Parameters
    ----------
    prices : (T, S) float, > 0
        Close of S items over T bars, adjusted for splits and dividends. NaN: no price.
    weights : (T, S) float
        Target share of equity in each item, decided at the close of the bar; negative is short,
        what is left of 1 stays in cash. A row of NaN is no order: the holdings are kept.
    open_prices : (T, S) float, > 0, optional
        Open of the same bars. Needed for "next_open", not looked at for "next_close".
    execution : {"next_close", "next_open"}
        Weights decided at the close of bar t are filled at this price of bar t + 1.
    fee_bps : float in [0, 10000)
        Fee on traded notional, in hundredths of a percent, paid from cash.
    slippage_bps : float in [0, 10000)
        By how much a buyer pays more and a seller gets less than the price.
    initial_cash : float, > 0
        Cash at the first bar.

    Returns
    -------
    Backtest
        Arrays of length T, the trades, and flags for what could not go to plan.

    Raises
    ------
    DataError
        Matrices of different or wrong shape; a price that is zero, negative or infinite; a weight
        that is infinite; a row with some weights NaN and others not.
    UsageError
        An unknown execution, "next_open" without opens, a cost or initial cash out of bounds.

    Notes
    -----
    One bar, in this order:

    1. The order of the bar before, if any. Equity E is cash plus holdings at the execution price,
       before any cost of this order. The target quantity of an item is w E / price; the difference
       to the holding is traded at price x (1 + slippage) when bought, x (1 - slippage) when sold.
       Cash pays the notional of that fill, then the fee, `fee_bps` of that notional. Quantities
       are fractional, and not reduced for the costs: with weights that sum to one, cash goes
       negative by the costs of the order (0.1 per cent of equity for a full purchase at 10 bps).
       That loan bears no interest and lasts until the next order, which is sized on equity after
       costs. A difference below 1e-12 of equity is not traded.
    2. A holding whose close is missing is liquidated at its last known price, at the usual costs,
       and listed in `delisted`. A gap in a price series does the same: fill it first if the item
       went on trading.
    3. Equity is marked at the close. If it is 0 or below, everything is liquidated at the close,
       at the usual costs; no later order is filled and the returns after it are 0. An order
       that meets equity of 0 or below at its execution price sells everything instead.

    Weights of bar t never touch prices of bar t, and weights of the last bar are never filled. An
    order for an item without an execution price is dropped and listed in `unfilled`; its share
    stays in cash, and a holding stays as it is, valued in E at its last known price.

    Shorts earn no interest on their proceeds and pay no borrowing cost; there are no margin calls
    before ruin. Time is O(T S).

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
    _require_options(execution, open_prices, fee_bps, slippage_bps, initial_cash)
    closes = _prices("prices", prices)
    targets, ordered = _targets(weights, closes.shape)
    opens = None
    if execution == "next_open":
        opens = _prices("open_prices", open_prices)
        _require_shape("open_prices", opens.shape, closes.shape)
    no_close = _gaps(closes)
    no_fill = no_close if opens is None else _gaps(opens)
    marks, fills = closes, closes if opens is None else opens
    gaps = [gap for gap in (no_close, no_fill) if gap is not None]
    if gaps:
        marks, fills = _last_known(closes, opens, np.asarray(np.any(gaps, axis=0)))

    bars, items = closes.shape
    book = _Book(items, float(initial_cash), fee_bps / 1e4, slippage_bps / 1e4)
    equity, cash, exposure, turnover = (np.zeros(bars) for _ in range(4))
    values = np.zeros((bars, items))
    delisted, unfilled = [np.empty((0, 2), np.int64)], [np.empty((0, 2), np.int64)]
    ruined: int | None = None

    for bar in range(bars):
        mark = marks[bar]
        book.begin(bar)
        if bar and ordered[bar - 1] and ruined is None:
            dropped = book.order(
                targets[bar - 1], fills[bar], None if no_fill is None else no_fill[bar]
            )
            if dropped.size:
                unfilled.append(_at(bar, dropped))
        if no_close is not None and book.holds:
            gone = (no_close[bar] & (book.held != 0.0)).nonzero()[0]
            if gone.size:
                book.liquidate(gone, mark)
                delisted.append(_at(bar, gone))
        worth = book.worth(mark)
        if worth <= 0.0 and ruined is None:
            ruined = bar
            book.liquidate(book.held.nonzero()[0], mark)
            worth = book.cash
        equity[bar], cash[bar], turnover[bar] = worth, book.cash, book.turnover()
        if book.holds:
            np.multiply(book.held, mark, out=values[bar])
            exposure[bar] = book.gross @ mark / worth

    values /= np.where(equity > 0.0, equity, 1.0)[:, np.newaxis]
    returns = np.zeros(bars)
    alive = equity[:-1] > 0.0
    returns[1:][alive] = equity[1:][alive] / equity[:-1][alive] - 1.0
    return Backtest(
        equity=equity,
        returns=returns,
        cash=cash,
        weights_held=values,
        trades=book.trades(),
        turnover=turnover,
        exposure=exposure,
        delisted=np.concatenate(delisted),
        unfilled=np.concatenate(unfilled),
        ruined=ruined,
        execution=execution,
        fee_bps=float(fee_bps),
        slippage_bps=float(slippage_bps),
    )


class _Book:
    """Cash, holdings and the blotter, as of one bar."""

    def __init__(self, items: int, cash: float, fee: float, slippage: float) -> None:
        self.cash = cash
        self.held: Floats = np.zeros(items)
        self.gross: Floats = np.zeros(items)
        self.holds = False
        self._fee = fee
        self._slippage = slippage
        self._bar = 0
        self._traded = 0.0
        self._base = 0.0
        self._blotter: list[tuple[int, Ints, Floats, Floats, Floats]] = []

    def begin(self, bar: int) -> None:
        self._bar = bar
        self._traded = 0.0

    def worth(self, price: Floats) -> float:
        return self.cash + float(self.held @ price) if self.holds else self.cash

    def turnover(self) -> float:
        return self._traded / self._base if self._traded and self._base > 0.0 else 0.0

    def order(self, weights: Floats, price: Floats, unpriced: Mask | None) -> Ints:
        """Trade to the target weights; the items that could not be traded come back."""
        total = self.worth(price)
        target = weights * max(total, 0.0) / price
        wanted = np.abs(target - self.held) * price > DUST * max(total, 0.0)
        if unpriced is None:
            self._fill(wanted.nonzero()[0], target, price, total)
            return np.empty(0, np.int64)
        self._fill((wanted & ~unpriced).nonzero()[0], target, price, total)
        return (wanted & unpriced).nonzero()[0]

    def liquidate(self, item: Ints, price: Floats) -> None:
        self._fill(item, np.zeros_like(self.held), price, self.worth(price))

    def _fill(self, item: Ints, target: Floats, price: Floats, total: float) -> None:
        if not item.size:
            return
        quantity = target[item] - self.held[item]
        paid = price[item]
        if self._slippage:
            paid = paid * (1.0 + self._slippage * np.sign(quantity))
        notional = quantity * paid
        gross = np.abs(notional)
        fee = gross * self._fee
        self.cash -= float(notional.sum() + fee.sum())
        # Assigned, not added: a closed position is exactly zero.
        self.held[item] = target[item]
        self.gross = np.abs(self.held)
        self.holds = bool(self.held.any())
        if not self._traded:
            self._base = total
        self._traded += float(gross.sum())
        self._blotter.append((self._bar, item, quantity, paid, fee))

    def trades(self) -> Trades:
        empty = np.empty(0)
        rows = self._blotter
        return Trades(
            bar=np.repeat(
                np.array([row[0] for row in rows], np.int64),
                np.array([row[1].size for row in rows], np.int64),
            ),
            item=np.concatenate([np.empty(0, np.int64), *(row[1] for row in rows)]),
            quantity=np.concatenate([empty, *(row[2] for row in rows)]),
            price=np.concatenate([empty, *(row[3] for row in rows)]),
            fee=np.concatenate([empty, *(row[4] for row in rows)]),
        )


def _require_options(
    execution: str, opens: object, fee_bps: float, slippage_bps: float, initial_cash: float
) -> None:
    if execution not in get_args(Execution):
        raise UsageError(f"execution is {execution!r}", " or ".join(map(repr, get_args(Execution))))
    if execution == "next_open" and opens is None:
        raise UsageError(
            "execution is 'next_open' without open_prices",
            "the open of every bar",
            "pass open_prices, or execution='next_close'",
        )
    for name, cost in (("fee_bps", fee_bps), ("slippage_bps", slippage_bps)):
        if not 0.0 <= cost < 1e4:
            raise UsageError(f"{name} is {cost}", "basis points of at least 0 and below 10000")
    if not 0.0 < initial_cash < np.inf:
        raise UsageError(f"initial_cash is {initial_cash}", "an amount above 0")


def _require_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise DataError(
            f"{name} has shape {found} and prices {expected}",
            "the same bars and items in both, in the same order",
        )


def _matrix(name: str, values: ArrayLike | None) -> Floats:
    matrix = np.asarray(values, dtype=np.float64, order="C")
    if matrix.ndim != 2:
        raise DataError(f"{name} has shape {matrix.shape}", "a matrix of bars by items")
    return matrix


def _refuse(name: str, matrix: Floats, wrong: Mask, expected: str) -> None:
    if wrong.any():
        bar, item = (int(at) for at in np.argwhere(wrong)[0])
        raise DataError(
            f"{name} of item {item} at bar {bar} is {matrix[bar, item]},"
            f" one of {int(wrong.sum())} that cannot be used",
            expected,
        )


def _prices(name: str, values: ArrayLike | None) -> Floats:
    matrix = _matrix(name, values)
    _refuse(name, matrix, (matrix <= 0.0) | (matrix == np.inf), "prices above 0, or NaN for none")
    return matrix


def _targets(values: ArrayLike, shape: tuple[int, ...]) -> tuple[Floats, list[bool]]:
    """Target weights, and for each bar whether it orders anything."""
    matrix = _matrix("weights", values)
    _require_shape("weights", matrix.shape, shape)
    blank = np.isnan(matrix)
    silent: Mask = np.asarray(blank.all(axis=1))
    _refuse(
        "weights",
        matrix,
        blank & ~silent[:, np.newaxis],
        "a row of NaN for no order, or a number for every item, 0 for none",
    )
    _refuse("weights", matrix, np.isinf(matrix), "a finite share of equity")
    ordered: list[bool] = (~silent).tolist()
    return matrix, ordered


def _gaps(prices: Floats) -> Mask | None:
    """Where a price is missing; None, the usual case, if nowhere."""
    missing = np.isnan(prices)
    return missing if missing.any() else None


def _last_known(closes: Floats, opens: Floats | None, gaps: Mask) -> tuple[Floats, Floats]:
    """Last price known at each close, and at each execution."""
    item = np.flatnonzero(np.any(gaps, axis=0))
    bars = len(closes)
    # Open and close of a bar take turns, so that only the past fills a gap.
    path = closes[:, item]
    if opens is not None:
        path = np.stack([opens[:, item], path], axis=1).reshape(2 * bars, item.size)
    step = np.where(np.isnan(path), 0, np.arange(len(path))[:, np.newaxis])
    known = np.take_along_axis(path, np.maximum.accumulate(step, axis=0), axis=0)
    # Before its first price an item is never held, so any number will do.
    known[np.isnan(known)] = 1.0
    marks = closes.copy()
    if opens is None:
        marks[:, item] = known
        return marks, marks
    fills = opens.copy()
    fills[:, item], marks[:, item] = known[::2], known[1::2]
    return marks, fills


def _at(bar: int, items: Ints) -> Ints:
    return np.column_stack([np.full(items.size, bar), items])
