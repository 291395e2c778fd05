"""Position of a bar's stamp in a cycle of the calendar, as an angle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from podium.arrays import Floats, Times
from podium.dataset import Dataset

Cycle = Callable[[Times], Floats]


def time_of_day(times: Times) -> Floats:
    """Return the elapsed share of the day, from 0 to 1."""
    elapsed: Floats = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "D")
    return elapsed


def day_of_week(times: Times) -> Floats:
    """Return whole days since Monday as a share of the week: 0 is Monday, 6/7 is Sunday."""
    # 1970-01-01, day 0 of numpy, was a Thursday.
    return (times.astype("datetime64[D]").astype(np.int64) + 3) % 7 / 7


def month(times: Times) -> Floats:
    """Return whole months since January as a share of the year: 0 is January, 11/12 is December."""
    return times.astype("datetime64[M]").astype(np.int64) % 12 / 12


def sine(dataset: Dataset, cycle: Cycle) -> Floats:
    """Return the sine of a cycle at each bar's stamp, the same for every ticker, (T, S)."""
    return _wide(dataset, np.sin(2 * np.pi * cycle(dataset.times)))


def cosine(dataset: Dataset, cycle: Cycle) -> Floats:
    """Return the cosine of a cycle at each bar's stamp, the same for every ticker, (T, S)."""
    return _wide(dataset, np.cos(2 * np.pi * cycle(dataset.times)))


def _wide(dataset: Dataset, values: Floats) -> Floats:
    return np.repeat(values[:, np.newaxis], len(dataset.tickers), axis=1)
