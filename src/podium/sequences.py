"""Sequences: samples of several steps each, with a label or a number to predict for every one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Times
from podium.errors import DataError, Problem
from podium.feature_stats import FeatureStats
from podium.hashing import canonical, digest_bytes
from podium.samples import Samples, row_digests

Indices = NDArray[np.int64]
Rows = slice | Indices
# Seconds from 1970 to 2200.
_LATEST = 7_258_118_400


@dataclass(frozen=True, eq=False)
class Sequences:
    """Samples of at most T steps; whatever stands behind a sample's last step is zero.

    Made by :meth:`of`, which checks everything.

    Parameters
    ----------
    name : str
        The dataset's name in podium.toml.
    x : (N, T, F) float32
        Steps in order of time; NaN where a value is missing, never infinite.
    y : (N,) int64 or float64
        Class of each sample from 0 on, or the number to predict.
    lengths : (N,) int64
        Steps of each sample, 1 to T.
    groups : (N,) str, or None
        Patient, day or engine a sample comes from; samples of one group are never shared between
        training and validation.
    feature_names : tuple of str, length F
    class_names : tuple of str
        Empty when ``y`` is a number.
    notes : tuple of str
        What was rearranged while the samples were read; no part of the fingerprint.
    times : (N,) datetime64[s], or None
        When each sample is decided, UTC: its last step is known by then.
    ends : (N,) datetime64[s], or None
        When each label is known, after its sample's time; None: a label tells of its sample itself.
    sources : (N,) int64, or None
        File each sample comes from, where two were joined: 0 trains, 1 validates.
    stats : FeatureStats, or None
        Scaling that was handed in with the samples; None: families fit it on what they train on.
    """

    name: str
    x: NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float64]
    lengths: Indices
    groups: NDArray[np.str_] | None
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    times: Times | None = None
    ends: Times | None = None
    sources: Indices | None = None
    stats: FeatureStats | None = None

    @classmethod
    def of(
        cls,
        name: str,
        x: NDArray[np.generic],
        y: NDArray[np.generic],
        *,
        lengths: NDArray[np.generic] | None = None,
        mask: NDArray[np.generic] | None = None,
        groups: NDArray[np.generic] | None = None,
        feature_names: Sequence[str] = (),
        class_names: Sequence[str] = (),
        times: NDArray[np.generic] | None = None,
        ends: NDArray[np.generic] | None = None,
    ) -> Sequences:
        """Samples from plain arrays, checked, with every problem told at once.

        Parameters
        ----------
        x : (N, T, F) number
        y : (N,) or (N, 1)
            Whole numbers from 0 on or texts found in ``class_names`` are classes, other numbers
            are to be predicted as they are.
        lengths : (N,) whole number, optional
            Steps that count, from the first on. Default: all.
        mask : (N, T) bool or 0 and 1, optional
            Which steps count; they must stand together at the begin, or at the end (padding in
            front), from where they are moved to the begin.
        groups : (N,) whole number or text, optional
        feature_names, class_names : sequence of str, optional
            Default ``feature_0 ...`` and ``class_0 ...``.
        times, ends : (N,) datetime64, ISO 8601 text or number, optional
            Numbers are seconds since 1970, what names no zone is UTC, parts of a second count as a
            whole one. Only samples with times have ``ends``.

        Raises
        ------
        DataError
            Shapes that do not fit, infinite numbers, labels below 0 or without a name, lengths
            outside 1 to T, a mask with holes, times that are none, ends before times.

        Examples
        --------
        >>> made = Sequences.of(
        ...     "s", np.ones((3, 4, 2)), np.array([0, 1, 1]), lengths=np.array([4, 2, 1])
        ... )
        >>> made.class_counts, made.x[1, :, 0].tolist()
        ({'class_0': 1, 'class_1': 2}, [1.0, 1.0, 0.0, 0.0])
        """
        problems: list[Problem] = []
        notes: list[str] = []
        if x.ndim != 3 or 0 in x.shape or x.dtype.kind not in "fiub":
            raise DataError(
                f"{name}: X has shape {x.shape} and type {x.dtype}",
                "numbers of shape (samples, time, features), at least one of each",
            )
        n, steps, features = x.shape
        with np.errstate(over="ignore"):  # what does not fit is not finite, and told as such
            values = np.array(x, dtype=np.float32, order="C")
        kept, values = _lengths(name, values, lengths, mask, problems, notes)
        if kept is not None:
            behind = np.arange(steps) >= kept[:, np.newaxis]
            values[behind] = 0.0
            values[np.isnan(values)] = np.nan  # one NaN for all, so that equal samples are equal
            _refuse_infinite(name, values, feature_names, problems)
        labels, classes = _labels(name, y, n, tuple(class_names), problems)
        told = tuple(feature_names) or tuple(f"feature_{k}" for k in range(features))
        if len(told) != features:
            problems.append(
                Problem(f"{name}: {len(told)} feature_names for {features} features", "one each")
            )
        ids = _groups(name, groups, n, problems)
        decided = _moments(name, "times", times, n, problems)
        known = _moments(name, "ends", ends, n, problems)
        _require_after(name, decided, known, problems)
        if problems or kept is None or labels is None:
            raise DataError.of(problems)
        return cls(name, values, labels, kept, ids, told, classes, tuple(notes), decided, known)

    @classmethod
    def joined(cls, training: Sequences, validation: Sequences) -> Sequences:
        """Samples of two files as one, each knowing its file, for the splitter ``given``.

        The shorter ones are padded behind. Features and classes must be the same ones.
        """
        steps = max(training.x.shape[1], validation.x.shape[1])
        x = [
            np.pad(part.x, ((0, 0), (0, steps - part.x.shape[1]), (0, 0)))
            for part in (training, validation)
        ]
        groups = None
        if training.groups is not None and validation.groups is not None:
            groups = np.concatenate([training.groups, validation.groups])
        return replace(
            training,
            x=np.concatenate(x),
            y=np.concatenate([training.y, validation.y]),
            lengths=np.concatenate([training.lengths, validation.lengths]),
            groups=groups,
            notes=(*training.notes, *validation.notes),
            # Two files have one clock only where their maker says so; samples of a split by file
            # are told apart by it.
            times=None,
            ends=None,
            sources=np.repeat(np.arange(2), [len(training), len(validation)]),
        )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classifies(self) -> bool:
        """Whether the samples have classes and not numbers."""
        return bool(self.class_names)

    @property
    def class_counts(self) -> dict[str, int]:
        """Samples of each class by its name; empty when ``y`` is a number."""
        if not self.classifies:
            return {}
        counts = np.bincount(self.y.astype(np.int64), minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(N, T), true where a step counts."""
        counts: NDArray[np.bool_] = np.arange(self.x.shape[1]) < self.lengths[:, np.newaxis]
        return counts

    def inputs(self, rows: Rows = slice(None)) -> tuple[NDArray[np.float32], Indices]:
        """Steps of the rows, (n, T, F), and how many of each count, (n,)."""
        return self.x[rows], self.lengths[rows]

    def truth(self, rows: Rows = slice(None)) -> NDArray[np.int64] | NDArray[np.float64]:
        """Classes or numbers of the rows, (n,)."""
        return self.y[rows]

    def samples(self) -> Samples:
        """What a splitter may know: times, groups, classes, and which rows are copies."""
        labels = self.y if self.classifies else None
        about: dict[str, Any] = {
            "groups": self.groups,
            "labels": labels,
            "contents": row_digests(self.x),
            "sources": self.sources,
        }
        if self.times is None:
            return Samples(np.arange(len(self), dtype=np.int64), **about)
        # A label of the sample itself is made of its last second, and shares it with no other time.
        starts = self.times - np.timedelta64(1, "s") if self.ends is None else self.times
        ends = self.times if self.ends is None else self.ends
        return Samples.timed(starts, ends, times=self.times, **about)

    def select(self, rows: Rows) -> Sequences:
        """The same features and classes with these samples."""
        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            lengths=self.lengths[rows],
            groups=None if self.groups is None else self.groups[rows],
            sources=None if self.sources is None else self.sources[rows],
            times=None if self.times is None else self.times[rows],
            ends=None if self.ends is None else self.ends[rows],
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that could change a number: names, order, lengths, values."""
        groups = None if self.groups is None else self.groups.tolist()
        head = canonical(
            [list(self.x.shape), self.feature_names, self.class_names, groups, str(self.y.dtype)]
        ).encode()
        parts: list[NDArray[Any]] = [self.lengths, self.y, self.x]
        parts += [part.view(np.int64) for part in (self.times, self.ends) if part is not None]
        parts += [] if self.sources is None else [self.sources]
        told = [np.ascontiguousarray(part).data.cast("B") for part in parts]
        if self.stats is not None:
            told.append(memoryview(canonical(self.stats.spec()).encode()))
        return digest_bytes(head, *told)


@dataclass(frozen=True, eq=False)
class Subset:
    """Some samples of sequences by their rows: one copy of the data, inputs and truth apart.

    Parameters
    ----------
    sequences : Sequences
    rows : (N,) int64
    """

    sequences: Sequences
    rows: Indices

    def __len__(self) -> int:
        return len(self.rows)

    def inputs(self, which: Rows = slice(None)) -> tuple[NDArray[np.float32], Indices]:
        """Steps of some of the samples, (n, T, F), and how many of each count, (n,)."""
        return self.sequences.inputs(self.rows[which])

    def truth(self, which: Rows = slice(None)) -> NDArray[np.int64] | NDArray[np.float64]:
        """Classes of some of the samples, (n,)."""
        return self.sequences.truth(self.rows[which])

    def marks(self) -> dict[str, Indices]:
        """Numbers that stand for the contents of the samples, and for their groups if any.

        Equal samples have equal numbers, whatever file they come from; each number is there once.
        """
        x, lengths = self.inputs()
        # Padding is no content: a sample is the same in a longer file.
        found = {"rows": np.array([_mark(row[:n]) for row, n in zip(x, lengths, strict=True)])}
        if self.sequences.groups is not None:
            names = np.unique(self.sequences.groups[self.rows])
            found["groups"] = np.array([_mark(name) for name in names])
        return {what: np.unique(numbers).astype(np.int64) for what, numbers in found.items()}

    def blind(self) -> Subset:
        """The same samples with every class -1: what a family is given to predict from."""
        return replace(
            self, sequences=replace(self.sequences, y=np.full_like(self.sequences.y, -1))
        )


def _mark(values: NDArray[Any] | np.str_) -> int:
    """Number of 63 bits for some content."""
    data = (
        np.ascontiguousarray(values).tobytes()
        if isinstance(values, np.ndarray)
        else values.encode()
    )
    return int(digest_bytes(data)[:16], 16) >> 1


def _lengths(
    name: str,
    values: NDArray[np.float32],
    lengths: NDArray[np.generic] | None,
    mask: NDArray[np.generic] | None,
    problems: list[Problem],
    notes: list[str],
) -> tuple[Indices | None, NDArray[np.float32]]:
    """Steps that count of each sample, and the values with those steps at the begin."""
    n, steps, _ = values.shape
    found: Indices | None = None
    if lengths is not None:
        found = _whole(lengths, (n,))
        bad: Indices | list[int] = (
            [] if found is None else np.flatnonzero((found < 1) | (found > steps))
        )
        if found is None or len(bad):
            what = (
                f"shape {lengths.shape} and type {lengths.dtype}"
                if found is None
                else f"{found[bad[0]]} for sample {bad[0]} ({len(bad)} such)"
            )
            problems.append(
                Problem(f"{name}: lengths has {what}", f"{n} whole numbers from 1 to {steps}")
            )
            return None, values
    if mask is None:
        return (np.full(n, steps, dtype=np.int64) if found is None else found), values
    shown = mask.reshape(n, steps) if mask.shape == (n, steps, 1) else mask
    if shown.shape != (n, steps) or not np.isin(shown, (0, 1)).all():
        problems.append(
            Problem(
                f"{name}: mask has shape {mask.shape} and type {mask.dtype}",
                f"({n}, {steps}) of true and false, or 0 and 1",
            )
        )
        return None, values
    counts = shown.astype(bool)
    of_mask = counts.sum(axis=1).astype(np.int64)
    at_begin = np.arange(steps) < of_mask[:, np.newaxis]
    at_end = np.arange(steps) >= steps - of_mask[:, np.newaxis]
    front = (counts == at_begin).all(axis=1)
    back = ~front & (counts == at_end).all(axis=1)
    holes = np.flatnonzero(~(front | back))
    empty = np.flatnonzero(of_mask == 0)
    differ: Indices | list[int] = [] if found is None else np.flatnonzero(found != of_mask)
    for rows, what, expected in (
        (holes, "has a hole", "steps that count standing together"),
        (empty, "has no step that counts", "at least one"),
        (differ, "and lengths differ", "one of them, or the same from both"),
    ):
        if len(rows):
            problems.append(
                Problem(f"{name}: mask {what} at sample {rows[0]} ({len(rows)} such)", expected)
            )
    if len(holes) or len(empty) or len(differ):
        return None, values
    if back.any():
        rows = np.flatnonzero(back)
        source = np.arange(steps) + (steps - of_mask[rows])[:, np.newaxis]
        values[rows] = np.take_along_axis(values[rows], source[:, :, np.newaxis] % steps, axis=1)
        notes.append(f"{len(rows)} samples had their padding in front; it stands behind them now")
    return of_mask, values


def _refuse_infinite(
    name: str, values: NDArray[np.float32], names: Sequence[str], problems: list[Problem]
) -> None:
    bad = np.argwhere(np.isinf(values))
    if len(bad):
        sample, step, feature = bad[0].tolist()
        told = f" ({names[feature]})" if feature < len(names) else ""
        problems.append(
            Problem(
                f"{name}: X is {values[sample, step, feature]} at sample {sample}, step {step}, "
                f"feature {feature}{told} ({len(bad)} such values)",
                "finite numbers, or NaN where a value is missing",
            )
        )


def _labels(
    name: str,
    y: NDArray[np.generic],
    n: int,
    class_names: tuple[str, ...],
    problems: list[Problem],
) -> tuple[NDArray[np.int64] | NDArray[np.float64] | None, tuple[str, ...]]:
    flat = y.reshape(n) if y.shape == (n, 1) else y
    if flat.shape != (n,):
        one_hot = y.ndim == 2 and len(y) == n and y.dtype.kind in "fiub"
        problems.append(
            Problem(
                f"{name}: y has shape {y.shape} for {n} samples",
                "one label or number a sample",
                "store y.argmax(axis=1) if these are one-hot labels" if one_hot else "",
            )
        )
        return None, ()
    if flat.dtype.kind in "US":
        return _named(name, flat.astype(np.str_), class_names, problems), class_names
    if flat.dtype.kind == "f" and not class_names:
        numbers = flat.astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            problems.append(
                Problem(
                    f"{name}: y is {numbers[bad[0]]} for sample {bad[0]} ({len(bad)} such)",
                    "finite numbers",
                )
            )
            return None, ()
        return numbers, ()
    labels = _whole(flat, (n,))
    if labels is None:
        problems.append(
            Problem(f"{name}: y has type {y.dtype}", "whole numbers, numbers, or names of classes")
        )
        return None, ()
    most = int(labels.max())
    names = class_names or tuple(f"class_{k}" for k in range(min(most, 10_000) + 1))
    bad = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if len(bad):
        problems.append(
            Problem(
                f"{name}: y is {labels[bad[0]]} for sample {bad[0]} ({len(bad)} such)",
                f"classes 0 to {len(names) - 1}"
                + (f" ({', '.join(names)})" if class_names else ""),
            )
        )
        return None, ()
    return labels, names


def _named(
    name: str, texts: NDArray[np.str_], class_names: tuple[str, ...], problems: list[Problem]
) -> NDArray[np.int64] | None:
    """Position of each text among the names: without them two files could number unlike."""
    found = np.unique(texts).tolist()
    unknown = [text for text in found if text not in class_names]
    if unknown:
        problems.append(
            Problem(
                f"{name}: y has the texts {', '.join(unknown[:5])}",
                f"class_names that list them (found: {', '.join(class_names) or 'none'})",
                "store class_names in the file, the same in every file",
            )
        )
        return None
    order = {text: place for place, text in enumerate(class_names)}
    return np.array([order[text] for text in texts.tolist()], dtype=np.int64)


def _groups(
    name: str, groups: NDArray[np.generic] | None, n: int, problems: list[Problem]
) -> NDArray[np.str_] | None:
    if groups is None:
        return None
    if groups.shape != (n,) or groups.dtype.kind not in "iuUSbM":
        problems.append(
            Problem(
                f"{name}: groups has shape {groups.shape} and type {groups.dtype}",
                f"{n} whole numbers or texts",
            )
        )
        return None
    return groups.astype(np.str_)


def _moments(
    name: str,
    what: str,
    given: NDArray[np.generic] | None,
    n: int,
    problems: list[Problem],
) -> Times | None:
    """Whole seconds of what was given as times; what is between two of them is the later one."""
    if given is None:
        return None
    expected = f"{n} datetime64, ISO 8601 texts, or seconds since 1970"
    if given.shape != (n,) or given.dtype.kind not in "MUSiuf":
        problem = f"{name}: {what} has shape {given.shape} and type {given.dtype}"
        problems.append(Problem(problem, expected))
        return None
    if given.dtype.kind == "M":
        found = given.astype("datetime64[s]")
        found += (found < given).astype("timedelta64[s]")
    elif given.dtype.kind in "US":
        found = np.array([_moment(text) for text in given.astype(np.str_).tolist()])
    else:
        seconds = given.astype(np.float64)
        # Later than the year 2200 they are milliseconds, or a mistake.
        possible = np.abs(seconds) <= _LATEST
        found = np.where(possible, np.ceil(seconds), 0).astype(np.int64).astype("datetime64[s]")
        found[~possible] = np.datetime64("NaT")
    bad = np.flatnonzero(np.isnat(found))
    if len(bad):
        told = f"{name}: {what} is {given[bad[0]]!s} for sample {bad[0]} ({len(bad)} such)"
        problems.append(Problem(told, expected))
        return None
    return found


def _moment(text: str) -> np.datetime64:
    """A text's moment in UTC, NaT where it is none."""
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return np.datetime64("NaT", "s")
    if found.tzinfo is not None:
        found = found.astimezone(dt.UTC).replace(tzinfo=None)
    whole = found.replace(microsecond=0)
    return np.datetime64(whole, "s") + np.timedelta64(int(found > whole), "s")


def _require_after(
    name: str, times: Times | None, ends: Times | None, problems: list[Problem]
) -> None:
    if ends is None:
        return
    if times is None:
        if not problems:
            problems.append(Problem(f"{name}: ends without times", "times of the samples too"))
        return
    bad = np.flatnonzero(ends <= times)
    if len(bad):
        problems.append(
            Problem(
                f"{name}: the label of sample {bad[0]} ends at {ends[bad[0]]}, the sample is of "
                f"{times[bad[0]]} ({len(bad)} such)",
                "ends after times",
                "leave ends out where labels tell of the samples themselves",
            )
        )


def _whole(values: NDArray[np.generic], shape: tuple[int, ...]) -> Indices | None:
    """The values as int64, None when they are not whole numbers of that shape."""
    if values.shape != shape or values.dtype.kind not in "fiub":
        return None
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        return None
    return values.astype(np.int64)
