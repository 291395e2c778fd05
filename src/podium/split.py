"""Split: which bars train and which validate; Windows: samples by index into one copy of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from podium.dataset import Floats, Times
from podium.errors import DataError
from podium.hashing import digest
from podium.view import View

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Windows:
    """Samples of a view: for row ``n``, ticker ``item[n]`` decided at bar ``at[n]``.

    Inputs and truth are separate calls, so that leaking needs intent. Nothing is copied until
    :meth:`inputs` gathers the rows asked for.
    """

    view: View
    item: Indices
    at: Indices

    @classmethod
    def of(cls, view: View, bars: Indices) -> Windows:
        """Windows of every ticker at these decision bars, ordered by bar, then ticker."""
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
        """Feature windows of the rows, (n, L, F) float32; gathers just these."""
        start = self.at[rows] - self.view.window + 1
        return self._stacked[start, self.item[rows]].swapaxes(1, 2)

    def truth(self, rows: slice | Indices = slice(None)) -> Floats:
        """Targets of the rows, (n,) float; NaN where not known (yet)."""
        return self.view.target[self.at[rows], self.item[rows]]

    @property
    def tickers(self) -> NDArray[np.str_]:
        """Ticker of each row, (N,)."""
        return np.asarray(self.view.tickers)[self.item]

    @property
    def decided_at(self) -> Times:
        """Time of each row's decision, (N,)."""
        return self.view.times[self.at]

    def blind(self) -> Windows:
        """The same windows over a view without targets."""
        return Windows(self.view.blind(), self.item, self.at)


@dataclass(frozen=True, eq=False)
class Fold:
    """Decision bars that train and decision bars that validate; labels never overlap."""

    number: int
    train: Indices
    validation: Indices

    def windows(self, view: View) -> tuple[Windows, Windows]:
        """Training and validation windows of this fold."""
        return Windows.of(view, self.train), Windows.of(view, self.validation)


@dataclass(frozen=True, eq=False)
class Split:
    """A splitter's name, its parameters and the folds they gave for a view.

    The hash names the exact decision times, so two splits are the same exactly when they train and
    validate on the same bars.
    """

    name: str
    parameters: dict[str, float]
    folds: tuple[Fold, ...]
    times: Times
    horizon: int

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the splitter, its parameters, the horizon and the times of every fold."""
        seconds = self.times.astype("datetime64[s]").astype("int64")
        bounds = [[seconds[f.train].tolist(), seconds[f.validation].tolist()] for f in self.folds]
        return digest([self.name, self.parameters, self.horizon, bounds])

    def validation_interval(self) -> tuple[str, str]:
        """First and last validation decision over all folds, ISO 8601."""
        bars = np.concatenate([fold.validation for fold in self.folds])
        return str(self.times[bars.min()]), str(self.times[bars.max()])

    def spec(self) -> dict[str, object]:
        """JSON description: bounds and sizes of each fold."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "horizon": self.horizon,
            "folds": [
                {
                    "fold": f.number,
                    "train": self._bounds(f.train),
                    "validation": self._bounds(f.validation),
                    "n_train": len(f.train),
                    "n_validation": len(f.validation),
                }
                for f in self.folds
            ],
        }

    def _bounds(self, bars: Indices) -> list[str]:
        return [str(self.times[bars[0]]), str(self.times[bars[-1]])] if len(bars) else []


def purged(train: Indices, validation: Indices, horizon: int) -> Indices:
    """Training bars whose label span does not meet the validation's.

    A label decided at ``t`` is made of bars ``t + 1 .. t + horizon``. Kept are the training bars
    whose label ends by the first validation decision (it is then known when the first validation
    decision is made) and those decided after the last validation label has ended.

    Parameters
    ----------
    train, validation : (n,), (m,) int
        Decision bars.
    horizon : int, >= 1
        Length of a label in bars.

    Examples
    --------
    >>> purged(np.arange(10), np.arange(8, 12), horizon=3)
    array([0, 1, 2, 3, 4, 5])
    """
    before = train + horizon <= validation.min()
    after = train >= validation.max() + horizon
    kept: Indices = train[before | after]
    return kept


def require_folds(folds: Sequence[Fold], minimum: int) -> None:
    """Refuse folds that are too small to mean anything, saying how many bars are missing.

    Raises
    ------
    DataError
        A fold trains or validates on fewer than ``minimum`` bars.
    """
    for fold in folds:
        for part, bars in (("training", fold.train), ("validation", fold.validation)):
            if len(bars) < minimum:
                raise DataError(
                    f"fold {fold.number} has {len(bars)} {part} bars",
                    f"at least {minimum}, so {minimum - len(bars)} more",
                    "use more bars, fewer folds, a shorter window or a later test_from",
                )
