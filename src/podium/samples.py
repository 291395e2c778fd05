"""Samples: what a splitter may know of the samples it splits, and never what happened at them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Times
from podium.errors import DataError, Problem, Problems, UsageError
from podium.hashing import digest_bytes

Indices = NDArray[np.int64]


class HasSamples(Protocol):
    """Whatever can be split: a view, sequences, samples themselves."""

    def samples(self) -> Samples:
        """What a splitter may know of it."""
        ...


@dataclass(frozen=True, eq=False)
class Samples:
    """When each sample's label begins and ends, and what must stay together.

    Parameters
    ----------
    index : (N,) int, increasing
        Number by which folds name a sample: its decision bar in a view, its row among sequences.
    starts, ends : (N,) int, optional
        A label is made of what lies after position ``starts`` up to and with position ``ends``,
        so ``ends > starts``. A forecast starts where it is decided. A label that describes the
        sample itself (the class of a sequence) is made of the sample, and starts where that
        starts. Positions are bars in a view, else ranks of distinct starts: see :meth:`timed`.
        None: the samples have no times.
    times : (M,) datetime64, optional
        ``times[index]`` is when each sample is decided.
    horizon : int
        Length of every label when all are of one length and ``index`` are bars; else 0.
    window : int
        Positions that the inputs of a sample look back, its own among them; 0: not known.
    groups : (N,), optional
        Patient, day or engine of each sample.
    labels : (N,), optional
        Class of each sample, for folds that have a like share of every class.
    sources : (N,) int, optional
        File of each sample: 0 trains, 1 validates.
    contents : (N,) str, optional
        Name of what each sample holds, as from :func:`row_digests`; equal ones are copies.

    Raises
    ------
    DataError
        With every problem: lengths that differ, an index out of order, labels that end before they
        start.
    """

    index: Indices
    starts: Indices | None = None
    ends: Indices | None = None
    times: Times | None = None
    horizon: int = 0
    window: int = 0
    groups: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    sources: Indices | None = None
    contents: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        problems = Problems(
            Problem(f"{len(values)} {name} for {len(self)} samples", "one a sample")
            for name in ("starts", "ends", "groups", "labels", "sources", "contents")
            if (values := getattr(self, name)) is not None and len(values) != len(self)
        )
        if (np.diff(self.index) <= 0).any():
            problems.add("the index of the samples is not increasing", "each one once")
        if (self.starts is None) != (self.ends is None):
            problems.add("samples have only one of starts and ends", "both or neither")
        if not problems and self.starts is not None and self.ends is not None:
            short = np.flatnonzero(self.ends <= self.starts)
            if len(short):
                row = int(short[0])
                problems.add(
                    f"the label of sample {self.index[row]} starts after position "
                    f"{self.starts[row]} and ends at {self.ends[row]} ({len(short)} such)",
                    "an end after its start",
                    "give the start of the sequence where a label describes the sequence",
                )
        DataError.raise_for(problems)

    @classmethod
    def timed(cls, starts_at: NDArray[Any], ends_at: NDArray[Any], **others: Any) -> Self:
        """Samples of any times (datetimes, seconds, bar numbers), in any order.

        Positions become ranks of the distinct starts; an end becomes the first start at or after
        it. Which labels meet is the same in ranks as in times.

        Parameters
        ----------
        starts_at, ends_at : (N,) of one ordered type
        **others
            ``window`` (in distinct starts), ``groups``, ``labels``, ``sources``, ``contents``;
            ``times`` where they are others than ``starts_at``.

        Examples
        --------
        >>> samples = Samples.timed(np.array([10, 20, 20, 40]), np.array([21, 40, 90, 41]))
        >>> samples.starts.tolist(), samples.ends.tolist()
        ([0, 1, 1, 2], [2, 2, 3, 3])
        """
        for name, given in (("start", starts_at), ("end", ends_at)):
            unknown = np.flatnonzero(given != given)
            if len(unknown):
                raise DataError(
                    f"sample {unknown[0]} has no {name} time ({len(unknown)} such)",
                    "a time for every sample",
                )
        moments, starts = np.unique(starts_at, return_inverse=True)
        ends = np.searchsorted(moments, ends_at, side="left")
        # An end that is not after its start must be refused as such, whatever the rank says.
        ends = np.where(np.asarray(ends_at) > np.asarray(starts_at), ends, starts)
        if np.asarray(starts_at).dtype.kind == "M":
            others.setdefault("times", np.asarray(starts_at))
        index = np.arange(len(starts), dtype=np.int64)
        return cls(index, starts.astype(np.int64), ends.astype(np.int64), **others)

    def __len__(self) -> int:
        return len(self.index)

    def samples(self) -> Self:
        """Itself: samples can be split like what they are samples of."""
        return self

    @property
    def spans(self) -> tuple[Indices, Indices]:
        """Starts and ends of the labels.

        Raises
        ------
        DataError
            The samples have no times.
        """
        if self.starts is None or self.ends is None:
            raise DataError(
                "the samples have no times",
                "when each label starts and ends",
                "give them times, or split them by group or by file (given)",
            )
        return self.starts, self.ends

    @cached_property
    def longest(self) -> int:
        """Length of the longest label, in positions."""
        starts, ends = self.spans
        return int((ends - starts).max(initial=0))

    @cached_property
    def moments(self) -> Indices:
        """Distinct starts, increasing: what time splitters cut, so that no moment is divided."""
        return np.unique(self.spans[0])

    def between(self, start: int, stop: int) -> Indices:
        """Rows of the samples that start at ``moments[start:stop]``, in the order of the index."""
        if start >= stop:
            return np.empty(0, dtype=np.int64)
        starts, _ = self.spans
        return np.flatnonzero((starts >= self.moments[start]) & (starts <= self.moments[stop - 1]))

    def purging(self, purge: int | None) -> Samples:
        """The samples with every label taken for at least ``purge`` positions long.

        Raises
        ------
        UsageError
            Shorter than the longest label, with the number that would do.
        """
        if purge is None:
            return self
        starts, ends = self.spans
        if purge < self.longest:
            raise UsageError(
                f"purge is {purge} and the longest label {self.longest} {self.unit}: "
                f"{self.longest - purge} of them would be shared by training and validation",
                f"purge = {self.longest} or more",
                "or leave it out: it is computed from where labels end",
            )
        # Of bars every label is as long as the longest, so that is the new length of all.
        horizon = purge if self.horizon else 0
        return replace(self, ends=np.maximum(ends, starts + purge), horizon=horizon)

    @classmethod
    def joined(cls, training: Samples, validation: Samples) -> Samples:
        """Samples of two files one after the other, for the splitter ``given``.

        Rows of the second file are numbered on from the first. Times are left out: two files of
        rows have one clock only where their maker says so, with :meth:`timed` over both.
        """

        def both(name: str) -> NDArray[Any] | None:
            parts = [getattr(training, name), getattr(validation, name)]
            return None if any(part is None for part in parts) else np.concatenate(parts)

        sizes = [len(training), len(validation)]
        return cls(
            np.arange(sum(sizes), dtype=np.int64),
            groups=both("groups"),
            labels=both("labels"),
            sources=np.repeat(np.array([0, 1], dtype=np.int64), sizes),
            contents=both("contents"),
        )

    @property
    def unit(self) -> str:
        """What a position is called."""
        return "bars" if self.horizon else "positions"


def meeting(
    starts: Indices, ends: Indices, other_starts: Indices, other_ends: Indices
) -> NDArray[np.bool_]:
    """Which of the labels share a position with any of the others, (N,).

    Two labels share one exactly when each starts before the other has ended.

    Examples
    --------
    >>> meeting(*np.array([[0, 3, 6], [3, 5, 9]]), *np.array([[4], [6]])).tolist()
    [False, True, False]
    """
    order = np.argsort(other_starts, kind="stable")
    # Of the others that start before a label ends, the latest end tells.
    latest = np.concatenate(
        [[np.iinfo(np.int64).min], np.maximum.accumulate(other_ends[order].astype(np.int64))]
    )
    return latest[np.searchsorted(other_starts[order], ends)] > starts


def row_digests(values: NDArray[Any]) -> NDArray[np.str_]:
    """A name for what each row holds, (N,) str: equal rows, equal names.

    Examples
    --------
    >>> names = row_digests(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
    >>> bool(names[0] == names[2]), bool(names[0] == names[1])
    (True, False)
    """
    plain = np.ascontiguousarray(values)
    return np.array([digest_bytes(row.tobytes())[:32] for row in plain], dtype="<U32")
