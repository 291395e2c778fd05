"""On what terms a portfolio trades, beyond fee and slippage: impact, limits, interest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

Law = Literal["sqrt", "linear"]


@dataclass(frozen=True, slots=True, eq=False)
class Impact:
    """How far an order moves the price against itself.

    A fill of quantity q in a bar of volume v is dearer (cheaper, if sold) by
    ``bps * sqrt(|q| / v)`` hundredths of a percent with the square-root law, by
    ``bps * |q| / v`` with the linear one. The price is moved for that fill only. A seller never
    gets less than nothing.

    Parameters
    ----------
    volume : (T, S) float, >= 0
        Units traded in each bar, of the same adjustment as the prices. Where it is 0 or NaN,
        orders are dropped, as without a price; liquidations there pay no impact.
    bps : float or (S,) float, >= 0
        Impact of an order as large as the whole volume of the bar. The usual square-root law,
        a volatility times the root of the share of volume, is the daily volatility in bps here.
    law : {"sqrt", "linear"}
    """

    volume: ArrayLike
    bps: ArrayLike
    law: Law = "sqrt"


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What a portfolio may hold and trade; None: no limit.

    Parameters
    ----------
    weight : float or (S,) float, >= 0, optional
        Largest absolute target weight of an item; more is cut off.
    group : float or mapping of group to float, >= 0, optional
        Largest sum of absolute target weights in a group; above it, its weights shrink alike.
    groups : sequence of str, length S, optional
        Group of each item, such as its sector. Needed for ``group``.
    leverage : float, >= 0, optional
        Largest sum of absolute target weights; above it, all weights shrink alike.
    turnover : float, >= 0, optional
        Largest sum of bought and sold value of one order, at prices before costs, over equity;
        above it, all its trades shrink alike, so the portfolio goes part of the way.
    lot : float or (S,) float, > 0, optional
        Smallest unit: target quantities are rounded towards zero to whole lots.
    """

    weight: ArrayLike | None = None
    group: float | dict[str, float] | None = None
    groups: Sequence[str] | None = None
    leverage: float | None = None
    turnover: float | None = None
    lot: ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Interest, as fractions a year of 365.25 days, simple within a bar.

    From one close to the next, interest accrues on what cash and shorts were at the first, at the
    rates known then, and is booked before the orders of the next bar.

    Parameters
    ----------
    times : (T,) datetime64
        Close of each bar, strictly ascending: the calendar says how long a bar is.
    cash : float or (T,) float
        Earned on cash above 0; the proceeds of shorts are cash like any other.
    debt : float or (T,) float
        Paid on cash below 0.
    borrow : float or (S,) float
        Paid on the value of shorts.
    """

    times: ArrayLike
    cash: ArrayLike = 0.0
    debt: ArrayLike = 0.0
    borrow: ArrayLike = 0.0
