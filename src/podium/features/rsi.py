"""Wilder's relative strength index of the last n bars (default 14), from 0 to 100."""

from __future__ import annotations

import numpy as np

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.features._trailing import since_first


def compute(dataset: Dataset, bars: int = 14) -> Floats:
    """Return 100 times the average gain over the sum of average gain and average loss.

    The first average is the plain mean of ``bars`` changes of the close, each later one moves by
    ``1 / bars`` towards the newest change (J. W. Wilder, New Concepts in Technical Trading
    Systems, 1978). 50 for a constant price; NaN for the first ``bars`` rows.
    """
    return since_first(dataset["close"], lambda close: _rsi(close, bars))


def _rsi(close: Floats, bars: int) -> Floats:
    result = np.full_like(close, np.nan)
    if len(close) <= bars:
        return result
    change = np.diff(close, axis=0)
    moves = np.stack([np.maximum(change, 0), np.maximum(-change, 0)])
    # (gain and loss, S)
    average = moves[:, :bars].mean(axis=1)
    result[bars] = _index(*average)
    for t in range(bars, len(change)):
        average = average + (moves[:, t] - average) / bars
        result[t + 1] = _index(*average)
    return result


def _index(gain: Floats, loss: Floats) -> Floats:
    both = gain + loss
    return 100 * np.divide(gain, both, out=np.full_like(gain, 0.5), where=both > 0)
