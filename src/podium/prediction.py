"""Prediction: the one thing that metrics, backtests and bundles exchange."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats, Times
from podium.errors import DataError
from podium.sequences import Indices, Subset
from podium.split import Windows


@dataclass(frozen=True, eq=False)
class Prediction:
    """Point forecasts with their index.

    Parameters
    ----------
    item : (N,) str
        Ticker.
    decided_at : (N,) datetime64[s]
        Close of the bar the forecast was made at, UTC.
    mean : (N,) float
        In the target's unit.
    """

    item: NDArray[np.str_]
    decided_at: Times
    mean: Floats

    def __post_init__(self) -> None:
        if not len(self.item) == len(self.decided_at) == len(self.mean):
            raise DataError(
                f"a prediction has {len(self.item)} items, {len(self.decided_at)} times and "
                f"{len(self.mean)} values",
                "one of each a row",
            )

    @classmethod
    def of(cls, windows: Windows, mean: Floats) -> Prediction:
        """Prediction of these windows, in their order."""
        return cls(windows.tickers, windows.decided_at, np.asarray(mean, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def values(self) -> Floats:
        """What the record keeps of it, (N,)."""
        return self.mean

    def grid(self, times: Times, tickers: tuple[str, ...]) -> Floats:
        """The forecasts as (T, S), aligned by time and name; NaN where there is none."""
        found = np.full((len(times), len(tickers)), np.nan)
        row = np.searchsorted(times, self.decided_at)
        inside = (row < len(times)) & (times[np.minimum(row, len(times) - 1)] == self.decided_at)
        column = np.array([tickers.index(t) if t in tickers else -1 for t in self.item.tolist()])
        keep = inside & (column >= 0)
        found[row[keep], column[keep]] = self.mean[keep]
        return found


@dataclass(frozen=True, eq=False)
class ClassPrediction:
    """Probability of every class for some samples.

    Parameters
    ----------
    rows : (N,) int64
        Row of each sample among the sequences it was picked from.
    probabilities : (N, K) float64
        From 0 to 1, each row's sum 1; column ``k`` belongs to ``class_names[k]``.
    class_names : tuple of str, length K
    """

    rows: Indices
    probabilities: Floats
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.class_names))
        if self.probabilities.shape != shape:
            raise DataError(
                f"a prediction has probabilities of shape {self.probabilities.shape}",
                f"{shape}: one row a sample, one column a class",
            )

    @classmethod
    def of(cls, picked: Subset, probabilities: Floats) -> ClassPrediction:
        """Prediction of these samples, in their order."""
        found = np.asarray(probabilities, dtype=np.float64)
        return cls(picked.rows, found, picked.sequences.class_names)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def values(self) -> Floats:
        """What the record keeps of it, (N x K,), sample by sample."""
        return self.probabilities.ravel()

    @property
    def chosen(self) -> Indices:
        """Likeliest class of each sample, (N,) int64; the first of equally likely ones."""
        found: Indices = np.argmax(self.probabilities, axis=1).astype(np.int64)
        return found
