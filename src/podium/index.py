"""Index: the window of each value of a stored series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Ints, Times
from podium.errors import DataError
from podium.split import Windows


@dataclass(frozen=True, eq=False)
class Index:
    """Ticker, decision time and target end of every window, in the order of a stored series.

    The record stores losses and forecasts as plain series. Their common index is stored once, as
    the array of :meth:`pack`.

    Parameters
    ----------
    item : (N,) int64
        Number of the ticker among those of the dataset.
    decided_at : (N,) datetime64[s]
        Close of the bar of the decision, UTC.
    target_end : (N,) datetime64[s]
        Close of the last bar of the target, UTC; NaT where the target is unknown.

    Raises
    ------
    DataError
        The three differ in length.
    """

    item: Ints
    decided_at: Times
    target_end: Times

    def __post_init__(self) -> None:
        lengths = len(self.item), len(self.decided_at), len(self.target_end)
        if len({*lengths}) > 1:
            raise DataError(
                "an index has {} items, {} decisions and {} ends of targets".format(*lengths),
                "one of each per window",
            )

    @classmethod
    def of(cls, windows: Windows) -> Index:
        """Index of these windows, in their order."""
        return cls(windows.item, windows.decided_at, windows.target_end)

    @classmethod
    def unpack(cls, packed: Ints) -> Index:
        """Index from an array of :meth:`pack`.

        Parameters
        ----------
        packed : (3 N,) int64

        Raises
        ------
        DataError
            The array does not have three blocks of one length.

        Examples
        --------
        >>> Index.unpack(np.array([0, 1, 60, 60, 120, 120])).target_end.astype(str).tolist()
        ['1970-01-01T00:02:00', '1970-01-01T00:02:00']
        """
        if packed.ndim != 1 or len(packed) % 3:
            raise DataError(
                f"a stored index has shape {packed.shape}",
                "three blocks of one length: items, decisions, ends of targets",
                "run: podium doctor",
            )
        item, decided_at, target_end = packed.astype(np.int64).reshape(3, -1)
        return cls(item, decided_at.view("datetime64[s]"), target_end.view("datetime64[s]"))

    def pack(self) -> Ints:
        """The index as one array.

        Returns
        -------
        (3 N,) int64
            All items, then all decisions, then all ends of targets; times are seconds since 1970,
            and NaT is the smallest int64.
        """
        return np.concatenate([self.item, self.seconds, _seconds(self.target_end)])

    def __len__(self) -> int:
        return len(self.item)

    @property
    def seconds(self) -> Ints:
        """Decision times in seconds since 1970, (N,); equal for the windows of one bar."""
        return _seconds(self.decided_at)

    def names(self, tickers: tuple[str, ...]) -> NDArray[np.str_]:
        """Ticker of each window, (N,).

        Raises
        ------
        DataError
            The index has an item beyond ``tickers``.
        """
        if len(self.item) and not 0 <= self.item.min() <= self.item.max() < len(tickers):
            raise DataError(
                f"an index has items {self.item.min()} to {self.item.max()}",
                f"numbers of {len(tickers)} tickers, from 0",
            )
        return np.asarray(tickers, dtype=np.str_)[self.item]


def _seconds(times: Times) -> Ints:
    return times.astype("datetime64[s]").astype(np.int64)
