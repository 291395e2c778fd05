"""Prediction: the common input of metrics, backtests and bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats, Mask, Times
from podium.errors import DataError, Problems
from podium.index import Index
from podium.sequences import Indices, Subset
from podium.split import Windows

Form = Literal["mean", "quantiles", "positions"]

# First stored value of a form; means have no such code.
_CODES: dict[Form, float] = {"quantiles": 1.0, "positions": 2.0}
# First stored value of paths; the number of steps and the values of one step after another follow.
_PATH = 3.0
# Decimals of a level; float32, the type of stored values, can represent them.
_DECIMALS = 6
# Attributes with one row per window.
_BY_WINDOW = ("item", "decided_at", "target_end", "outputs")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Means, quantiles or positions of windows, with their index.

    Parameters
    ----------
    item : (N,) str
        Ticker.
    decided_at : (N,) datetime64[s]
        Close of the bar the prediction was made at, UTC.
    target_end : (N,) datetime64[s]
        Close of the bar at which the target ends, UTC: ``horizon`` bars after the decision, or the
        ticker's last bar if that is earlier. NaT where the data end before it, so that the
        outcome is unknown, and at the last bar of a ticker, which has no outcome.
    outputs : (N,), (N, Q), (N, H) or (N, H, Q) float
        Depends on ``form``. Means (N,) in the target's unit, NaN for no forecast; quantiles
        (N, Q) in the target's unit, finite, not decreasing; positions (N,), the target weight of
        the ticker as a fraction of the equity, from -1 (short) to 1 (long). Means and quantiles
        may be paths, with the H horizons from 1 bar to the slot's on the second axis.
    form : {"mean", "quantiles", "positions"}
    levels : tuple of float, length Q
        Levels of the quantiles, increasing, between 0 and 1, rounded to six decimals. Empty for
        other forms.

    Raises
    ------
    DataError
        Lengths, levels or outputs are invalid; lists every problem.

    See Also
    --------
    ClassPrediction : probabilities of classes.
    """

    item: NDArray[np.str_]
    decided_at: Times
    target_end: Times
    outputs: Floats
    form: Form = "mean"
    levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        levels = tuple(round(float(level), _DECIMALS) for level in self.levels)
        object.__setattr__(self, "levels", levels)
        problems = Problems()
        self._check_shapes(problems)
        self._check_levels(problems)
        if not problems:
            self._check_outputs(problems)
        DataError.raise_for(problems)

    @classmethod
    def of(
        cls, windows: Windows, outputs: Floats, form: Form = "mean", levels: Sequence[float] = ()
    ) -> Self:
        """Prediction of these windows, in their order.

        Parameters
        ----------
        windows : Windows
        outputs : array
            Means in the target's unit, NaN for no forecast; or as ``form`` requires.
        """
        values = np.asarray(outputs, dtype=np.float64)
        index = (windows.tickers, windows.decided_at, windows.target_end)
        return cls(*index, values, form, tuple(levels))

    @classmethod
    def of_quantiles(cls, windows: Windows, quantiles: Floats, levels: Sequence[float]) -> Self:
        """Quantiles of these windows, in their order.

        Parameters
        ----------
        windows : Windows
        quantiles : (N, Q) or (N, H, Q) float
            In the target's unit; column ``q`` belongs to ``levels[q]``.
        levels : sequence of float, length Q
            Increasing, between 0 and 1.

        Raises
        ------
        DataError
            Quantiles cross or are not finite, or levels are invalid.
        """
        return cls.of(windows, quantiles, "quantiles", levels)

    @classmethod
    def of_positions(cls, windows: Windows, positions: Floats) -> Prediction:
        """Positions decided in these windows, in their order.

        Parameters
        ----------
        windows : Windows
        positions : (N,) float
            Target weights as a fraction of the equity, from -1 to 1.

        Raises
        ------
        DataError
            A position is out of bounds.
        """
        return cls.of(windows, positions, "positions")

    @classmethod
    def read(cls, values: NDArray[np.floating], index: Index, tickers: tuple[str, ...]) -> Self:
        """Prediction from stored :attr:`values`.

        Parameters
        ----------
        values : (M,) float
            As stored in the record; float32 gives the prediction rounded to float32.
        index : Index
            Index of the N windows.
        tickers : tuple of str
            Tickers of the dataset, which the index refers to by number.

        Raises
        ------
        DataError
            The number of values does not fit the index.
        """
        form, levels, outputs = _parsed(np.asarray(values, dtype=np.float64), len(index))
        return cls(index.names(tickers), index.decided_at, index.target_end, outputs, form, levels)

    @classmethod
    def joined(cls, parts: Sequence[Prediction]) -> Prediction:
        """Concatenation of predictions with one form and the same levels.

        Raises
        ------
        DataError
            Forms or levels differ.
        """
        _require_alike(parts)
        columns: dict[str, Any] = {
            n: np.concatenate([getattr(part, n) for part in parts]) for n in _BY_WINDOW
        }
        return replace(parts[0], **columns)

    @classmethod
    def averaged(cls, members: Sequence[Prediction]) -> Prediction:
        """Mean of several models' predictions of the same windows, quantiles level by level.

        Raises
        ------
        DataError
            Forms or levels differ.
        """
        _require_alike(members)
        return replace(members[0], outputs=np.mean([one.outputs for one in members], axis=0))

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def mean(self) -> Floats:
        """Point forecast of each window, (N,), in the target's unit; of a path its last step.

        Of quantiles it is the median: the quantile of level 0.5, or a straight line between the
        quantiles of the two levels around 0.5.

        Raises
        ------
        DataError
            The prediction holds positions, or all its levels are on one side of 0.5.
        """
        means = self.path
        return means[:, -1] if means.ndim == 2 else means

    @property
    def steps(self) -> int:
        """Number of horizons of a path; 1 without one."""
        return self.outputs.shape[1] if self.is_path else 1

    @property
    def is_path(self) -> bool:
        """Whether the outputs are paths over several horizons."""
        return self.outputs.ndim == 2 + (self.form == "quantiles")

    @property
    def path(self) -> Floats:
        """Point forecasts of every horizon, (N, H); as :attr:`mean`, (N,), without a path."""
        if self.form == "mean":
            return self.outputs
        if self.form == "positions":
            raise DataError(
                "the prediction holds positions, which are not point forecasts",
                "means or quantiles, for a metric of point forecasts",
            )
        above = int(np.searchsorted(self.levels, 0.5))
        if above < len(self.levels) and self.levels[above] == 0.5:
            return self.outputs[..., above]
        if above in (0, len(self.levels)):
            raise DataError(
                f"the prediction has quantiles of {_listed(self.levels)}",
                "levels on both sides of 0.5, for a metric of point forecasts",
            )
        low, high = self.levels[above - 1], self.levels[above]
        share = (0.5 - low) / (high - low)
        return (1 - share) * self.outputs[..., above - 1] + share * self.outputs[..., above]

    @property
    def values(self) -> Floats:
        """One-dimensional values for the record; :meth:`read` restores the prediction.

        Returns
        -------
        (M,) float
            Means: the N means. Quantiles: 1, Q, the Q levels, then the quantiles row by row.
            Positions: 2, then the N positions. Paths: 3, H, then the values as of N x H windows.
            N is known from the index, so the length of the array identifies the form.
        """
        if self.form == "mean" and not self.is_path:
            return self.outputs
        head = [_PATH, float(self.steps)] if self.is_path else []
        head += [_CODES[self.form]] if self.form != "mean" else []
        if self.form == "quantiles":
            head += [float(len(self.levels)), *self.levels]
        return np.concatenate([head, self.outputs.ravel()])

    def take(self, rows: Mask | Indices) -> Prediction:
        """Prediction of some of the windows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _BY_WINDOW})

    def grid(self, times: Times, tickers: tuple[str, ...]) -> Floats:
        """Point forecasts as (T, S), aligned by time and name; NaN where there is none.

        Raises
        ------
        DataError
            The prediction has no point forecasts; see :attr:`mean`.
        """
        mean = self.mean
        result = np.full((len(times), len(tickers)), np.nan)
        row = np.searchsorted(times, self.decided_at)
        inside = (row < len(times)) & (times[np.minimum(row, len(times) - 1)] == self.decided_at)
        column = np.array([tickers.index(t) if t in tickers else -1 for t in self.item.tolist()])
        keep = inside & (column >= 0)
        result[row[keep], column[keep]] = mean[keep]
        return result

    def on(self, windows: Windows) -> Floats:
        """Point forecasts of the windows, (N,), aligned by time and name; NaN for no forecast."""
        return self.grid(windows.view.times, windows.view.tickers)[windows.at, windows.item]

    def _check_shapes(self, problems: Problems) -> None:
        if self.form not in ("mean", *_CODES):
            problems.add(f"a prediction has form '{self.form}'", "mean, quantiles or positions")
        elif not (self.is_path and self.form != "positions") and self.outputs.ndim != 1 + (
            self.form == "quantiles"
        ):
            expected = {"quantiles": "(N, Q) or (N, H, Q)", "mean": "(N,) or (N, H)"}
            problems.add(
                f"a prediction has {self.form} of shape {self.outputs.shape}",
                expected.get(self.form, "(N,)"),
            )
        lengths = [len(self.item), len(self.decided_at), len(self.target_end)]
        lengths.append(len(self.outputs) if self.outputs.ndim else 0)
        if len({*lengths}) > 1:
            problems.add(
                "a prediction has {} items, {} decisions, {} ends of targets and {} rows of "
                "outputs".format(*lengths),
                "one of each per window",
            )

    def _check_levels(self, problems: Problems) -> None:
        if self.form != "quantiles":
            if self.levels:
                problems.add(f"a prediction of form '{self.form}' has levels", "none")
            return
        inside = all(0.0 < level < 1.0 for level in self.levels)
        if not self.levels or not inside or (np.diff(self.levels) <= 0).any():
            problems.add(
                f"a prediction has {_listed(self.levels)}",
                "increasing levels between 0 and 1 that differ in six decimals",
            )
        if self.outputs.ndim > 1 and self.outputs.shape[-1] != len(self.levels):
            problems.add(
                f"a prediction has {self.outputs.shape[-1]} quantiles a row and "
                f"{len(self.levels)} levels",
                "one level per quantile",
            )

    def _check_outputs(self, problems: Problems) -> None:
        if self.form == "mean":
            return
        bound = 1.0 if self.form == "positions" else _LARGEST
        # The comparison is false for NaN too.
        outside = np.argwhere(~(np.abs(self.outputs) <= bound))
        if len(outside):
            value = self.outputs[tuple(outside[0])]
            problems.add(
                f"the {self.form} of {self._place(outside[0][0])} hold {value} "
                f"({len(outside)} such values)",
                "positions from -1 to 1" if self.form == "positions" else "finite float32 numbers",
            )
        elif self.form == "quantiles":
            crossing = np.argwhere(np.diff(self.outputs, axis=-1) < 0)
            if len(crossing):
                row, n = crossing[0][0], crossing[0][-1]
                problems.add(
                    f"the quantiles of {self._place(row)} cross between levels {self.levels[n]} "
                    f"and {self.levels[n + 1]} ({len(crossing)} such places)",
                    "no quantile below one of a lower level",
                    "sort each row, or fit the levels together",
                )

    def _place(self, row: int) -> str:
        return f"{self.item[row]} at {self.decided_at[row]}"


@dataclass(frozen=True, eq=False)
class ClassPrediction:
    """Probability of every class for each sample.

    Parameters
    ----------
    rows : (N,) int64
        Row of each sample in the sequences.
    probabilities : (N, K) float64
        From 0 to 1; rows sum to 1; column ``k`` belongs to ``class_names[k]``.
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
                f"{shape}: one row per sample, one column per class",
            )

    @classmethod
    def read(
        cls, values: NDArray[np.floating], rows: Indices, class_names: tuple[str, ...]
    ) -> Self:
        """Prediction from stored :attr:`values`.

        Parameters
        ----------
        values : (N x K,) float
        rows : (N,) int64
            Index of the samples, as stored in the record.
        class_names : tuple of str, length K

        Raises
        ------
        DataError
            The number of values is not samples times classes.
        """
        if len(values) != len(rows) * len(class_names):
            raise DataError(
                f"{len(values)} stored probabilities belong to {len(rows)} samples of "
                f"{len(class_names)} classes",
                "one per sample and class",
                "run: podium doctor",
            )
        probabilities = np.asarray(values, dtype=np.float64).reshape(len(rows), len(class_names))
        return cls(rows, probabilities, class_names)

    @classmethod
    def of(cls, picked: Subset, probabilities: Floats) -> ClassPrediction:
        """Prediction of these samples, in their order."""
        values = np.asarray(probabilities, dtype=np.float64)
        return cls(picked.rows, values, picked.sequences.class_names)

    @classmethod
    def averaged(cls, members: Sequence[ClassPrediction]) -> ClassPrediction:
        """Mean of several models' probabilities for the same samples."""
        mean = np.mean([one.probabilities for one in members], axis=0)
        return replace(members[0], probabilities=mean)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def values(self) -> Floats:
        """Values for the record, (N x K,), sample by sample."""
        return self.probabilities.ravel()

    @property
    def chosen(self) -> Indices:
        """Most probable class of each sample, (N,) int64; the first one of ties."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


def _parsed(values: Floats, windows: int) -> tuple[Form, tuple[float, ...], Floats]:
    """Form, levels and outputs of stored values."""
    if len(values) == windows:
        return "mean", (), values
    code = values[0] if len(values) else 0.0
    if code == _PATH and len(values) > 1 and values[1] >= 1:
        steps = int(values[1])
        form, levels, outputs = _parsed(values[2:], windows * steps)
        return form, levels, outputs.reshape(windows, steps, *outputs.shape[1:])
    if code == _CODES["positions"] and len(values) == 1 + windows:
        return "positions", (), values[1:]
    if code == _CODES["quantiles"] and len(values) > 1:
        count = int(values[1]) if np.isfinite(values[1]) else 0
        if len(values) == 2 + count * (1 + windows):
            quantiles = values[2 + count :].reshape(windows, count)
            return "quantiles", tuple(values[2 : 2 + count].tolist()), quantiles
    raise DataError(
        f"{len(values)} stored values belong to {windows} windows",
        "means, quantiles or positions of each of them",
        "run: podium doctor",
    )


def _require_alike(predictions: Sequence[Prediction]) -> None:
    kinds = sorted({(one.form, one.levels, one.steps) for one in predictions})
    if len(kinds) != 1:
        raise DataError(
            f"the predictions to combine are {', '.join(_shown(*one) for one in kinds) or 'none'}",
            "one or more predictions of the same form, levels and horizons",
        )


def _shown(form: Form, levels: tuple[float, ...], steps: int) -> str:
    shown = f"{form} of {_listed(levels)}" if levels else form
    return f"{shown} of {steps} horizons" if steps > 1 else shown


def _listed(levels: Sequence[float]) -> str:
    return f"levels {', '.join(f'{level:g}' for level in levels)}" if levels else "no levels"
