"""Dataset: bars of several tickers in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats, Ints, Mask, Times
from podium.covariates import Covariate
from podium.errors import DataError, Problems
from podium.hashing import canonical, digest_bytes
from podium.timeframe import SECONDS

FIELDS = ("open", "high", "low", "close", "volume")
# Log returns that differ by less are the same mark.
MARK_STEP = 1e-6


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
        In the order of training.
    times : (T,) datetime64[s]
        Close of each bar, UTC, strictly increasing.
    fields : mapping of name to (T, S) float
        ``open high low close volume``; finite, prices above zero. With members, values are NaN
        before a ticker's first bar and after its last, and nowhere between.
    notes : tuple of str
        Repairs and assumptions of the reader; not part of the fingerprint.
    covariates : mapping of name to Covariate
        Covariates of the bars; a slice holds the rows known by its bars.
    members : (T, S) bool, optional
        Where a ticker belongs to the universe and can be decided on; it has a bar there, and may
        have bars before and after. None: every ticker has every bar and is always a member.
    """

    name: str
    timeframe: str
    tickers: tuple[str, ...]
    times: Times
    fields: Mapping[str, Floats]
    notes: tuple[str, ...] = ()
    covariates: Mapping[str, Covariate] = field(default_factory=dict)
    members: Mask | None = None

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, field: str) -> Floats:
        return self.fields[field]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that affects results: names, order, times, values."""
        head = canonical([self.timeframe, self.tickers, sorted(self.fields)]).encode()
        parts = [np.ascontiguousarray(self.fields[name]).data for name in sorted(self.fields)]
        if self.members is not None:
            parts.append(np.ascontiguousarray(self.members).data)
        covariates = [
            part
            for name, one in sorted(self._known(self.tickers, self.times).items())
            for part in (name.encode(), *one.content())
        ]
        return digest_bytes(head, self.times.astype("int64").tobytes(), *parts, *covariates)

    def with_covariates(self, covariates: Mapping[str, Covariate]) -> Dataset:
        """The same bars with the rows of these covariates that they know."""
        return replace(self, covariates=covariates).slice(0, len(self))

    @cached_property
    def alive(self) -> Mask:
        """Where a ticker has a bar, (T, S): from its first to its last."""
        if self.members is None:
            return np.ones((len(self), len(self.tickers)), dtype=bool)
        return np.isfinite(self.fields["close"])

    @property
    def last_bars(self) -> Ints:
        """Number of each ticker's last bar, (S,)."""
        last: Ints = len(self) - 1 - self.alive[::-1].argmax(axis=0)
        return last

    def among(self, members: Mask) -> Dataset:
        """The same bars with these members; None if every ticker is always a member."""
        return replace(self, members=None if members.all() else members)

    def select(self, tickers: Sequence[str]) -> Dataset:
        """The same bars with exactly these tickers in this order, selected by name.

        Raises
        ------
        DataError
            Lists every missing ticker.
        """
        problems = Problems()
        for ticker in tickers:
            message = f"ticker '{ticker}' is not in dataset '{self.name}'"
            problems.require_known(ticker, self.tickers, message)
        DataError.raise_for(problems)
        if tuple(tickers) == self.tickers:
            return self
        order = [self.tickers.index(t) for t in tickers]
        columns = {name: np.ascontiguousarray(v[:, order]) for name, v in self.fields.items()}
        known = self._known(tickers, self.times)
        selected = replace(self, tickers=tuple(tickers), fields=columns, covariates=known)
        return selected if self.members is None else selected.among(self.members[:, order])

    def realign(self, tickers: Sequence[str]) -> tuple[Dataset, str]:
        """Bars of a model's tickers in the model's order, and a note on the difference.

        The note is empty if the dataset has these tickers in this order.

        Raises
        ------
        DataError
            A ticker is missing.

        Examples
        --------
        >>> from podium.testing.series import bars
        >>> bars(5).realign(["CCC", "AAA"])[1]  # doctest: +ELLIPSIS
        "tickers taken by name in the order CCC, AAA (dataset ...); left out: BBB"
        """
        selected = self.select(tickers)
        if selected is self:
            return self, ""
        extra = [ticker for ticker in self.tickers if ticker not in tickers]
        note = (
            f"tickers taken by name in the order {', '.join(tickers)} "
            f"(dataset '{self.name}' has {', '.join(self.tickers)})"
        )
        return selected, note + (f"; left out: {', '.join(extra)}" if extra else "")

    def bar_at_or_after(self, moment: str) -> int:
        """Index of the first bar at or after an ISO 8601 moment; ``len`` if there is none."""
        return int(np.searchsorted(self.times, np.datetime64(moment, "s"), side="left"))

    def slice(self, start: int, stop: int) -> Dataset:
        """Bars ``start`` to ``stop``, the last one excluded."""
        columns = {name: v[start:stop] for name, v in self.fields.items()}
        times = self.times[start:stop]
        known = self._known(self.tickers, times)
        selected = replace(self, times=times, fields=columns, covariates=known)
        return selected if self.members is None else selected.among(self.members[start:stop])

    def marks(self, start: int, stop: int) -> Ints:
        """Distinct hashes of the bars ``start`` to ``stop`` by content, sorted, (N,) int64.

        There is one for each time and ticker with a log return of the close that is not zero after
        rounding to 1e-6. Names, the order of tickers and later adjustments, which scale all closes
        of a ticker, do not matter.
        """
        first = max(start, 1)
        moves = np.diff(np.log(self["close"][first - 1 : stop]), axis=0)
        rounded = np.rint(np.where(np.isfinite(moves), moves, 0.0) / MARK_STEP).astype(np.int64)
        times = _mixed(self.times[first:stop].astype(np.int64).view(np.uint64))
        hashes = _mixed(times[:, None] ^ rounded.view(np.uint64))
        return np.unique(hashes[rounded != 0].view(np.int64))

    def _known(self, tickers: Sequence[str], times: Times) -> dict[str, Covariate]:
        """Covariates without rows of other tickers or of the bars' future."""
        last, bar = times[-1] if len(times) else None, SECONDS[self.timeframe]
        return {name: one.known_by(tickers, last, bar) for name, one in self.covariates.items()}


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of 64-bit numbers (SplitMix64); overflow is part of the definition."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
