"""Dataset: bars of several tickers in a remembered order; View: what one task sees of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from podium.errors import DataError, Problem, suggest
from podium.hashing import canonical, digest_bytes

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]
FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Aligned bars, adjusted for splits and dividends.

    Parameters
    ----------
    name : str
        The dataset's name in podium.toml.
    timeframe : str
        Length of a bar: ``1M 5M 15M 30M 1H 4H D W``.
    tickers : tuple of str, length S
        In the order models are trained on.
    times : (T,) datetime64[s]
        Close of each bar, UTC, strictly increasing.
    fields : mapping of name to (T, S) float
        ``open high low close volume``; finite, prices above zero.
    """

    name: str
    timeframe: str
    tickers: tuple[str, ...]
    times: Times
    fields: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, field: str) -> Floats:
        return self.fields[field]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that could change a number: names, order, times, values."""
        head = canonical([self.timeframe, self.tickers, sorted(self.fields)]).encode()
        parts = [np.ascontiguousarray(self.fields[name]).data for name in sorted(self.fields)]
        return digest_bytes(head, self.times.astype("int64").tobytes(), *parts)

    def select(self, tickers: Sequence[str]) -> Dataset:
        """The same bars with exactly these tickers in this order, found by name.

        Raises
        ------
        DataError
            Naming every ticker that is not there.
        """
        missing = [t for t in tickers if t not in self.tickers]
        if missing:
            raise DataError.of(
                Problem(
                    f"ticker '{t}' is not in dataset '{self.name}'", fix=suggest(t, self.tickers)
                )
                for t in missing
            )
        if tuple(tickers) == self.tickers:
            return self
        order = [self.tickers.index(t) for t in tickers]
        columns = {name: np.ascontiguousarray(v[:, order]) for name, v in self.fields.items()}
        return replace(self, tickers=tuple(tickers), fields=columns)

    def bar_at_or_after(self, moment: str) -> int:
        """Index of the first bar at or after an ISO 8601 moment; ``len`` when there is none."""
        return int(np.searchsorted(self.times, np.datetime64(moment, "s"), side="left"))

    def slice(self, start: int, stop: int) -> Dataset:
        """Bars ``start`` to ``stop``, the last one excluded."""
        columns = {name: v[start:stop] for name, v in self.fields.items()}
        return replace(self, times=self.times[start:stop], fields=columns)


@dataclass(frozen=True, eq=False)
class View:
    """What a forecasting task sees of a dataset: one copy of it, addressed by windows.

    Parameters
    ----------
    tickers, times
        As in the dataset.
    features : (T, S, F) float32
        Causal: row ``t`` uses bars up to ``t`` only. Not scaled; families fit their scaler on
        training windows.
    increments : (T, S) float
        One bar's contribution to the target, known at its close (a squared return, say).
    target : (T, S) float
        Target decided at ``t`` and known at ``t + horizon``; NaN where that lies beyond the data.
    past : (T, S) float
        The same quantity over the last ``horizon`` bars, known at ``t``.
    aggregate : callable
        ``(mean of increments, horizon) -> target``.
    horizon, window : int
        Bars ahead, and bars a model looks back.
    centered : bool
        Whether a forecast of zero is one (a return), not nonsense (a log volatility).
    """

    tickers: tuple[str, ...]
    times: Times
    feature_names: tuple[str, ...]
    features: NDArray[np.float32]
    increments: Floats
    target: Floats
    past: Floats
    aggregate: Callable[[Floats, int], Floats]
    horizon: int
    window: int
    centered: bool

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def first_bar(self) -> int:
        """First bar whose whole window of features, and past, is known for every ticker."""
        known = np.isfinite(self.features).all(axis=(1, 2)) & np.isfinite(self.past).all(axis=1)
        unknown = np.flatnonzero(~known)
        return int(unknown[-1] + 1 if len(unknown) else 0) + self.window - 1

    @cached_property
    def last_labelled(self) -> int:
        """Last bar whose target is known, that is ``T - 1 - horizon``."""
        return len(self) - 1 - self.horizon

    def until(self, stop: int) -> View:
        """The first ``stop`` bars; targets that end at or after ``stop`` become unknown."""
        target = self.target[:stop].copy()
        target[max(0, stop - self.horizon) :] = np.nan
        return replace(
            self,
            times=self.times[:stop],
            features=self.features[:stop],
            increments=self.increments[:stop],
            target=target,
            past=self.past[:stop],
        )

    def blind(self) -> View:
        """The same view without any target: what a family is given to predict from."""
        return replace(self, target=np.full_like(self.target, np.nan))
