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
    """What cash and shorts at one close earn and cost until the next."""

    def __init__(self, rates: Rates, bars: int, items: int) -> None:
        times = np.asarray(rates.times)
        if times.shape != (bars,):
            raise DataError(
                f"rates.times has shape {times.shape}", f"a time for each of {bars} bars"
            )
        if bars > 1:
            require_times(times)
        self._years = np.diff(times) / np.timedelta64(1, "D") / DAYS_PER_YEAR
        self._cash = _per_bar("rates.cash", rates.cash, bars)
        self._debt = _per_bar("rates.debt", rates.debt, bars)
        self._borrow = per_item(
            "rates.borrow", rates.borrow, items, np.isfinite, "a fraction a year, such as 0.03"
        )

    def until(self, bar: int, cash: Floats, held: Floats, marks: Floats) -> Floats:
        """Earned less paid, (K,), from the close before until this one.

        Cash (K,) and holdings (K, S) are those of the close before, as are the prices (S,).
        """
        rate = np.where(cash > 0.0, self._cash[bar - 1], self._debt[bar - 1])
        short = np.vecdot(np.minimum(held, 0.0), marks * self._borrow)
        earned: Floats = (cash * rate + short) * self._years[bar - 1]
        return earned


def _per_bar(name: str, rate: ArrayLike, bars: int) -> Floats:
    found = np.asarray(rate, dtype=np.float64)
    if found.ndim and found.shape != (bars,):
        raise DataError(f"{name} has shape {found.shape}", f"one number, or one a bar: ({bars},)")
    if not np.isfinite(found).all():
        raise UsageError(f"{name} is not finite", "fractions a year, such as 0.03")
    return np.broadcast_to(found, (bars,))
