"""FeatureStats: scaling of the features of sequences and filling of missing values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from podium.errors import DataError, Problem, Problems

FILE = "feature_stats.json"
SCHEMA = 1
# Written to the file to document how missing values are filled.
RULE = "last value before it in the same sample, else the mean"
# Scaling uses float32, so the mean and the spread must fit into it.
SMALLEST, LARGEST = (float(v) for v in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


@dataclass(frozen=True)
class FeatureStats:
    """Mean and standard deviation of each feature over the valid steps of the training samples.

    Parameters
    ----------
    feature_names : tuple of str, length F
    mean, std : tuple of float, length F
        In the feature's unit; ``std`` above 0 (a constant feature has 1, and becomes 0).
    n_steps : int
        Number of steps in the estimates; 0 if a file does not state it.
    """

    feature_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    n_steps: int = 0

    @classmethod
    def of(cls, x: NDArray[np.float32], lengths: NDArray[np.int64], names: Sequence[str]) -> Self:
        """Statistics of training samples, ignoring missing values.

        Parameters
        ----------
        x : (N, T, F) float, NaN where missing
        lengths : (N,) int
            Valid steps of each sample.

        Raises
        ------
        DataError
            Lists every feature without any value.

        Examples
        --------
        >>> x = np.array([[[1.0], [3.0]], [[5.0], [np.nan]]], dtype=np.float32)
        >>> FeatureStats.of(x, np.array([2, 2]), ["glucose"]).mean
        (3.0,)
        """
        DataError.raise_for(without_value(x, lengths, names, "training"))
        counts = np.arange(x.shape[1]) < lengths[:, np.newaxis]
        values = x[counts].astype(np.float64)
        mean = np.nanmean(values, axis=0)
        std = np.nanstd(values, axis=0)
        # A constant feature carries no information; dividing by a tiny std would amplify rounding.
        flat = std <= np.maximum(1e-7 * np.abs(mean), SMALLEST)
        std[flat] = 1.0
        return cls(tuple(names), tuple(mean.tolist()), tuple(std.tolist()), len(values))

    def apply(self, x: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scaled samples with missing values filled from the past and zeros after the last step.

        A missing value becomes the last value before it in the same sample, or the mean if there
        is none. Later steps and other samples are never used.

        Parameters
        ----------
        x : (N, T, F) float32
        lengths : (N,) int

        Examples
        --------
        >>> stats = FeatureStats(("glucose",), (3.0,), (2.0,))
        >>> x = np.array([[[np.nan], [5.0], [np.nan], [9.0]]], dtype=np.float32)
        >>> stats.apply(x, np.array([3]))[0, :, 0].tolist()
        [0.0, 1.0, 1.0, 0.0]
        """
        mean, std = (np.asarray(v, dtype=np.float32) for v in (self.mean, self.std))
        with np.errstate(over="ignore"):
            filled: NDArray[np.float32] = (x - mean) / std
        missing = np.isnan(filled)
        if missing.any():
            steps = np.arange(x.shape[1])[np.newaxis, :, np.newaxis]
            last = np.maximum.accumulate(np.where(missing, -1, steps), axis=1)
            carried = np.take_along_axis(filled, np.maximum(last, 0), axis=1)
            filled = np.where(last < 0, np.float32(0), carried)
        filled[np.arange(x.shape[1]) >= lengths[:, np.newaxis]] = 0
        return filled

    def require(self, names: Sequence[str], place: str) -> None:
        """Refuse other features, or these features in another order.

        Raises
        ------
        DataError
        """
        if tuple(names) != self.feature_names:
            raise DataError(
                f"{place} has the features {', '.join(self.feature_names)}",
                f"the features of the samples in their order: {', '.join(names)}",
                "remove the file; podium computes it again from the training samples",
            )

    def spec(self) -> dict[str, Any]:
        """JSON description for a file."""
        return {"schema": SCHEMA, **asdict(self), "missing": RULE}

    @classmethod
    def parse(cls, text: str | bytes, place: str, names: Sequence[str] = ()) -> Self:
        """Statistics from the text of a file, which another program may have written.

        Parameters
        ----------
        place : str
            Name of the file in messages.
        names : sequence of str
            Feature names, used if the file has none.

        Raises
        ------
        DataError
            Invalid JSON, missing ``mean`` or ``std``, lists of different lengths, or a ``std``
            that is not above 0.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is not JSON: {error}", "mean and std per feature") from None
        if not isinstance(content, dict):
            raise DataError(
                f"{place} holds a {type(content).__name__}", "an object with mean and std"
            )
        problems = Problems()
        columns: dict[str, tuple[float, ...]] = {}
        for key in ("mean", "std"):
            values = content.get(key)
            if not isinstance(values, list) or not values or not all(map(_is_number, values)):
                problems.add(f"{place}: {key} is {values!r:.60}", "a list of numbers")
                continue
            columns[key] = tuple(float(v) for v in values)
        features = content.get("feature_names", list(names))
        if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
            problems.add(f"{place}: feature_names is {features!r:.60}", "a list of texts")
            features = []
        expected = len(features) or len(columns.get("mean", ()))
        for key, values in columns.items():
            if expected and len(values) != expected:
                problems.add(f"{place}: {len(values)} values of {key}", f"{expected}: one each")
        if any(v < SMALLEST for v in columns.get("std", ())):
            problems.add(f"{place}: a std is not above 0", "positive standard deviations")
        DataError.raise_for(problems)
        n_steps = content.get("n_steps", 0)
        features = features or [f"feature_{k}" for k in range(expected)]
        n_steps = int(n_steps) if _is_number(n_steps) else 0
        return cls(tuple(features), columns["mean"], columns["std"], n_steps)


def without_value(
    x: NDArray[np.float32], lengths: NDArray[np.int64], names: Sequence[str], part: str
) -> list[Problem]:
    """Problems of the features without a value in any step of these samples.

    Parameters
    ----------
    x : (N, T, F) float, NaN where missing
    lengths : (N,) int
    part : str
        Name of the samples in messages: ``training`` or ``validation``.
    """
    counts = np.arange(x.shape[1]) < lengths[:, np.newaxis]
    known = (~np.isnan(x) & counts[:, :, np.newaxis]).any(axis=(0, 1))
    return [
        Problem(
            f"feature '{names[k]}' has no value in any of {len(x)} {part} samples",
            "at least one",
            "leave the feature out of X",
        )
        for k in np.flatnonzero(~known).tolist()
    ]


def _is_number(value: object) -> bool:
    """Whether a JSON value is a number that fits into float32."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= LARGEST
