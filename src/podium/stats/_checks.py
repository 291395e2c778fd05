"""Checks of arguments: each returns a valid array or number, or raises an error with its place."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats
from podium.errors import DataError, UsageError

EPSILON = float(np.finfo(np.float64).eps)


def series(name: str, values: ArrayLike, fix: str = "") -> Floats:
    """One finite number per period, (T,); ``fix`` is the advice for a table."""
    array = _numbers(name, values)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}", "one number per period, (T,)", fix)
    return _finite(name, array)


def table(name: str, values: ArrayLike, columns: str) -> Floats:
    """One finite number per period and column, (T, M); at least one column."""
    array = _numbers(name, values)
    if array.ndim != 2 or not array.shape[1]:
        raise DataError(
            f"{name} has shape {array.shape}",
            f"a row per period, columns of {columns}, (T, M)",
            "turn a single series into a column with [:, None]",
        )
    return _finite(name, array)


def same_length(name: str, array: NDArray[Any], other: str, expected: int) -> None:
    """Raise if two arrays differ in length."""
    if len(array) != expected:
        raise DataError(f"{name} has {len(array)} rows and {other} {expected}", "the same rows")


def whole(name: str, value: object, least: int) -> int:
    """Whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name} is {value!r}", f"a whole number, at least {least}")
    return int(value)


def number(name: str, value: object, least: float = -math.inf) -> float:
    """Finite number of at least ``least``."""
    result = _real(name, value)
    if not math.isfinite(result) or result < least:
        limit = "" if math.isinf(least) else f", at least {least:g}"
        raise UsageError(f"{name} is {value}", f"a finite number{limit}")
    return result


def share(name: str, value: object, above: float = 0.0) -> float:
    """Number strictly between a bound and 1."""
    result = _real(name, value)
    if not above < result < 1.0:
        raise UsageError(f"{name} is {value}", f"a number above {above:g} and below 1")
    return result


def one_of(name: str, value: object, known: Any) -> None:
    """Raise unless the value is one of a ``Literal``."""
    if value not in get_args(known):
        raise UsageError(f"{name} is {value!r}", " or ".join(map(repr, get_args(known))))


def resampling(confidence: object, repeats: object, seed: object) -> tuple[float, int, int]:
    """Confidence, number of resamples and seed of an interval."""
    return share("confidence", confidence), whole("repeats", repeats, 100), whole("seed", seed, 0)


def _real(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real | np.number):
        raise UsageError(f"{name} is {value!r}", "a number")
    return float(value)


def unit(array: Floats) -> tuple[Floats, float]:
    """The array divided by its largest absolute value, so that squares stay finite; that value."""
    size = float(np.abs(array).max(initial=0.0))
    return (array / size, size) if size > 0.0 else (array, 1.0)


def finite_or_nan(value: float) -> float:
    """The number, or NaN if it is infinite."""
    return value if math.isfinite(value) else math.nan


def _numbers(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not an array of numbers ({error})", "numbers") from None


def _finite(name: str, array: Floats) -> Floats:
    wrong = ~np.isfinite(array)
    if wrong.any():
        at = tuple(int(axis[0]) for axis in wrong.nonzero())
        raise DataError(
            f"{name}[{', '.join(map(str, at))}] is {array[at]}, "
            f"one of {int(wrong.sum())} that are not finite",
            "a finite number everywhere",
            "drop the period from every array that is compared, or repair its source",
        )
    return array
