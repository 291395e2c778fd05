"""Split: folds of training and validation samples; Windows: samples that index one view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from podium.arrays import Floats, Mask, Times
from podium.errors import DataError
from podium.hashing import digest
from podium.samples import Indices as Indices
from podium.samples import Samples, overlapping
from podium.sequences import Sequences, Subset
from podium.view import View


@dataclass(frozen=True, eq=False)
class Windows:
    """Samples of a view: row ``n`` is ticker ``item[n]`` decided at bar ``at[n]``.

    Inputs and truth are separate calls, which prevents accidental leaks. Only :meth:`inputs` copies
    data, for the given rows.
    """

    view: View
    item: Indices
    at: Indices

    @classmethod
    def of(cls, view: View, bars: Indices) -> Windows:
        """Windows of every ticker at these decision bars, ordered by bar, then ticker.

        In a view with members, only the usable ones.
        """
        if view.members is not None:
            bars = np.asarray(bars, dtype=np.int64)
            row, item = np.nonzero(view.usable[bars])
            return cls(view, item.astype(np.int64), bars[row])
        n_tickers = len(view.tickers)
        item = np.tile(np.arange(n_tickers, dtype=np.int64), len(bars))
        return cls(view, item, np.repeat(np.asarray(bars, dtype=np.int64), n_tickers))

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def _stacked(self) -> NDArray[np.float32]:
        # (T - L + 1, S, F, L): a view into the features, no copy.
        return sliding_window_view(self.view.features, self.view.window, axis=0)

    def inputs(self, rows: slice | Indices = slice(None)) -> NDArray[np.float32]:
        """Feature windows of the rows, (n, L, F) float32."""
        start = self.at[rows] - self.view.window + 1
        return self._stacked[start, self.item[rows]].swapaxes(1, 2)

    def truth(self, rows: slice | Indices = slice(None)) -> Floats:
        """Targets of the rows, (n,) float; NaN where unknown."""
        return self.view.target[self.at[rows], self.item[rows]]

    def at_step(self, step: int) -> Windows:
        """The same windows with the target ``step`` bars ahead."""
        return Windows(self.view.at_step(step), self.item, self.at)

    def outcomes(self) -> Floats:
        """Targets (N,), or for paths (N, H) of every step; NaN where unknown."""
        if not self.view.path:
            return self.truth()
        steps = range(1, self.view.horizon + 1)
        return np.stack([self.at_step(step).truth() for step in steps], axis=1)

    def labelled(self) -> Windows:
        """The windows with a known label; all of them if every ticker has every bar."""
        if self.view.members is None:
            return self
        return self.take(np.isfinite(self.truth()))

    def take(self, rows: Mask | Indices) -> Windows:
        """Some of the windows, in the order of the rows."""
        return Windows(self.view, self.item[rows], self.at[rows])

    @property
    def tickers(self) -> NDArray[np.str_]:
        """Ticker of each row, (N,)."""
        return np.asarray(self.view.tickers)[self.item]

    @property
    def decided_at(self) -> Times:
        """Time of each row's decision, (N,)."""
        return self.view.times[self.at]

    @property
    def target_end(self) -> Times:
        """Time at which each row's target ends, (N,) datetime64[s]; NaT where unknown.

        It is the close of the bar ``horizon`` bars after the decision, or of the ticker's last bar
        if that is earlier. It is NaT where the data end before the horizon, and at a ticker's last
        bar.
        """
        end = self.at + self.view.horizon
        known = end < len(self.view)
        if self.view.last_bars is not None:
            last = self.view.last_bars[self.item]
            known &= self.at < last
            end = np.minimum(end, last)
        ends: Times = np.full(len(self), "NaT", dtype="datetime64[s]")
        ends[known] = self.view.times[end[known]]
        return ends

    def blind(self) -> Windows:
        """The same windows over a view without targets."""
        return Windows(self.view.blind(), self.item, self.at)


@dataclass(frozen=True, eq=False)
class Fold:
    """Training and validation samples; their labels never overlap.

    In a view a sample is a decision bar, in sequences a row.
    """

    number: int
    train: Indices
    validation: Indices

    def windows(self, view: View) -> tuple[Windows, Windows]:
        """Training and validation windows of this fold."""
        train, validation = (Windows.of(view, bars) for bars in (self.train, self.validation))
        return train.labelled(), validation.labelled()

    def subsets(self, sequences: Sequences) -> tuple[Subset, Subset]:
        """Training and validation samples of this fold."""
        return Subset(sequences, self.train), Subset(sequences, self.validation)


class Piece(NamedTuple):
    """Validation samples of one fold in a path.

    Parameters
    ----------
    fold : int
    samples : (n,) int
        Some of the fold's validation samples, or all.
    """

    fold: int
    samples: Indices


@dataclass(frozen=True, eq=False)
class Split:
    """Folds with the name and the parameters of their splitter.

    The hash covers the exact samples: two splits are equal exactly if they train and validate on
    the same samples.

    Parameters
    ----------
    times : (M,) datetime64, or None
        Times of the sample numbers in folds; None if the samples have no times.
    horizon : int
        Bars of every label; 0 if labels have individual ends, see ``samples``.
    samples : Samples, optional
        The samples that were split. None: bars whose labels are ``horizon`` long.
    paths : tuple of paths
        Each path combines validation pieces of several folds so that it contains every sample
        exactly once; no two paths share a piece. Empty if the folds need not cover every sample.
    """

    name: str
    parameters: Mapping[str, float | str]
    folds: tuple[Fold, ...]
    times: Times | None
    horizon: int
    samples: Samples | None = None
    paths: tuple[tuple[Piece, ...], ...] = ()

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the splitter, its parameters, the horizon and the samples of every fold.

        Bars count by their times, rows by number, group and label span.
        """
        if self.horizon and self.times is not None:
            seconds = self.times.astype("datetime64[s]").astype("int64")
            bounds = [[seconds[n].tolist() for n in (f.train, f.validation)] for f in self.folds]
            return digest([self.name, self.parameters, self.horizon, bounds])
        rows = [[f.train.tolist(), f.validation.tolist()] for f in self.folds]
        return digest([self.name, self.parameters, rows, self._known()])

    def _known(self) -> dict[str, object]:
        """Properties of the samples for the hash, as JSON."""
        properties: dict[str, object] = {}
        if self.times is not None:
            properties["times"] = self.times.astype("datetime64[s]").astype("int64").tolist()
        for name in ("index", "starts", "ends", "groups", "sources"):
            values = getattr(self.samples, name, None)
            if values is not None:
                properties[name] = [str(v) for v in values.tolist()]
        return properties

    def validation_interval(self) -> tuple[str, str]:
        """First and last validation decision over all folds, ISO 8601; empty if there is none."""
        if self.times is None or not any(len(fold.validation) for fold in self.folds):
            return "", ""
        times = self.times[np.concatenate([fold.validation for fold in self.folds])]
        return str(times.min()), str(times.max())

    @property
    def ordered(self) -> bool:
        """Whether every fold trains only on samples that start before its validation samples."""
        if self.samples is not None and self.samples.starts is None:
            return False

        def starts(numbers: Indices) -> Indices:
            if self.samples is None or self.samples.starts is None:
                return numbers
            return self.samples.starts[np.searchsorted(self.samples.index, numbers)]

        folds = [fold for fold in self.folds if len(fold.train) and len(fold.validation)]
        return all(starts(f.train).max() < starts(f.validation).min() for f in folds)

    def along(self, path: int, by_fold: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Values of one path in its order, from the values of every fold's validation samples.

        Parameters
        ----------
        path : int
            Position in ``paths``.
        by_fold : sequence of (n, ...) arrays
            ``by_fold[f][i]`` belongs to ``folds[f].validation[i]``: losses, forecasts, returns.

        Returns
        -------
        (N, ...) array
            One row per sample.
        """
        parts = [
            np.asarray(by_fold[fold])[np.searchsorted(self.folds[fold].validation, samples)]
            for fold, samples in self.paths[path]
        ]
        return np.concatenate(parts)

    def spec(self) -> dict[str, object]:
        """JSON description: bounds and sizes of each fold, and the folds of each path."""
        described: dict[str, object] = {
            "name": self.name,
            "parameters": dict(self.parameters),
            "horizon": self.horizon,
            "folds": [
                {
                    "fold": f.number,
                    "train": self._bounds(f.train),
                    "validation": self._bounds(f.validation),
                    "n_train": len(f.train),
                    "n_validation": len(f.validation),
                    **self._grouped(f),
                }
                for f in self.folds
            ],
        }
        if self.paths:
            described["paths"] = [[piece.fold for piece in path] for path in self.paths]
        return described

    def _bounds(self, numbers: Indices) -> list[str]:
        if not len(numbers):
            return []
        if self.times is None:
            return [str(numbers[0]), str(numbers[-1])]
        times = self.times[numbers]
        return [str(times.min()), str(times.max())]

    def _grouped(self, fold: Fold) -> dict[str, list[str]]:
        """Names of the groups that a fold validates."""
        if self.samples is None or self.samples.groups is None:
            return {}
        rows = np.searchsorted(self.samples.index, fold.validation)
        return {"validation_groups": [str(g) for g in np.unique(self.samples.groups[rows])]}


def purged(
    train: Indices,
    validation: Indices,
    labels: int | Indices,
    *,
    starts: Indices | None = None,
    embargo: int = 0,
) -> Indices:
    """Training samples whose label overlaps with no validation label.

    A training sample remains if, for every validation sample, one label ends before the other
    starts. With an embargo, training also waits ``embargo`` positions after the end of every
    validation label.

    Parameters
    ----------
    train, validation : (n,), (m,) int
        Numbers of samples: decision bars.
    labels : int, >= 1, or (N,) int
        Length of every label, which covers the bars ``t + 1 .. t + labels`` after a decision at
        ``t``; or the end of each label: that of sample ``i`` covers the positions after its start
        up to ``labels[i]``.
    starts : (N,) int, optional
        Start of each sample's label; default: the sample's number.
    embargo : int, >= 0

    Examples
    --------
    >>> purged(np.arange(10), np.arange(8, 12), 3)
    array([0, 1, 2, 3, 4, 5])
    >>> purged(np.arange(4), np.array([2]), np.array([1, 5, 3, 4]))
    array([0, 3])
    >>> purged(np.arange(9), np.array([2, 3]), 1, embargo=2)
    array([0, 1, 6, 7, 8])
    """

    def spans(numbers: Indices) -> tuple[Indices, Indices]:
        begin = numbers if starts is None else starts[numbers]
        return begin, begin + labels if isinstance(labels, int | np.integer) else labels[numbers]

    start, end = spans(validation)
    # An embargo acts like a longer label: it delays later training, and not earlier training.
    return train[~overlapping(*spans(train), start, end + embargo)]


def require_folds(folds: Sequence[Fold], minimum: int, unit: str = "bars") -> None:
    """Refuse folds with too few samples.

    Raises
    ------
    DataError
        A fold trains or validates on fewer than ``minimum`` bars.
    """
    for fold in folds:
        for part, numbers in (("training", fold.train), ("validation", fold.validation)):
            if len(numbers) < minimum:
                raise DataError(
                    f"fold {fold.number} has {len(numbers)} {part} {unit}",
                    f"at least {minimum}, so {minimum - len(numbers)} more",
                    "use more bars, fewer folds, a shorter window or a later test_from",
                )
