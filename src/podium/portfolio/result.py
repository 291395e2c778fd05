"""Results of a simulation of one or many portfolios: equity, holdings and trades."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np

from podium.arrays import Floats, Ints

Execution = Literal["next_close", "next_open"]
Costs = Literal["on_top", "within"]
# Fields that all portfolios of a simulation share.
COMMON = ("execution", "costs", "fee_bps", "slippage_bps")


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Every fill in order, one array per column.

    Parameters
    ----------
    bar, item : (N,) int
        Row and column of the price matrix.
    quantity : (N,) float
        Units bought, negative if sold.
    price : (N,) float
        Price per unit; slippage, half the spread and impact included.
    fee : (N,) float
        Fee paid from cash, in the currency of the prices, >= 0.
    held : (N,) float
        Units held after the fill, negative if short; exactly 0 for a closed position.
    """

    bar: Ints
    item: Ints
    quantity: Floats
    price: Floats
    fee: Floats
    held: Floats

    def __len__(self) -> int:
        return int(self.bar.size)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Account:
    """Fields of one portfolio, or of many with an axis more."""

    equity: Floats
    returns: Floats
    cash: Floats
    weights_held: Floats
    turnover: Floats
    exposure: Floats
    interest: Floats
    excess: Floats
    execution: Execution
    costs: Costs
    fee_bps: float | Floats
    slippage_bps: float | Floats


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Backtest(_Account):
    """Equity, holdings, trades and costs of a portfolio, bar by bar.

    Parameters
    ----------
    equity : (T,) float
        Cash plus holdings at the close; the first is the initial cash.
    returns : (T,) float
        ``equity[t] / equity[t - 1] - 1``; the first is 0.
    cash : (T,) float
        Cash at the close, in the currency of the prices; negative if borrowed.
    weights_held : (T, S) float
        Value of each holding over equity at the close, negative if short.
    trades : Trades
        Every fill, liquidations included.
    turnover : (T,) float, >= 0
        Bought plus sold notional of the bar over the equity before its first fill; 0 where that
        equity is 0 or below.
    exposure : (T,) float, >= 0
        Sum of absolute weights held at the close.
    interest : (T,) float
        Earned on cash less paid on debt and on shorts, booked on the bar.
    excess : (T,) float
        `returns` less the interest of cash in the bar.
    delisted : (D, 2) int
        Bar and item of each holding liquidated for a missing price.
    unfilled : (U, 2) int
        Bar and item of each order dropped for a missing price (or, with an impact, volume).
    ruined : int or None
        Bar at whose close equity is 0 or below and everything is liquidated; None without one.
    execution : {"next_close", "next_open"}
        Execution of orders.
    costs : {"on_top", "within"}
        Whether costs are added to the traded notional.
    fee_bps, slippage_bps : float or (S,) float
        Costs in basis points.
    """

    trades: Trades
    delisted: Ints
    unfilled: Ints
    ruined: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """Events of each bar, sorted by portfolio on demand.

    Parameters
    ----------
    runs, items, columns : int
    events : sequence of (bar, places, column, ...)
        ``places`` (n,) int is portfolio times items plus item, ascending; columns are (n,) float.
    """

    runs: int
    items: int
    columns: int
    events: Sequence[tuple[Any, ...]]

    def of_each(self) -> Iterator[list[Any]]:
        """Bar, item and columns of each portfolio, in order."""
        parts = [[event[at] for event in self.events] for at in range(2 + self.columns)]
        bars, places, *columns = parts
        place = np.concatenate([np.empty(0, np.int64), *places])
        bar = np.repeat(np.array(bars, np.int64), np.array([p.size for p in places], np.int64))
        run, item = np.divmod(place, max(self.items, 1))
        table = [bar, item, *(np.concatenate([np.empty(0), *column]) for column in columns)]
        if self.runs == 1:
            yield table
            return
        # A stable sort of small integers is a radix sort, in one pass.
        order = np.argsort(run.astype(np.min_scalar_type(self.runs)), kind="stable")
        ends = np.searchsorted(run[order], np.arange(self.runs + 1))
        for first, last in itertools.pairwise(ends.tolist()):
            yield [column[order[first:last]] for column in table]


@dataclass(frozen=True, eq=False, kw_only=True)
class Backtests(_Account):
    """Results of K portfolios over the same bars, returned by `simulate_stack`.

    ``result[k]`` is the `Backtest` of portfolio k, equal to the bit to that of `simulate`;
    ``len(result)`` is K, and iteration is over the portfolios.

    Parameters
    ----------
    equity, returns, cash, turnover, exposure, interest, excess : (K, T) float
        As in `Backtest`, one row per portfolio.
    weights_held : (K, T, S) float
    delisted, unfilled : tuple of (N, 2) int
    ruined : tuple of int or None
    fills : Fills
        Source of `trades`, a tuple of one `Trades` per portfolio, computed on first access.
    execution, costs, fee_bps, slippage_bps
        Common to all portfolios.
    """

    fills: Fills
    delisted: tuple[Ints, ...]
    unfilled: tuple[Ints, ...]
    ruined: tuple[int | None, ...]

    @cached_property
    def trades(self) -> tuple[Trades, ...]:
        """Every fill of each portfolio."""
        return tuple(Trades(*columns) for columns in self.fills.of_each())

    def __len__(self) -> int:
        return len(self.equity)

    def __iter__(self) -> Iterator[Backtest]:
        return (self[run] for run in range(len(self)))

    def __getitem__(self, run: int) -> Backtest:
        values = {field.name: getattr(self, field.name) for field in fields(Backtest)}
        return Backtest(**{n: v if n in COMMON else v[run] for n, v in values.items()})
