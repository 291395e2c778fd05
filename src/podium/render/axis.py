"""Axes of charts: scales, round ticks, thinning, spread of labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Floats
from podium.errors import DataError

Ticks = list[tuple[float, str]]

_DATE_STEPS = [
    *[("s", n) for n in (1, 5, 15, 30)],
    *[("m", n) for n in (1, 5, 15, 30)],
    *[("h", n) for n in (1, 3, 6, 12)],
    *[("D", n) for n in (1, 2, 7, 14)],
    *[("M", n) for n in (1, 3, 6)],
    *[("Y", n) for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)],
]


class Scale(NamedTuple):
    """Linear map from values (low, high) to coordinates (start, end)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Coordinate of a value."""
        share = (float(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def finite(values: Iterable[float | None]) -> Floats:
    """The finite values as an array.

    Parameters
    ----------
    values : iterable of float or None

    Examples
    --------
    >>> finite([1, None, float("nan")])
    array([1.])
    """
    known: Floats = floats(values)
    return np.extract(np.isfinite(known), known)


def floats(values: Iterable[float | None]) -> Floats:
    """The values as an array, NaN for None.

    Parameters
    ----------
    values : iterable of float or None

    Examples
    --------
    >>> floats([1, None])
    array([ 1., nan])
    """
    return np.array([math.nan if v is None else float(v) for v in values], dtype=float)


def places(x: ArrayLike) -> tuple[Floats, bool]:
    """The values of x as floats, and whether they are times (seconds since 1970).

    Parameters
    ----------
    x : array, shape (T,)
        datetime64 or numbers; NaT becomes NaN.

    Examples
    --------
    >>> places(np.array(["1970-01-02", "NaT"], dtype="datetime64[D]"))
    (array([86400.,    nan]), True)
    """
    values = np.asarray(x)
    if values.dtype.kind == "M":
        seconds = values.astype("datetime64[s]").astype(np.int64).astype(float)
        return np.where(np.isnat(values), np.nan, seconds), True
    if values.dtype.kind not in "iufb" and values.size:
        raise DataError(
            f"the x values of a chart have the type {values.dtype}",
            "datetime64 without a zone (UTC), or numbers",
        )
    return values.astype(float), False


def padded(values: Floats) -> tuple[float, float]:
    """Range of the values with a padding of 5 % on both sides.

    Parameters
    ----------
    values : array, at least one, all finite

    Examples
    --------
    >>> padded(np.array([0.0, 10.0])), padded(np.array([2.0]))
    ((-0.5, 10.5), (1.8, 2.2))
    """
    low, high = float(values.min()), float(values.max())
    # A range at the level of rounding would give equal tick labels.
    flat = high - low <= 1e-9 * max(abs(low), abs(high))
    air = (abs(high) * 0.1 or 1.0) if flat else (high - low) * 0.05
    return low - air, high + air


def fenced(values: Floats) -> Floats:
    """The values without outliers from the middle half.

    Parameters
    ----------
    values : array, shape (N,), all finite

    Examples
    --------
    >>> fenced(np.array([1.0, 2.0, 3.0, 1e9]))
    array([1., 2., 3.])
    """
    first, middle, third = np.percentile(values, [25, 50, 75], method="lower")
    far = 4 * max(third - first, abs(middle) * 0.01)
    return np.extract((values >= first - far) & (values <= third + far), values)


def thin(y: ArrayLike, limit: int = 400) -> NDArray[np.int64]:
    """Indices of the lowest and highest value of each bucket, and of gaps.

    Parameters
    ----------
    y : array, shape (T,)
    limit : int
        Approximate number of indices.

    Examples
    --------
    >>> rows = thin([0.0] * 5000 + [9.0] + [0.0] * 5000)
    >>> len(rows) <= 402, 5000 in rows
    (True, True)
    """
    values = np.asarray(y, dtype=float)
    if len(values) <= limit:
        return np.arange(len(values))
    keep = {0, len(values) - 1}
    for bucket in np.array_split(np.arange(len(values)), limit // 2):
        known = np.isfinite(values[bucket])
        if known.any():
            inside = bucket[known]
            keep |= {int(inside[values[inside].argmin()]), int(inside[values[inside].argmax()])}
        if not known.all():
            keep.add(int(bucket[~known][0]))
    return np.array(sorted(keep))


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as close as possible to the given ones, at least a gap apart.

    Parameters
    ----------
    positions : sequence of float, shape (N,)
    gap : float
    low, high : float
        Bounds, at least (N - 1) gaps apart.

    Examples
    --------
    >>> spread([10, 11, 50], 15, 0, 100)
    [10.0, 25.0, 50.0]
    """
    placed = [min(max(float(w), low), high) for w in positions]
    order = sorted(range(len(placed)), key=lambda i: (placed[i], positions[i], i))
    edge = low
    for i in order:
        placed[i] = edge = max(placed[i], edge)
        edge += gap
    edge = high
    for i in reversed(order):
        placed[i] = edge = min(placed[i], edge)
        edge -= gap
    return placed


def coinciding(curves: Sequence[ArrayLike], span: float) -> dict[int, int]:
    """Curves that are not distinguishable on a chart from an earlier one, by its place.

    Parameters
    ----------
    curves : sequence of array, shape (T,) each
        Curves of other lengths never coincide. NaN is a gap.
    span : float
        Range of the axis; values closer than 0.4 % of it, about a pixel, are drawn as one.

    Returns
    -------
    dict
        Place of a curve to that of the first one it coincides with.

    Examples
    --------
    >>> coinciding([[1, 2], [1, 3], [1, 2]], 2.0)
    {2: 0}
    """
    arrays = [np.asarray(curve, dtype=float) for curve in curves]
    same: dict[int, int] = {}
    for k, one in enumerate(arrays):
        for other, first in enumerate(arrays[:k]):
            if other in same or one.shape != first.shape:
                continue
            if np.allclose(one, first, rtol=0.0, atol=0.004 * span, equal_nan=True):
                same[k] = other
                break
    return same


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) between two bounds.

    Parameters
    ----------
    low, high : float
    count : int
        Approximate number.

    Examples
    --------
    >>> ticks(0.13, 0.94)
    [0.2, 0.4, 0.6, 0.8]
    """
    step = _step(low, high, count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, _decimals(step)) for k in range(first, last + 1)]


def linear(low: float, high: float, count: int = 5, *, percent: bool = False) -> Ticks:
    """Round ticks with labels of equal decimals.

    Parameters
    ----------
    low, high : float
    count : int
    percent : bool

    Examples
    --------
    >>> linear(0.004, 0.0062, 3)
    [(0.004, '0.004'), (0.005, '0.005'), (0.006, '0.006')]
    >>> linear(-0.21, 0.01, 2, percent=True)
    [(-0.2, '-20%'), (-0.1, '-10%'), (0.0, '0%')]
    """
    step, values = _step(low, high, count), ticks(low, high, count)
    if percent:
        return [(v, f"{v * 100 + 0.0:,.{_decimals(step * 100)}f}%") for v in values]
    largest = max(map(abs, values), default=0.0)
    for size, unit in ((1e9, "B"), (1e6, "M")):
        if largest >= size and step >= size / 1000:
            return [(v, f"{v / size:,.{_decimals(step / size)}f}{unit}") for v in values]
    if step < 1e-5:
        return [(v, f"{v:.3g}") for v in values]
    return [(v, f"{v + 0.0:,.{_decimals(step)}f}") for v in values]


def logarithmic(low: float, high: float) -> Ticks:
    """Ticks of a logarithmic scale with log10 bounds.

    Parameters
    ----------
    low, high : float
        log10 of the range.

    Examples
    --------
    >>> [label for _, label in logarithmic(0.0, 1.1)]
    ['1', '2', '5', '10']
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    for firsts in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        values = [m * 10.0**d for d in decades for m in firsts if low <= math.log10(m) + d <= high]
        if len(values) >= 3:
            step = math.ceil(len(values) / 7)
            return [(math.log10(v), f"{v:,.10g}") for v in values[::step]]
    inside = linear(10**low, 10**high)
    return [(math.log10(value), label) for value, label in inside if value > 0]


def horizontal(across: Scale, dates: bool, letter: float = 6.8) -> Ticks:
    """Ticks of the x axis, as many as fit.

    Parameters
    ----------
    across : Scale
    dates : bool
        Whether the values are seconds since 1970.
    letter : float
        Width of a letter.

    Examples
    --------
    >>> start = np.datetime64("2019-11-20", "s").astype(int)
    >>> [label for _, label in horizontal(Scale(start, start + 1e8, 0, 300), True)]
    ['2020', '2021', '2022', '2023']
    """
    room = across.end - across.start
    if not dates:
        marks = linear(across.low, across.high, max(2, int(room / 60)))
        # Trials and bars have whole numbers.
        return [(at, f"{at:,.0f}") for at, _ in marks if at % 1 == 0] or marks
    spare: Ticks = []
    for unit, step in _DATE_STEPS:
        marks = _dates(across.low, across.high, unit, step)
        if not marks:
            break
        spare = marks[:1]
        if len(marks) * 2 * letter > room:
            continue
        # The first label alone has the year; the second is dropped where it does not fit.
        for labels in (marks, [*marks[:1], *((at, "") for at, _ in marks[1:2]), *marks[2:]]):
            halves = [(across(at), len(words) * letter / 2) for at, words in labels if words]
            if all(b - a >= half_a + half_b + 12 for (a, half_a), (b, half_b) in pairwise(halves)):
                return labels
    return spare


def _dates(low: float, high: float, unit: str, step: int) -> Ticks:
    ends = np.array([low, high]).astype("datetime64[s]")
    first, last = (int(v) for v in ends.astype(f"datetime64[{unit}]").astype(np.int64))
    # Weeks start on Monday, spans of years at year 0.
    origin = {"D": 4 if step % 7 == 0 else 0, "Y": -1970}.get(unit, 0)
    first += (origin - first) % step
    # Too many to format; the result fits nowhere, so a larger step is used.
    if (last - first) // step > 100:
        return [(low, "")] * 100
    moments = np.arange(first, last + 1, step).astype(f"datetime64[{unit}]")
    at = moments.astype("datetime64[s]").astype(np.int64).tolist()
    texts = np.datetime_as_string(moments.astype("datetime64[m]") if unit == "h" else moments)
    labels, last_head = [], ""
    for value, text in zip(at, texts.tolist(), strict=True):
        if not low <= value <= high:
            continue
        # The year or day that a label shares with the previous one is left out.
        head, joint, tail = text.partition("-" if unit == "D" else "T")
        words = tail if joint and head == last_head else text.replace("T", " ")
        labels.append((float(value), words))
        last_head = head
    return labels


def _step(low: float, high: float, count: int) -> float:
    rough = (high - low) / count
    ten = 10.0 ** math.floor(math.log10(rough))
    return float(next(m * ten for m in (1, 2, 5, 10) if m * ten >= rough * 0.7))


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def gutter(marks: Ticks, letter: float = 6.8) -> float:
    """Width left of the y axis for the longest label.

    Parameters
    ----------
    marks : list of (value, label)
    letter : float

    Examples
    --------
    >>> gutter([(0.1, "0.1")], letter=7)
    31
    """
    return 10 + max((len(label) for _, label in marks), default=0) * letter
