"""Interest between closes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from podium.arrays import Floats
from podium.errors import DataError, UsageError
from podium.portfolio._inputs import per_item
from podium.portfolio.measures import DAYS_PER_YEAR, require_times
from podium.portfolio.terms import Rates


class Interest:
    """Interest on cash and shorts from one close to the next."""

    def __init__(self, rates: Rates, bars: int, items: int) -> None:
        times = np.asarray(rates.times)
        if times.shape != (bars,):
            raise DataError(f"rates.times has shape {times.shape}", f"a time per bar: ({bars},)")
        if bars > 1:
            require_times(times)
        self._years = np.diff(times) / np.timedelta64(1, "D") / DAYS_PER_YEAR
        self._cash = _per_bar("rates.cash", rates.cash, bars)
        self._debt = _per_bar("rates.debt", rates.debt, bars)
        self._borrow = per_item(
            "rates.borrow", rates.borrow, items, np.isfinite, "a fraction per year, such as 0.03"
        )

    @property
    def riskless(self) -> Floats:
        """Return of cash alone in each bar, (T,); the first is 0."""
        earned: Floats = np.concatenate([[0.0], self._cash[:-1] * self._years])
        return earned

    def until(self, bar: int, cash: Floats, held: Floats, marks: Floats) -> Floats:
        """Net interest, (K,), from the previous close to this one.

        Cash (K,), holdings (K, S) and prices (S,) are those of the previous close.
        """
        rate = np.where(cash > 0.0, self._cash[bar - 1], self._debt[bar - 1])
        short = np.vecdot(np.minimum(held, 0.0), marks * self._borrow)
        earned: Floats = (cash * rate + short) * self._years[bar - 1]
        return earned


def _per_bar(name: str, rate: ArrayLike, bars: int) -> Floats:
    values = np.asarray(rate, dtype=np.float64)
    if values.ndim and values.shape != (bars,):
        raise DataError(f"{name} has shape {values.shape}", f"one number, or one per bar, {bars}")
    if not np.isfinite(values).all():
        raise UsageError(f"{name} is not finite", "fractions per year, such as 0.03")
    return np.broadcast_to(values, (bars,))
