"""Trading terms beyond fee and slippage: impact, limits, interest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

Law = Literal["sqrt", "linear"]


@dataclass(frozen=True, slots=True, eq=False)
class Impact:
    """Price impact of an order.

    The price of a fill of quantity q in a bar of volume v rises (falls, if sold) by
    ``bps * sqrt(|q| / v)`` basis points with the square-root law, by ``bps * |q| / v`` with the
    linear one. The impact applies to that fill only. Proceeds of a sale are never negative.

    Parameters
    ----------
    volume : (T, S) float, >= 0
        Units traded in each bar, adjusted like the prices. Where it is 0 or NaN, orders are
        dropped, as without a price, and liquidations have no impact.
    bps : float or (S,) float, >= 0
        Impact of an order of the whole volume of the bar. For the usual square-root law, volatility
        times the root of the share of volume, it is the daily volatility in bps.
    law : {"sqrt", "linear"}
    """

    volume: ArrayLike
    bps: ArrayLike
    law: Law = "sqrt"


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Limits of a portfolio; None: no limit.

    Parameters
    ----------
    weight : float or (S,) float, >= 0, optional
        Largest absolute target weight of an item; larger ones are clipped.
    group : float or mapping of group to float, >= 0, optional
        Largest sum of absolute target weights in a group; above it, its weights are scaled down.
    groups : sequence of str, length S, optional
        Group of each item, such as its sector. Required for ``group``.
    leverage : float, >= 0, optional
        Largest sum of absolute target weights; above it, all weights are scaled down.
    turnover : float, >= 0, optional
        Largest sum of bought and sold value of one order, at prices before costs, over equity;
        above it, all its trades are scaled down.
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
    """Interest, as fractions per year of 365.25 days, simple within a bar.

    From one close to the next, interest accrues on cash and shorts of the first, at its rates, and
    is booked before the orders of the next bar.

    Parameters
    ----------
    times : (T,) datetime64
        Close of each bar, strictly ascending; the length of each bar follows from it.
    cash : float or (T,) float
        Earned on cash above 0, proceeds of shorts included.
    debt : float or (T,) float
        Paid on cash below 0.
    borrow : float or (S,) float
        Paid on the value of shorts.
    """

    times: ArrayLike
    cash: ArrayLike = 0.0
    debt: ArrayLike = 0.0
    borrow: ArrayLike = 0.0
