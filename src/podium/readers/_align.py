"""Alignment of tickers: the shared span or each ticker's own span, without missing bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from podium.arrays import Mask
from podium.readers._findings import DataIssue, error, warning
from podium.readers._inspect import errors
from podium.readers._repair import forward_filled
from podium.readers._series import Series, iso
from podium.timeframe import Seconds

# Share of the bars that one ticker may cost the others without a warning.
MAX_CUT = 0.03


def align_series(
    name: str,
    series: Sequence[Series],
    repairs: dict[str, int],
    notes: list[str],
    align: str = "intersection",
) -> tuple[list[Series], list[DataIssue]]:
    """Return the series on one calendar, or the issues that prevent it.

    An intersection spans the latest first bar to the earliest last bar; in a union each ticker
    keeps its own span. Inside its span every ticker needs every bar, unless a repair fills or
    drops it.

    Parameters
    ----------
    name : str
        Name of the dataset.
    repairs : dict
        Result of :func:`podium.readers._repair.parse_repairs`.
    notes : list of str
        Receives a description of each repair.
    align : {"intersection", "union"}
    """
    empty = [one.ticker for one in series if not len(one)]
    if empty:
        what = f"ticker '{empty[0]}' has no bar left after the repairs"
        return [], [error("alignment", what, "at least one bar", "use fewer repairs")]
    if align == "union":
        cut, span_of = list(series), _own_span
    else:
        start = max(int(one.times[0]) for one in series)
        stop = min(int(one.times[-1]) for one in series)
        cut, span_of = [_between(one, start, stop) for one in series], _full_calendar
        if not all(len(one) for one in cut):
            return [], [_no_overlap(name, series)]
    calendar = union(cut)
    if "forward_fill" in repairs:
        most = repairs["forward_fill"]
        cut = [forward_filled(one, span_of(one, calendar), most, notes) for one in cut]
    if "intersect" in repairs:
        then = " that were listed then" if align == "union" else ""
        cut = _intersect(cut, calendar, span_of, notes, f"not all tickers have{then}")
        empty = [one.ticker for one in cut if not len(one)]
        if empty and align == "union":
            what = f"ticker '{empty[0]}' has no bar that all tickers listed then have too"
            return [], [error("alignment", what, "at least one", "leave it out")]
        if empty:
            return [], [_no_overlap(name, series)]
        calendar = union(cut)
    gaps = [finding for one in cut for finding in _gaps(one, span_of(one, calendar), cut)]
    # A missing value may lie before the first number, or in a gap too long to fill.
    holes = [f for one in cut for f in errors(one)]
    return cut, gaps or holes


def _full_calendar(series: Series, calendar: Seconds) -> Seconds:
    """Return the whole calendar: the span of every ticker in an intersection."""
    return calendar


def _own_span(series: Series, calendar: Seconds) -> Seconds:
    """Return the stamps from a ticker's first bar to its last."""
    first, last = np.searchsorted(calendar, series.times[[0, -1]])
    return calendar[first : last + 1]


def short_histories(series: Sequence[Series]) -> list[DataIssue]:
    """Return a warning if one ticker's late start or early end costs the others many bars."""
    if len(series) < 2:
        return []
    starts = np.array([one.times[0] for one in series])
    stops = np.array([one.times[-1] for one in series])
    calendar = union(series)

    def shared(some: Mask) -> int:
        first, last = np.searchsorted(calendar, [starts[some].max(), stops[some].min() + 1])
        return max(0, int(last - first))

    everyone = np.ones(len(series), dtype=bool)
    common = shared(everyone)
    without = [shared(everyone & (np.arange(len(series)) != n)) for n in range(len(series))]
    worst = int(np.argmax(without))
    lost = without[worst] - common
    if lost <= MAX_CUT * without[worst]:
        return []
    one = series[worst]
    what = (
        f"ticker '{one.ticker}' ({one.stamp(0)} to {one.stamp(len(one) - 1)}) costs the others "
        f"{lost} of {without[worst]} bars: only bars that all tickers have are kept"
    )
    fix = 'set align = "union": each ticker keeps its own'
    return [warning("alignment", what, "histories of one length", fix, one.ticker, lost)]


def _between(series: Series, start: int, stop: int) -> Series:
    first, last = np.searchsorted(series.times, [start, stop + 1])
    if first == 0 and last == len(series):
        return series
    return series.take(np.arange(first, last))


def union(series: Sequence[Series]) -> Seconds:
    """Return the increasing stamps that at least one ticker has."""
    first = series[0].times
    if all(np.array_equal(one.times, first) for one in series[1:]):
        return first
    return np.unique(np.concatenate([one.times for one in series]))


def _intersect(
    series: Sequence[Series],
    calendar: Seconds,
    span_of: Callable[[Series, Seconds], Seconds],
    notes: list[str],
    which: str,
) -> list[Series]:
    """Return the series on the stamps that no ticker lacks; each loss adds a note."""
    lacking = [
        np.setdiff1d(span_of(one, calendar), one.times, assume_unique=True) for one in series
    ]
    shared = np.setdiff1d(calendar, np.concatenate(lacking))
    cut = [one.take(np.isin(one.times, shared)) for one in series]
    for one, left in zip(series, cut, strict=True):
        if len(left) < len(one):
            notes.append(f"{one.ticker}: dropped {len(one) - len(left)} bars that {which}")
    return cut


def _gaps(series: Series, calendar: Seconds, all_series: Sequence[Series]) -> list[DataIssue]:
    """Return an error if a ticker lacks bars that others have in its span."""
    if len(series) == len(calendar):
        return []
    missing = np.setdiff1d(calendar, series.times, assume_unique=True)
    first, count = iso(int(missing[0])), len(missing)
    more = f" and {count - 1} more" if count > 1 else ""
    lacks = f"no bar at {first}{more}, other tickers do"
    others = [one.times for one in all_series if one is not series]
    behind = _shifted(series, np.unique(np.concatenate(others))) if others else 0
    if behind:
        way = f"{abs(behind) / 3600:g} hours {'behind' if behind > 0 else 'ahead of'} the others"
        what = f"ticker '{series.ticker}' is {way}: it has {lacks}"
        expected = "stamps of all tickers in one time zone"
        fix = "write them with their offset from UTC, or in one zone"
        return [error("time zone", what, expected, fix, series.ticker, count, first)]
    what = f"ticker '{series.ticker}' has {lacks}"
    expected, fix = "every bar for every ticker", "add the bar, or remove it from every ticker"
    return [error("missing bars", what, expected, fix, series.ticker, count, first, "intersect")]


def _no_overlap(name: str, series: Sequence[Series]) -> DataIssue:
    late = max(series, key=lambda one: int(one.times[0]))
    early = min(series, key=lambda one: int(one.times[-1]))
    what = (
        f"dataset '{name}': the tickers share no bar ({late.ticker} begins at {late.stamp(0)}, "
        f"{early.ticker} ends at {early.stamp(len(early) - 1)})"
    )
    return error("alignment", what, "an overlapping period", "leave one of them out")


def _shifted(series: Series, others: Seconds) -> int:
    """Return the likely lag of a ticker's stamps behind the others, in seconds; 0 if there is none.

    Parameters
    ----------
    others : (N,) int64
        Increasing stamps of the other tickers, in the shared span.
    """
    if len(series) < 5 or not len(others):
        return 0

    def share(shift: int) -> float:
        moved = series.times + shift
        inside = moved[(moved >= others[0]) & (moved <= others[-1])]
        if len(inside) < len(series) // 2:
            return 0.0
        at = np.minimum(np.searchsorted(others, inside), len(others) - 1)
        return float((others[at] == inside).mean())

    here = share(0)
    shifts = [step * 1800 for step in range(-28, 29) if step]
    best = max(shifts, key=lambda shift: (share(shift), -abs(shift)))
    return best if share(best) > 0.9 and share(best) > here + 0.4 else 0
