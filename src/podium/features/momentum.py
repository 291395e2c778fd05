"""Logarithmic return of the last n bars (default 252) without the newest m of them (default 0)."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.errors import UsageError


def compute(dataset: Dataset, bars: int = 252, skip: int = 0) -> Floats:
    """Return ``log(close[t - skip] / close[t - bars])``; NaN for the first ``bars`` rows.

    Parameters
    ----------
    bars : int, >= 1
    skip : int, >= 0, < bars
        Newest bars to leave out, because short moves tend to revert: ``momentum:252:21`` is the
        customary year without its last month.

    Raises
    ------
    UsageError
        ``skip`` is not below ``bars``.
    """
    if skip >= bars:
        raise UsageError(f"momentum:{bars}:{skip} skips all its bars", f"less than {bars}")
    log_close = np.log(dataset["close"])
    result = np.full_like(log_close, np.nan)
    result[bars:] = log_close[bars - skip : len(log_close) - skip] - log_close[:-bars]
    return result
