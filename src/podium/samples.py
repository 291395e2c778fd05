"""Samples: the input of splitters, without inputs and outcomes of the samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Mask, Times
from podium.errors import DataError, Problem, Problems, UsageError
from podium.hashing import digest_bytes

Indices = NDArray[np.int64]


class HasSamples(Protocol):
    """Object that can be split: a view, sequences, or samples."""

    def samples(self) -> Samples:
        """Samples for a splitter."""
        ...


@dataclass(frozen=True, eq=False)
class Samples:
    """Start and end of each sample's label, and groups that stay together.

    Parameters
    ----------
    index : (N,) int, increasing
        Number of a sample in folds: its decision bar in a view, its row in sequences.
    starts, ends : (N,) int, optional
        A label covers the positions after ``starts`` up to and including ``ends``, so ``ends >
        starts``. A forecast starts at its decision. A label that describes the sample itself (the
        class of a sequence) starts where the sample starts. Positions are bars in a view, else
        ranks of distinct starts: see :meth:`timed`. None: the samples have no times.
    times : (M,) datetime64, optional
        ``times[index]`` are the decision times of the samples.
    horizon : int
        Length of every label if all have one length and ``index`` are bars; else 0.
    window : int
        Positions in the inputs of a sample, including its own; 0 if unknown.
    groups : (N,), optional
        Patient, day or engine of each sample.
    labels : (N,), optional
        Class of each sample, for stratified folds.
    sources : (N,) int, optional
        File of each sample: 0 trains, 1 validates.
    contents : (N,) str, optional
        Hash of each sample's content, see :func:`row_digests`; equal samples are copies.

    Raises
    ------
    DataError
        Different lengths, an index out of order, or labels that end before they start.
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
            Problem(f"{len(values)} {name} for {len(self)} samples", "one per sample")
            for name in ("starts", "ends", "groups", "labels", "sources", "contents")
            if (values := getattr(self, name)) is not None and len(values) != len(self)
        )
        if (np.diff(self.index) <= 0).any():
            problems.add("the index of the samples is not increasing", "each number once")
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
                    "use the start of the sequence if a label describes the sequence",
                )
        DataError.raise_for(problems)

    @classmethod
    def timed(cls, starts_at: NDArray[Any], ends_at: NDArray[Any], **others: Any) -> Self:
        """Samples with any type of times (datetimes, seconds, bar numbers), in any order.

        Positions are ranks of the distinct starts; an end is the first start at or after it.
        Labels overlap in ranks exactly where they overlap in times.

        Parameters
        ----------
        starts_at, ends_at : (N,) of one ordered type
        **others
            ``window`` (in distinct starts), ``groups``, ``labels``, ``sources``, ``contents``;
            ``times`` if they differ from ``starts_at``.

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
        # An end that is not after its start must be refused, whatever its rank.
        ends = np.where(np.asarray(ends_at) > np.asarray(starts_at), ends, starts)
        if np.asarray(starts_at).dtype.kind == "M":
            others.setdefault("times", np.asarray(starts_at))
        index = np.arange(len(starts), dtype=np.int64)
        return cls(index, starts.astype(np.int64), ends.astype(np.int64), **others)

    def __len__(self) -> int:
        return len(self.index)

    def samples(self) -> Self:
        """The samples themselves."""
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
                "start and end of each label",
                "add times, or split by group or by file (given)",
            )
        return self.starts, self.ends

    @cached_property
    def longest(self) -> int:
        """Length of the longest label, in positions."""
        starts, ends = self.spans
        return int((ends - starts).max(initial=0))

    @cached_property
    def moments(self) -> Indices:
        """Distinct starts, increasing; time splitters cut between them."""
        return np.unique(self.spans[0])

    def between(self, start: int, stop: int) -> Indices:
        """Rows of the samples that start at ``moments[start:stop]``, in index order."""
        if start >= stop:
            return np.empty(0, dtype=np.int64)
        starts, _ = self.spans
        return np.flatnonzero((starts >= self.moments[start]) & (starts <= self.moments[stop - 1]))

    def purging(self, purge: int | None) -> Samples:
        """The samples with every label at least ``purge`` positions long.

        Raises
        ------
        UsageError
            ``purge`` is shorter than the longest label.
        """
        if purge is None:
            return self
        starts, ends = self.spans
        if purge < self.longest:
            raise UsageError(
                f"purge is {purge} and the longest label {self.longest} {self.unit}: "
                f"{self.longest - purge} of them would be shared by training and validation",
                f"purge = {self.longest} or more",
                "or leave it out: by default it is computed from the ends of the labels",
            )
        # With bars every label has the same length, so all get the new one.
        horizon = purge if self.horizon else 0
        return replace(self, ends=np.maximum(ends, starts + purge), horizon=horizon)

    @classmethod
    def joined(cls, training: Samples, validation: Samples) -> Samples:
        """Samples of two files, concatenated for the splitter ``given``.

        Rows of the second file follow those of the first. Times are dropped, since two files need
        not share a clock; use :meth:`timed` over both if they do.
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
        """Name of a position in messages."""
        return "bars" if self.horizon else "positions"


def overlapping(starts: Indices, ends: Indices, other_starts: Indices, other_ends: Indices) -> Mask:
    """Whether each label shares a position with any of the others, (N,).

    Two labels overlap exactly when each starts before the other ends.

    Examples
    --------
    >>> overlapping(*np.array([[0, 3, 6], [3, 5, 9]]), *np.array([[4], [6]])).tolist()
    [False, True, False]
    """
    order = np.argsort(other_starts, kind="stable")
    # The latest end of the others that start before a label ends decides.
    latest = np.concatenate(
        [[np.iinfo(np.int64).min], np.maximum.accumulate(other_ends[order].astype(np.int64))]
    )
    return latest[np.searchsorted(other_starts[order], ends)] > starts


def row_digests(values: NDArray[Any]) -> NDArray[np.str_]:
    """Hash of each row's content, (N,) str; equal rows have equal hashes.

    Examples
    --------
    >>> names = row_digests(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
    >>> bool(names[0] == names[2]), bool(names[0] == names[1])
    (True, False)
    """
    plain = np.ascontiguousarray(values)
    return np.array([digest_bytes(row.tobytes())[:32] for row in plain], dtype="<U32")
