"""Sequences: samples of several steps, each with a class or a number to predict."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Mask, Times
from podium.errors import DataError, Problems
from podium.feature_stats import FeatureStats
from podium.hashing import canonical, digest_bytes
from podium.samples import Samples, row_digests
from podium.timeframe import whole_seconds

Indices = NDArray[np.int64]
Rows = slice | Indices
# Seconds from 1970 to 2200.
_LATEST = 7_258_118_400


@dataclass(frozen=True, eq=False)
class Sequences:
    """Samples of at most T steps, padded with zeros after a sample's last step.

    Made by :meth:`of`, which validates all arrays.

    Parameters
    ----------
    name : str
        The dataset's name in podium.toml.
    x : (N, T, F) float32
        Steps in order of time; NaN where a value is missing, never infinite.
    y : (N,) int64 or float64
        Class of each sample, from 0, or the number to predict.
    lengths : (N,) int64
        Steps of each sample, 1 to T.
    groups : (N,) str, or None
        Patient, day or engine of each sample; training and validation never share a group.
    feature_names : tuple of str, length F
    class_names : tuple of str
        Empty when ``y`` is a number.
    notes : tuple of str
        Rearrangements of the reader; not part of the fingerprint.
    times : (N,) datetime64[s], or None
        Decision time of each sample, UTC; its last step is known by then.
    ends : (N,) datetime64[s], or None
        When each label is known, after its sample's time; None: a label describes its sample.
    sources : (N,) int64, or None
        File of each sample if two were joined: 0 trains, 1 validates.
    stats : FeatureStats, or None
        Scaling that belongs to the samples; None: families fit it on their training samples.
    lengths_given : bool
        Whether ``lengths`` or a mask came with the arrays; if not, every sample has T steps.
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
    lengths_given: bool = True

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
        """Samples from plain arrays; all problems are reported at once.

        Parameters
        ----------
        x : (N, T, F) number
        y : (N,) or (N, 1)
            Whole numbers from 0 or texts from ``class_names`` are classes, other numbers are
            values to predict.
        lengths : (N,) whole number, optional
            Valid steps, from the first on. Default: all.
        mask : (N, T) bool or 0 and 1, optional
            Valid steps. They must be contiguous at the begin or at the end (padding in front);
            steps at the end are moved to the begin.
        groups : (N,) whole number or text, optional
        feature_names, class_names : sequence of str, optional
            Default ``feature_0 ...`` and ``class_0 ...``.
        times, ends : (N,) datetime64, ISO 8601 text or number, optional
            Numbers are seconds since 1970, texts without a zone are UTC, fractions of a second are
            rounded up. ``ends`` need ``times``.

        Raises
        ------
        DataError
            Wrong shapes, infinite numbers, labels below 0 or without a name, lengths outside 1 to
            T, a mask with holes, invalid times, ends before times.

        Examples
        --------
        >>> made = Sequences.of(
        ...     "s", np.ones((3, 4, 2)), np.array([0, 1, 1]), lengths=np.array([4, 2, 1])
        ... )
        >>> made.class_counts, made.x[1, :, 0].tolist()
        ({'class_0': 1, 'class_1': 2}, [1.0, 1.0, 0.0, 0.0])
        """
        if x.ndim != 3 or 0 in x.shape or x.dtype.kind not in "fiub":
            raise DataError(
                f"{name}: X has {_kind(x)}",
                "numbers of shape (samples, time, features), at least one of each",
            )
        n, steps, features = x.shape
        check = _Check(name, n)
        with np.errstate(over="ignore"):  # overflow gives an infinity, which is refused below
            values = np.array(x, dtype=np.float32, order="C")
        valid_steps, values = check.lengths(values, lengths, mask)
        if valid_steps is not None:
            behind = np.arange(steps) >= valid_steps[:, np.newaxis]
            values[behind] = 0.0
            values[np.isnan(values)] = np.nan  # one bit pattern, so that equal samples are equal
            check.require_finite(values, feature_names)
        labels, classes = check.labels(y, tuple(class_names))
        columns = tuple(feature_names) or tuple(f"feature_{k}" for k in range(features))
        if len(columns) != features:
            check.add(f"{len(columns)} feature_names for {features} features", "one name each")
        ids = check.groups(groups)
        decided, known = check.moments("times", times), check.moments("ends", ends)
        check.require_after(decided, known)
        if check.problems or valid_steps is None or labels is None:
            raise DataError.of(check.problems)
        return cls(
            name,
            values,
            labels,
            valid_steps,
            ids,
            columns,
            classes,
            tuple(check.notes),
            decided,
            known,
            lengths_given=lengths is not None or mask is not None,
        )

    @classmethod
    def joined(cls, training: Sequences, validation: Sequences) -> Sequences:
        """Samples of two files as one, with the file of each sample, for the splitter ``given``.

        Shorter samples are padded. Features and classes must be equal.
        """
        steps = max(training.x.shape[1], validation.x.shape[1])
        parts = (training, validation)
        x = [np.pad(part.x, ((0, 0), (0, steps - part.x.shape[1]), (0, 0))) for part in parts]
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
            # Two files need not share a clock, and a split by file does not need times.
            times=None,
            ends=None,
            sources=np.repeat(np.arange(2), [len(training), len(validation)]),
            lengths_given=any(part.lengths_given for part in parts),
        )

    def trimmed(self) -> Sequences:
        """The same samples without steps of NaN after the last value, where no lengths were given.

        Raises
        ------
        DataError
            A sample has no value, or no NaN and ends with zeros or with a repeated step, as padding
            does.
        """
        if self.lengths_given:
            return self
        known = np.asarray(np.isfinite(self.x).any(axis=2))
        lengths = np.where(known.any(axis=1), self.x.shape[1] - known[:, ::-1].argmax(axis=1), 0)
        last = self.x[:, -1]
        repeats = (self.x[:, -2] == last).all(axis=1) if self.x.shape[1] > 1 else lengths < 0
        check = _Check(self.name, len(self))
        check.refuse(lengths == 0, "sample {row} has no value", "a value in every sample")
        check.refuse(
            repeats | (last == 0).all(axis=1),
            "sample {row} ends with padding, and no lengths are given",
            "the steps of each sample, since the model's training samples differ in length",
            "give lengths, or NaN after the last step of each sample",
        )
        DataError.raise_for(check.problems)
        x = self.x.copy()
        x[np.arange(x.shape[1]) >= lengths[:, np.newaxis]] = 0.0
        return replace(self, x=x, lengths=lengths.astype(np.int64), lengths_given=True)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classifies(self) -> bool:
        """Whether the samples have classes, not numbers."""
        return bool(self.class_names)

    @property
    def class_counts(self) -> dict[str, int]:
        """Number of samples of each class by its name; empty if ``y`` is a number."""
        if not self.classifies:
            return {}
        counts = np.bincount(self.y.astype(np.int64), minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Valid steps, (N, T) bool."""
        return np.arange(self.x.shape[1]) < self.lengths[:, np.newaxis]

    def inputs(self, rows: Rows = slice(None)) -> tuple[NDArray[np.float32], Indices]:
        """Steps of the rows, (n, T, F), and the number of valid ones, (n,)."""
        return self.x[rows], self.lengths[rows]

    def truth(self, rows: Rows = slice(None)) -> NDArray[np.int64] | NDArray[np.float64]:
        """Classes or numbers of the rows, (n,)."""
        return self.y[rows]

    def samples(self) -> Samples:
        """Samples for a splitter: times, groups, classes, and hashes that identify copies."""
        labels = self.y if self.classifies else None
        properties: dict[str, Any] = {
            "groups": self.groups,
            "labels": labels,
            "contents": row_digests(self.x),
            "sources": self.sources,
        }
        if self.times is None:
            return Samples(np.arange(len(self), dtype=np.int64), **properties)
        # A label of the sample itself covers its last second only.
        starts = self.times - np.timedelta64(1, "s") if self.ends is None else self.times
        ends = self.times if self.ends is None else self.ends
        return Samples.timed(starts, ends, times=self.times, **properties)

    def select(self, rows: Rows) -> Sequences:
        """Sequences with only these samples."""
        names = ("x", "y", "lengths", "groups", "sources", "times", "ends")
        parts = {name: getattr(self, name) for name in names}
        return replace(self, **{n: part[rows] for n, part in parts.items() if part is not None})

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that affects results: names, order, lengths, values."""
        groups = None if self.groups is None else self.groups.tolist()
        head = canonical(
            [list(self.x.shape), self.feature_names, self.class_names, groups, str(self.y.dtype)]
        ).encode()
        parts: list[NDArray[Any]] = [self.lengths, self.y, self.x]
        parts += [part.view(np.int64) for part in (self.times, self.ends) if part is not None]
        parts += [] if self.sources is None else [self.sources]
        buffers = [np.ascontiguousarray(part).data.cast("B") for part in parts]
        if self.stats is not None:
            buffers.append(memoryview(canonical(self.stats.spec()).encode()))
        return digest_bytes(head, *buffers)


@dataclass(frozen=True, eq=False)
class Subset:
    """Samples of sequences by their rows, without a copy of the data.

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
        """Steps of some of the samples, (n, T, F), and the number of valid ones, (n,)."""
        return self.sequences.inputs(self.rows[which])

    def truth(self, which: Rows = slice(None)) -> NDArray[np.int64] | NDArray[np.float64]:
        """Classes of some of the samples, (n,)."""
        return self.sequences.truth(self.rows[which])

    def marks(self) -> dict[str, Indices]:
        """Distinct hashes of the samples' contents, and of their groups if any.

        Equal samples have equal hashes in every file.
        """
        x, lengths = self.inputs()
        # Padding is not content: a sample is the same in a longer file.
        hashes = {"rows": np.array([_mark(row[:n]) for row, n in zip(x, lengths, strict=True)])}
        if self.sequences.groups is not None:
            names = np.unique(self.sequences.groups[self.rows])
            hashes["groups"] = np.array([_mark(name) for name in names])
        return {name: np.unique(values).astype(np.int64) for name, values in hashes.items()}

    def blind(self) -> Subset:
        """The same samples with every class -1, as input for predictions."""
        unknown = np.full_like(self.sequences.y, -1)
        return replace(self, sequences=replace(self.sequences, y=unknown))


def _mark(values: NDArray[Any] | np.str_) -> int:
    """Hash of 63 bits."""
    data = values.encode() if isinstance(values, str) else values.tobytes()
    return int(digest_bytes(data)[:16], 16) >> 1


class _Check:
    """Checks the arrays of ``n`` samples; collects problems and notes on rearrangements."""

    def __init__(self, name: str, n: int) -> None:
        self.name, self.n = name, n
        self.problems = Problems()
        self.notes: list[str] = []

    def add(self, found: str, expected: str, fix: str = "") -> None:
        self.problems.add(f"{self.name}: {found}", expected, fix)

    def refuse(self, bad: Mask, found: str, expected: str, fix: str = "", **values: Any) -> bool:
        """Add a problem for the bad samples; ``found`` formats the first one and its values."""
        rows = np.flatnonzero(bad)
        if len(rows):
            row = rows[0]
            first = found.format(row=row, **{name: of[row] for name, of in values.items()})
            self.add(f"{first} ({len(rows)} such)", expected, fix)
        return len(rows) > 0

    def lengths(
        self,
        values: NDArray[np.float32],
        lengths: NDArray[np.generic] | None,
        mask: NDArray[np.generic] | None,
    ) -> tuple[Indices | None, NDArray[np.float32]]:
        """Number of valid steps of each sample, and the values with those steps at the begin."""
        steps = values.shape[1]
        expected = f"{self.n} whole numbers from 1 to {steps}"
        valid = None if lengths is None else _whole(lengths, (self.n,))
        if valid is not None:
            outside = (valid < 1) | (valid > steps)
            if self.refuse(outside, "lengths has {value} for sample {row}", expected, value=valid):
                return None, values
        elif lengths is not None:
            self.add(f"lengths has {_kind(lengths)}", expected)
            return None, values
        if mask is None:
            return (np.full(self.n, steps, dtype=np.int64) if valid is None else valid), values
        return self._masked(values, mask, valid)

    def _masked(
        self, values: NDArray[np.float32], mask: NDArray[np.generic], lengths: Indices | None
    ) -> tuple[Indices | None, NDArray[np.float32]]:
        steps = values.shape[1]
        shape = (self.n, steps)
        shown = mask.reshape(shape) if mask.shape == (*shape, 1) else mask
        if shown.shape != shape or not np.isin(shown, (0, 1)).all():
            self.add(f"mask has {_kind(mask)}", f"{shape} of bool, or 0 and 1")
            return None, values
        counts = shown.astype(bool)
        of_mask = counts.sum(axis=1).astype(np.int64)
        at_begin = np.arange(steps) < of_mask[:, np.newaxis]
        at_end = np.arange(steps) >= steps - of_mask[:, np.newaxis]
        front = (counts == at_begin).all(axis=1)
        back = ~front & (counts == at_end).all(axis=1)
        differ = of_mask != (of_mask if lengths is None else lengths)
        wrong = [
            self.refuse(bad, f"mask {what} at sample {{row}}", expected)
            for bad, what, expected in (
                (~(front | back), "has a hole", "contiguous steps"),
                (of_mask == 0, "has no valid step", "at least one"),
                (differ, "and lengths differ", "one of them, or equal values"),
            )
        ]
        if any(wrong):
            return None, values
        if back.any():
            rows = np.flatnonzero(back)
            source = np.arange(steps) + (steps - of_mask[rows])[:, np.newaxis]
            moved = source[:, :, np.newaxis] % steps
            values[rows] = np.take_along_axis(values[rows], moved, axis=1)
            self.notes.append(f"{len(rows)} samples had padding in front; it was moved behind them")
        return of_mask, values

    def require_finite(self, values: NDArray[np.float32], names: Sequence[str]) -> None:
        bad = np.argwhere(np.isinf(values))
        if len(bad):
            sample, step, feature = bad[0].tolist()
            named = f" ({names[feature]})" if feature < len(names) else ""
            self.add(
                f"X is {values[sample, step, feature]} at sample {sample}, step {step}, "
                f"feature {feature}{named} ({len(bad)} such values)",
                "finite numbers, or NaN where a value is missing",
            )

    def labels(
        self, y: NDArray[np.generic], class_names: tuple[str, ...]
    ) -> tuple[NDArray[np.int64] | NDArray[np.float64] | None, tuple[str, ...]]:
        """Labels as class numbers or values, and the names of the classes."""
        n = self.n
        flat = y.reshape(n) if y.shape == (n, 1) else y
        if flat.shape != (n,):
            one_hot = y.ndim == 2 and len(y) == n and y.dtype.kind in "fiub"
            self.add(
                f"y has shape {y.shape} for {n} samples",
                "one label or number per sample",
                "store y.argmax(axis=1) if these are one-hot labels" if one_hot else "",
            )
            return None, ()
        if flat.dtype.kind in "US":
            return self._named(flat.astype(np.str_), class_names), class_names
        message = "y is {value} for sample {row}"
        if flat.dtype.kind == "f" and not class_names:
            numbers = flat.astype(np.float64)
            bad = self.refuse(~np.isfinite(numbers), message, "finite numbers", value=numbers)
            return (None if bad else numbers), ()
        labels = _whole(flat, (n,))
        if labels is None:
            self.add(f"y has type {y.dtype}", "whole numbers, numbers, or names of classes")
            return None, ()
        most = int(labels.max())
        names = class_names or tuple(f"class_{k}" for k in range(min(most, 10_000) + 1))
        listed = f" ({', '.join(names)})" if class_names else ""
        unknown = (labels < 0) | (labels >= len(names))
        if self.refuse(unknown, message, f"classes 0 to {len(names) - 1}{listed}", value=labels):
            return None, ()
        return labels, names

    def _named(self, texts: NDArray[np.str_], class_names: tuple[str, ...]) -> Indices | None:
        """Position of each text in the names, which give every file the same numbers."""
        unknown = [text for text in np.unique(texts).tolist() if text not in class_names]
        if unknown:
            self.add(
                f"y has the texts {', '.join(unknown[:5])}",
                f"class_names with these texts (found: {', '.join(class_names) or 'none'})",
                "store the same class_names in every file",
            )
            return None
        order = {text: place for place, text in enumerate(class_names)}
        return np.array([order[text] for text in texts.tolist()], dtype=np.int64)

    def groups(self, groups: NDArray[np.generic] | None) -> NDArray[np.str_] | None:
        if groups is None:
            return None
        if groups.shape != (self.n,) or groups.dtype.kind not in "iuUSbM":
            self.add(f"groups has {_kind(groups)}", f"{self.n} whole numbers or texts")
            return None
        return groups.astype(np.str_)

    def moments(self, what: str, given: NDArray[np.generic] | None) -> Times | None:
        """Times in whole seconds, rounded up."""
        if given is None:
            return None
        expected = f"{self.n} datetime64, ISO 8601 texts, or seconds since 1970"
        if given.shape != (self.n,) or given.dtype.kind not in "MUSiuf":
            self.add(f"{what} has {_kind(given)}", expected)
            return None
        if given.dtype.kind == "M":
            times = whole_seconds(given)
        elif given.dtype.kind in "US":
            times = np.array([_moment(text) for text in given.astype(np.str_).tolist()])
        else:
            seconds = given.astype(np.float64)
            # Values beyond the year 2200 are milliseconds, or a mistake.
            possible = np.abs(seconds) <= _LATEST
            times = np.where(possible, np.ceil(seconds), 0).astype(np.int64).astype("datetime64[s]")
            times[~possible] = np.datetime64("NaT")
        is_bad = f"{what} is {{value}} for sample {{row}}"
        return None if self.refuse(np.isnat(times), is_bad, expected, value=given) else times

    def require_after(self, times: Times | None, ends: Times | None) -> None:
        if times is not None and ends is not None:
            self.refuse(
                ends <= times,
                "the label of sample {row} ends at {end}, the time of the sample is {time}",
                "ends after times",
                "leave ends out if labels describe the samples themselves",
                end=ends,
                time=times,
            )
        elif ends is not None and not self.problems:
            self.add("ends without times", "times of the samples")


def _kind(array: NDArray[Any]) -> str:
    return f"shape {array.shape} and type {array.dtype}"


def _moment(text: str) -> np.datetime64:
    """Time of a text in UTC; NaT if it is not a time."""
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return np.datetime64("NaT", "s")
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    whole = moment.replace(microsecond=0)
    return np.datetime64(whole, "s") + np.timedelta64(int(moment > whole), "s")


def _whole(values: NDArray[np.generic], shape: tuple[int, ...]) -> Indices | None:
    """The values as int64; None if they are not whole numbers of that shape."""
    if values.shape != shape or values.dtype.kind not in "fiub":
        return None
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        return None
    return values.astype(np.int64)
