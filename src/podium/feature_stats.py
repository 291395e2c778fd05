"""FeatureStats: what features of sequences are scaled by, and how missing values are filled."""

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
# What stands in the file, so that nobody has to guess what was done to the numbers.
RULE = "last value before it in the same sample, else the mean"
# Scaling is done in float32: what it cannot hold is no mean and no spread.
SMALLEST, LARGEST = (float(v) for v in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


@dataclass(frozen=True)
class FeatureStats:
    """Mean and spread of each feature over the steps that count in the training samples.

    Parameters
    ----------
    feature_names : tuple of str, length F
    mean, std : tuple of float, length F
        In the feature's unit; ``std`` above 0 (a constant feature has 1, and becomes 0).
    n_steps : int
        Steps the numbers were computed from; 0 where a file did not say.
    """

    feature_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    n_steps: int = 0

    @classmethod
    def of(cls, x: NDArray[np.float32], lengths: NDArray[np.int64], names: Sequence[str]) -> Self:
        """Stats of training samples; missing values are left out.

        Parameters
        ----------
        x : (N, T, F) float, NaN where missing
        lengths : (N,) int
            Steps that count.

        Raises
        ------
        DataError
            A feature has no value at all, each one named.

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
        # What does not vary says nothing; scaled by a tiny number, rounding would.
        flat = std <= np.maximum(1e-7 * np.abs(mean), SMALLEST)
        return cls(
            tuple(names),
            tuple(mean.tolist()),
            tuple(np.where(flat, 1.0, std).tolist()),
            len(values),
        )

    def apply(self, x: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Samples with missing values filled from the past, scaled, zero behind their last step.

        A missing value is the last one before it in the same sample, and before the first one the
        mean: nothing is filled from what comes later, nor from another sample.

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
        """Refuse to scale other features than these, or these in another order.

        Raises
        ------
        DataError
        """
        if tuple(names) != self.feature_names:
            raise DataError(
                f"{place} is of the features {', '.join(self.feature_names)}",
                f"those of the samples, in their order: {', '.join(names)}",
                "remove the file, and it is made anew from the training samples",
            )

    def spec(self) -> dict[str, Any]:
        """JSON description, as it is written to a file."""
        return {"schema": SCHEMA, **asdict(self), "missing": RULE}

    @classmethod
    def parse(cls, text: str | bytes, place: str, names: Sequence[str] = ()) -> Self:
        """Stats from the text of a file, which may have been written by another program.

        Parameters
        ----------
        place : str
            What a message calls the file.
        names : sequence of str
            Of the features, where the file does not name them.

        Raises
        ------
        DataError
            No JSON, no ``mean`` and ``std``, lists of unlike lengths, a spread that is not above
            0: every problem at once.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{place} is no JSON: {error}", "mean and std of each feature"
            ) from None
        if not isinstance(found, dict):
            raise DataError(
                f"{place} holds a {type(found).__name__}", "an object with mean and std"
            )
        problems = Problems()
        columns: dict[str, tuple[float, ...]] = {}
        for key in ("mean", "std"):
            values = found.get(key)
            if not isinstance(values, list) or not values or not all(map(_is_number, values)):
                problems.add(f"{place}: {key} is {values!r:.60}", "a list of numbers")
                continue
            columns[key] = tuple(float(v) for v in values)
        told = found.get("feature_names", list(names))
        if not isinstance(told, list) or not all(isinstance(name, str) for name in told):
            problems.add(f"{place}: feature_names is {told!r:.60}", "a list of texts")
            told = []
        wanted = len(told) or len(columns.get("mean", ()))
        for key, values in columns.items():
            if wanted and len(values) != wanted:
                problems.add(f"{place}: {len(values)} values of {key}", f"{wanted}, one a feature")
        if any(v < SMALLEST for v in columns.get("std", ())):
            problems.add(f"{place}: a std is not above 0", "the spread of each feature")
        DataError.raise_for(problems)
        n_steps = found.get("n_steps", 0)
        told = told or [f"feature_{k}" for k in range(wanted)]
        return cls(
            tuple(told), columns["mean"], columns["std"], int(n_steps) if _is_number(n_steps) else 0
        )


def without_value(
    x: NDArray[np.float32], lengths: NDArray[np.int64], names: Sequence[str], part: str
) -> list[Problem]:
    """A problem for each feature that no step of these samples has a value of.

    Parameters
    ----------
    x : (N, T, F) float, NaN where missing
    lengths : (N,) int
    part : str
        What a message calls the samples: ``training`` or ``validation``.
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
    """Whether a value of a JSON file is a number that a float32 can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= LARGEST
