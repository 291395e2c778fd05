"""Tickers side by side: the span all share, and inside it every bar of every ticker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from podium.readers._findings import ERROR, Finding, error
from podium.readers._inspect import errors
from podium.readers._repair import filled
from podium.readers._series import Series, told
from podium.timeframe import Seconds


def side_by_side(
    name: str, series: Sequence[Series], asked: dict[str, int], notes: list[str]
) -> tuple[list[Series], list[Finding]]:
    """The series with one calendar, or why they have none.

    Bars start where the youngest ticker starts and end where the first one ends. Inside that span
    every ticker must have every bar, unless a repair fills or drops it.

    Parameters
    ----------
    name : str
        The dataset's.
    asked : dict
        Repairs, as :func:`podium.readers._repair.steps` gives them.
    notes : list of str
        What the repairs did is added.
    """
    empty = [one.ticker for one in series if not len(one)]
    if empty:
        what = f"ticker '{empty[0]}' has no bar left after the repairs"
        return [], [error("alignment", what, "at least one bar", "ask for fewer repairs")]
    start = max(int(one.times[0]) for one in series)
    stop = min(int(one.times[-1]) for one in series)
    cut = [_between(one, start, stop) for one in series]
    if not all(len(one) for one in cut):
        return [], [_never_met(name, series)]
    calendar = _union(cut)
    if "forward_fill" in asked:
        cut = [filled(one, calendar, asked["forward_fill"], notes) for one in cut]
    if "intersect" in asked:
        cut = _common(cut, notes)
        calendar = cut[0].times
    if not len(calendar):
        return [], [_never_met(name, series)]
    gaps = [finding for one in cut for finding in _gaps(one, calendar, cut)]
    # What was to be filled may lie before the first number, or in too long a hole.
    clear = np.zeros(len(calendar), dtype=bool)
    holes = [f for one in cut for f in errors(one, "UTC", clear[: len(one)])]
    return cut, gaps or holes


def _between(series: Series, start: int, stop: int) -> Series:
    first, last = np.searchsorted(series.times, [start, stop + 1])
    if first == 0 and last == len(series):
        return series
    return series.take(np.arange(first, last))


def _union(series: Sequence[Series]) -> Seconds:
    """Every stamp that some ticker has, increasing."""
    first = series[0].times
    if all(np.array_equal(one.times, first) for one in series[1:]):
        return first
    return np.unique(np.concatenate([one.times for one in series]))


def _common(series: Sequence[Series], notes: list[str]) -> list[Series]:
    """The series with the stamps that all have."""
    shared = series[0].times
    for one in series[1:]:
        shared = np.intersect1d(shared, one.times, assume_unique=True)
    dropped = [(one.ticker, len(one) - len(shared)) for one in series if len(one) > len(shared)]
    notes += [f"{t}: dropped {count} bars that not all tickers have" for t, count in dropped]
    return [one.take(np.isin(one.times, shared)) for one in series]


def _gaps(series: Series, calendar: Seconds, all_series: Sequence[Series]) -> list[Finding]:
    """Bars that a ticker lacks while others have them, inside the span all share."""
    if len(series) == len(calendar):
        return []
    missing = np.setdiff1d(calendar, series.times, assume_unique=True)
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    others = [one.times for one in all_series if one is not series]
    behind = _shifted(series, np.unique(np.concatenate(others))) if others else 0
    if behind:
        way = "behind" if behind > 0 else "ahead of"
        return [
            Finding(
                ERROR,
                "time zone",
                f"ticker '{series.ticker}' lies {abs(behind) / 3600:g} hours {way} the others: "
                f"it has no bar at {told(int(missing[0]))}{more}, other tickers do",
                "stamps of all tickers in one time zone",
                "write them with their offset from UTC, or in one zone",
                series.ticker,
                len(missing),
                told(int(missing[0])),
            )
        ]
    return [
        Finding(
            ERROR,
            "missing bars",
            f"ticker '{series.ticker}' has no bar at {told(int(missing[0]))}{more}, other tickers "
            "do",
            "every bar for every ticker",
            "add the bar, or remove it from every ticker",
            series.ticker,
            len(missing),
            told(int(missing[0])),
            "intersect",
        )
    ]


def _never_met(name: str, series: Sequence[Series]) -> Finding:
    late = max(series, key=lambda one: int(one.times[0]))
    early = min(series, key=lambda one: int(one.times[-1]))
    return error(
        "alignment",
        f"dataset '{name}': the tickers share no bar ({late.ticker} begins at {late.stamp(0)}, "
        f"{early.ticker} ends at {early.stamp(len(early) - 1)})",
        "an overlapping period",
        "leave one of them out",
    )


def _shifted(series: Series, others: Seconds) -> int:
    """Seconds by which a ticker's stamps seem to lie behind those of the others; 0: they do not.

    Parameters
    ----------
    others : (N,) int64
        Increasing stamps of the other tickers, in the span all share.
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
