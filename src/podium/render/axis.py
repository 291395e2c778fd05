"""Where things stand on a chart: scales, round ticks, thinning, labels that keep apart."""

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
    """A straight line from values (low, high) to places (start, end)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        share = (float(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def finite(values: Iterable[float | None]) -> Floats:
    """The values that are numbers, as an array.

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
    given = np.asarray(x)
    if given.dtype.kind == "M":
        seconds = given.astype("datetime64[s]").astype(np.int64).astype(float)
        return np.where(np.isnat(given), np.nan, seconds), True
    if given.dtype.kind not in "iufb" and given.size:
        raise DataError(
            f"the x values of a chart have the type {given.dtype}",
            "datetime64 without a zone (UTC), or numbers",
        )
    return given.astype(float), False


def padded(values: Floats) -> tuple[float, float]:
    """The range of the values with a twentieth of air on both sides.

    Parameters
    ----------
    values : array, at least one, all finite

    Examples
    --------
    >>> padded(np.array([0.0, 10.0])), padded(np.array([2.0]))
    ((-0.5, 10.5), (1.8, 2.2))
    """
    low, high = float(values.min()), float(values.max())
    # A range lost in rounding would give ticks that all read the same.
    flat = high - low <= 1e-9 * max(abs(low), abs(high))
    air = (abs(high) * 0.1 or 1.0) if flat else (high - low) * 0.05
    return low - air, high + air


def fenced(values: Floats) -> Floats:
    """The values without those far outside the middle half.

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
    """Indices that keep each bucket's lowest and highest value, and the gaps.

    Parameters
    ----------
    y : array, shape (T,)
    limit : int
        About how many indices to keep.

    Examples
    --------
    >>> kept = thin([0.0] * 5000 + [9.0] + [0.0] * 5000)
    >>> len(kept) <= 402, 5000 in kept
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


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near as possible to the wanted ones, at least a gap apart.

    Parameters
    ----------
    wanted : sequence of float, shape (N,)
    gap : float
    low, high : float
        The room, which must hold (N - 1) gaps.

    Examples
    --------
    >>> spread([10, 11, 50], 15, 0, 100)
    [10.0, 25.0, 50.0]
    """
    placed = [min(max(float(w), low), high) for w in wanted]
    order = sorted(range(len(placed)), key=lambda i: (placed[i], wanted[i], i))
    edge = low
    for i in order:
        placed[i] = edge = max(placed[i], edge)
        edge += gap
    edge = high
    for i in reversed(order):
        placed[i] = edge = min(placed[i], edge)
        edge -= gap
    return placed


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) between two ends.

    Parameters
    ----------
    low, high : float
    count : int
        About how many.

    Examples
    --------
    >>> ticks(0.13, 0.94)
    [0.2, 0.4, 0.6, 0.8]
    """
    step = _step(low, high, count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, _decimals(step)) for k in range(first, last + 1)]


def linear(low: float, high: float, count: int = 5, *, percent: bool = False) -> Ticks:
    """Round ticks with labels that all have the same decimals.

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
    step, found = _step(low, high, count), ticks(low, high, count)
    if percent:
        return [(v, f"{v * 100 + 0.0:,.{_decimals(step * 100)}f}%") for v in found]
    largest = max(map(abs, found), default=0.0)
    for size, unit in ((1e9, "B"), (1e6, "M")):
        if largest >= size and step >= size / 1000:
            return [(v, f"{v / size:,.{_decimals(step / size)}f}{unit}") for v in found]
    if step < 1e-5:
        return [(v, f"{v:.3g}") for v in found]
    return [(v, f"{v + 0.0:,.{_decimals(step)}f}") for v in found]


def logarithmic(low: float, high: float) -> Ticks:
    """Ticks for a logarithmic scale whose ends are exponents of ten.

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
        found = [m * 10.0**d for d in decades for m in firsts if low <= math.log10(m) + d <= high]
        if len(found) >= 3:
            step = math.ceil(len(found) / 7)
            return [(math.log10(v), f"{v:,.10g}") for v in found[::step]]
    inside = linear(10**low, 10**high)
    return [(math.log10(value), label) for value, label in inside if value > 0]


def horizontal(across: Scale, dates: bool, letter: float = 6.8) -> Ticks:
    """Ticks for x, as many as fit side by side.

    Parameters
    ----------
    across : Scale
    dates : bool
        The values are seconds since 1970.
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
        found = linear(across.low, across.high, max(2, int(room / 60)))
        # Trials and bars are counted, so there is none between two whole numbers.
        return [(at, f"{at:,.0f}") for at, _ in found if at % 1 == 0] or found
    spare: Ticks = []
    for unit, step in _DATE_STEPS:
        found = _dates(across.low, across.high, unit, step)
        if not found:
            break
        spare = found[:1]
        if len(found) * 2 * letter > room:
            continue
        # The first label alone has the year; where it is long, the second one makes way.
        for labels in (found, [*found[:1], *((at, "") for at, _ in found[1:2]), *found[2:]]):
            halves = [(across(at), len(words) * letter / 2) for at, words in labels if words]
            if all(b - a >= half_a + half_b + 12 for (a, half_a), (b, half_b) in pairwise(halves)):
                return labels
    return spare


def _dates(low: float, high: float, unit: str, step: int) -> Ticks:
    ends = np.array([low, high]).astype("datetime64[s]")
    first, last = (int(v) for v in ends.astype(f"datetime64[{unit}]").astype(np.int64))
    # Weeks are counted from a Monday, spans of years from the year 0.
    origin = {"D": 4 if step % 7 == 0 else 0, "Y": -1970}.get(unit, 0)
    first += (origin - first) % step
    # Too many to write out; the one that is returned instead fits nowhere.
    if (last - first) // step > 100:
        return [(low, "")] * 100
    moments = np.arange(first, last + 1, step).astype(f"datetime64[{unit}]")
    at = moments.astype("datetime64[s]").astype(np.int64).tolist()
    texts = np.datetime_as_string(moments.astype("datetime64[m]") if unit == "h" else moments)
    found, last_head = [], ""
    for value, text in zip(at, texts.tolist(), strict=True):
        if not low <= value <= high:
            continue
        # What a label shares with the one before it is left out: the year, or the day.
        head, joint, tail = text.partition("-" if unit == "D" else "T")
        words = tail if joint and head == last_head else text.replace("T", " ")
        found.append((float(value), words))
        last_head = head
    return found


def _step(low: float, high: float, count: int) -> float:
    rough = (high - low) / count
    ten = 10.0 ** math.floor(math.log10(rough))
    return float(next(m * ten for m in (1, 2, 5, 10) if m * ten >= rough * 0.7))


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def gutter(marks: Ticks, letter: float = 6.8) -> float:
    """Room to the left of y for the longest label.

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
