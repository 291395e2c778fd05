"""The books of K portfolios: cash, holdings and fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.arrays import Floats, Ints, Mask
from podium.portfolio.result import Fills

DUST = 1e-12
"""A trade below this share of equity is rounding and is not filled."""

# Relative: 299.9999999999999 lots, by rounding, are 300.
_LOT_SLACK = 1e-12

PerItem = float | Floats


@dataclass(frozen=True, slots=True)
class Terms:
    """Costs and limits of a fill: rates as fractions, one number or one per item."""

    fee: PerItem
    slippage: PerItem
    impact: PerItem = 0.0
    root: bool = True
    within: bool = False
    lot: PerItem | None = None
    turnover: float | None = None


class Book:
    """Cash (K,), holdings (K, S) and the blotter, as of one bar.

    Sums run over the items of one portfolio in their order, so that a portfolio's result does not
    depend on the others, to the bit.
    """

    def __init__(self, runs: int, bars: int, items: int, cash: float, terms: Terms) -> None:
        self.cash = np.full(runs, cash)
        self.held = np.zeros((runs, items))
        self._flat = self.held.reshape(-1)
        self._terms = terms
        self._traded = np.zeros((runs, bars))
        self._base = np.zeros((runs, bars))
        self._blotter: list[tuple[Any, ...]] = []

    def worth(self, prices: Floats) -> Floats:
        """Cash plus holdings at one row of prices (S,), or at each of n (n, S): (K,) or (K, n)."""
        if prices.ndim == 1:
            at_one: Floats = self.cash + np.vecdot(self.held, prices)
            return at_one
        at_each: Floats = np.vecdot(self.held[:, np.newaxis, :], prices)
        at_each += self.cash[:, np.newaxis]
        return at_each

    def values(self, prices: Floats, values: Floats, gross: Floats) -> None:
        """Write the value of holdings at n rows of prices, (K, n, S), and their gross (K, n)."""
        np.multiply(self.held[:, np.newaxis, :], prices, out=values)
        np.vecdot(np.abs(self.held)[:, np.newaxis, :], prices, out=gross)

    def order(
        self,
        bar: int,
        runs: Ints | None,
        weights: Floats,
        price: Floats,
        volume: Floats | None,
        unpriced: Mask | None,
    ) -> Ints:
        """Trade the portfolios (None: all) to their weights.

        Returns
        -------
        (U,) int
            Flat index, portfolio times S plus item, of each order without a price.
        """
        terms = self._terms
        held = self.held if runs is None else self.held[runs]
        total = (self.cash if runs is None else self.cash[runs]) + np.vecdot(held, price)
        base = np.maximum(total, 0.0)[:, np.newaxis]
        target = weights * base
        target /= price
        if terms.lot is not None:
            target = _whole(target, terms.lot)
        if terms.turnover is not None:
            target = self._turnover_limited(held, target, price, base, unpriced, terms.turnover)
        change = np.abs(target - held)
        change *= price
        ordered = change > DUST * base
        dropped = NOWHERE
        if unpriced is not None:
            dropped = self._places(runs, (ordered & unpriced).reshape(-1).nonzero()[0])
            ordered &= ~unpriced
        chosen = ordered.reshape(-1).nonzero()[0]
        if chosen.size:
            counts = None if len(ordered) == 1 else np.add.reduce(ordered, axis=1, dtype=np.int64)
            after = target.reshape(-1)[chosen]
            where = self._places(runs, chosen)
            traded = self._fill(bar, runs, where, counts, after, price, volume)
            rows = slice(None) if runs is None else runs
            self._traded[rows, bar] = traded
            self._base[rows, bar] = total
        return dropped

    def liquidate(self, bar: int, gone: Mask, price: Floats, volume: Floats | None) -> Ints:
        """Sell the holdings where ``gone`` (K, S); return their flat indices."""
        where = np.flatnonzero(gone & (self.held != 0.0))
        if where.size:
            runs, counts = np.unique(where // self.held.shape[1], return_counts=True)
            total = self.worth(price)[runs]
            after = np.zeros(where.size)
            traded = self._fill(bar, runs, where, counts, after, price, volume)
            # Turnover is relative to the equity before the first fill of the bar.
            second = self._traded[runs, bar] > 0.0
            self._base[runs, bar] = np.where(second, self._base[runs, bar], total)
            self._traded[runs, bar] += traded
        return where

    def _places(self, runs: Ints | None, chosen: Ints) -> Ints:
        if runs is None:
            return chosen
        row, item = np.divmod(chosen, self.held.shape[1])
        return runs[row] * self.held.shape[1] + item

    def _turnover_limited(
        self,
        held: Floats,
        target: Floats,
        price: Floats,
        base: Floats,
        unpriced: Mask | None,
        most: float,
    ) -> Floats:
        """Targets with their trades scaled down to the turnover limit."""
        change = target - held
        if unpriced is not None:
            change[:, unpriced] = 0.0
        limit = base[:, 0] * most
        requested = np.vecdot(np.abs(change), price)
        # A portfolio without equity sells everything, without a limit.
        slow = (requested > limit) & (base[:, 0] > 0.0)
        if not slow.any():
            return target
        part = change[slow] * (limit[slow] / requested[slow])[:, np.newaxis]
        if self._terms.lot is not None:
            part = _whole(part, self._terms.lot)
        result = target.copy()
        result[slow] = held[slow] + part
        return result

    def _fill(
        self,
        bar: int,
        runs: Ints | None,
        where: Ints,
        counts: Ints | None,
        after: Floats,
        price: Floats,
        volume: Floats | None,
    ) -> Floats:
        """Move the holdings at ``where`` to ``after`` and pay; return the traded notional.

        ``counts`` is the number of fills of each portfolio in ``runs`` (None: all of one).
        """
        terms = self._terms
        item = where if len(self.cash) == 1 else where % self.held.shape[1]
        before = self._flat[where]
        quantity = after - before
        paid = price[item]
        fee = _of(terms.fee, item)
        if volume is not None or not _is_zero(terms.slippage):
            rate: PerItem = _of(terms.slippage, item)
            if volume is not None:
                rate = rate + self._impact(quantity, item, volume)
            paid = paid * (1.0 + rate * np.sign(quantity))
        if terms.within:
            after = self._within(before, after, price[item], paid, fee, item)
            quantity = after - before
        notional = quantity * paid
        gross = np.abs(notional)
        fees = gross * fee
        traded: Floats
        net, charged, traded = _sums((notional, fees, gross), counts)
        self.cash[slice(None) if runs is None else runs] -= net + charged
        # Assigned, not added: a closed position is exactly zero.
        self._flat[where] = after
        columns: tuple[Any, ...] = (where, quantity, paid, fees, after)
        if terms.within and not (_is_zero(terms.impact) and terms.lot is None):
            # An order for less than a lot after costs, or with no proceeds, is not a fill.
            columns = tuple(column[quantity != 0.0] for column in columns)
        self._blotter.append((bar, *columns))
        return traded

    def turnover(self) -> Floats:
        """Turnover of each portfolio and bar, (K, T)."""
        result = np.zeros_like(self._traded)
        np.divide(self._traded, self._base, out=result, where=self._base > 0.0)
        return result

    def _impact(self, quantity: Floats, item: Ints, volume: Floats) -> Floats:
        terms = self._terms
        has_volume = volume[item] > 0.0
        share = np.zeros_like(quantity)
        np.divide(np.abs(quantity), volume[item], out=share, where=has_volume)
        moved = np.sqrt(share) if terms.root else share
        # At most the whole price, so that proceeds are not negative.
        largest = np.maximum(1.0 - _of(terms.slippage, item), 0.0)
        return np.minimum(_of(terms.impact, item) * moved, largest)

    def _within(
        self, before: Floats, after: Floats, price: Floats, paid: Floats, fee: PerItem, item: Ints
    ) -> Floats:
        """Holdings after an order whose notional includes its costs."""
        change = after - before
        unit = paid * (1.0 + fee * np.sign(change))
        bought = change * price
        if _is_zero(self._terms.impact):
            bought /= unit
        else:
            # At proceeds of 0 per unit no quantity yields the notional, and none is traded.
            bought = np.divide(bought, unit, out=np.zeros_like(bought), where=unit > 0.0)
        if self._terms.lot is not None:
            bought = _whole(bought, _of(self._terms.lot, item))
        result = before + bought
        # Costs make a sale larger; they do not turn a partial sale into a short.
        turned = result * before < 0.0
        if turned.any():
            result[turned & (after * before > 0.0)] = 0.0
        result[after == 0.0] = 0.0
        return result

    def fills(self) -> Fills:
        runs, items = self.held.shape
        return Fills(runs, items, 4, self._blotter)


NOWHERE = np.empty(0, np.int64)


def _of(value: PerItem, item: Ints) -> PerItem:
    return value if isinstance(value, float) else value[item]


def _is_zero(value: PerItem) -> bool:
    return isinstance(value, float) and value == 0.0


def _whole(quantity: Floats, lot: PerItem) -> Floats:
    """Quantity rounded towards zero to whole lots."""
    return np.trunc(quantity / lot * (1.0 + _LOT_SLACK)) * lot


def _sums(columns: tuple[Floats, ...], counts: Ints | None) -> list[Any]:
    """Sums of each portfolio's fills, equal to the bit to a ``sum`` of its fills alone."""
    if counts is None:
        return [np.add.reduce(column) for column in columns]
    # A zero before each part, since reduceat starts from its first number and sum from zero.
    filled = counts > 0
    sizes = counts[filled]
    ends = np.cumsum(sizes)
    padded = np.zeros((len(columns), ends[-1] + sizes.size))
    padded[:, np.arange(ends[-1]) + np.repeat(np.arange(1, sizes.size + 1), sizes)] = columns
    sums = np.zeros((len(columns), counts.size))
    sums[:, filled] = np.add.reduceat(padded, ends - sizes + np.arange(sizes.size), axis=1)
    return list(sums)
