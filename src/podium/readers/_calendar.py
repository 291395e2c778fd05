"""Checks of stamps against the calendar that they imply: usual days, hours and openings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from podium.arrays import Mask
from podium.readers._findings import NOTE, WARNING, DataIssue, error, warning
from podium.readers._inspect import runs_of
from podium.readers._series import Series, iso
from podium.timeframe import DAY, SECONDS, Seconds, is_dated, modal_gap, of_gap, offsets


def check_timeframe(series: Sequence[Series], timeframe: str) -> list[DataIssue]:
    """Return an issue if the gap between bars differs from the timeframe."""
    longest = max(series, key=len, default=None)
    gap = modal_gap(longest.times) if longest else 0
    if not longest or not gap:
        return []
    length, inferred = SECONDS[timeframe], of_gap(gap)
    words = f"{longest.ticker}: most bars are {_duration(gap)} apart, timeframe is {timeframe}"
    if gap < 0.9 * length:
        fix = f'set timeframe = "{inferred}"' if inferred else "choose the timeframe of the files"
        if inferred and SECONDS[inferred] < length:
            fix += f', and resample = "{timeframe}" for coarser bars'
        return [error("timeframe", words, "the timeframe of the files", fix, longest.ticker)]
    if gap > 1.5 * length and not is_dated(timeframe):
        return [warning("timeframe", words, ticker=longest.ticker)]
    return []


def check_calendar(series: Series, timeframe: str, timezone: str) -> list[DataIssue]:
    """Return the gaps and shifts of the stamps against the calendar that they imply."""
    if len(series) < 2:
        return []
    if is_dated(timeframe):
        return list(_holes_by_day(series))
    shifts = _openings(series, timeframe, timezone)
    return [*_holes_by_clock(series, timeframe, timezone), *shifts]


def _holes_by_day(series: Series) -> Iterator[DataIssue]:
    """Yield missing days of the usual weekdays."""
    days = series.times // DAY
    gap = modal_gap(series.times)
    if gap > 2 * DAY:
        return
    # 1970-01-01 was a Thursday.
    weekday = (days + 3) % 7
    weeks = max(1, int((days[-1] - days[0]) // 7))
    usual = np.bincount(weekday, minlength=7) > 0.5 * weeks
    span = np.arange(days[0], days[-1] + 1)
    expected = span[usual[(span + 3) % 7]]
    missing = ~np.isin(expected, days)
    yield from _holes(series, expected * DAY, missing, "days", 3)


def _holes_by_clock(series: Series, timeframe: str, timezone: str) -> Iterator[DataIssue]:
    """Yield missing bars of the usual hours of the week."""
    length = SECONDS[timeframe]
    local = series.times + offsets(series.times, timezone)
    if ((local - local[0]) % length).any():
        where = f"on one grid of {timeframe} on the clock of {timezone}"
        fix = "set timezone, or check the stamps"
        words = f"{series.ticker}: closes are not {where}"
        yield warning("clock", words, fix=fix, ticker=series.ticker)
        return
    slots = (local - local[0]) // length
    a_week = SECONDS["W"] // length
    phase = slots % a_week
    weeks = -(-int(slots[-1] + 1) // a_week)
    if weeks < 2:
        return
    usual = np.bincount(phase, minlength=a_week) > 0.5 * weeks
    present = np.zeros(int(slots[-1]) + 1, dtype=bool)
    present[slots] = True
    expected = np.flatnonzero(usual[np.arange(len(present)) % a_week])
    yield from _holes(series, local[0] + expected * length, ~present[expected], "bars", 2)


def _holes(
    series: Series, expected: Seconds, missing: Mask, unit: str, least: int
) -> Iterator[DataIssue]:
    """Yield missing stamps: long gaps as a warning, others as a note."""
    if not missing.any():
        return
    starts, lengths = runs_of(missing)
    long = lengths >= least
    severity, chosen = (WARNING, long) if long.any() else (NOTE, lengths > 0)
    widest = int(np.argmax(lengths))
    first = iso(int(expected[starts[chosen][0]]))
    often = "once," if len(starts) == 1 else f"{len(starts)} times"
    count = int(missing.sum())
    words = (
        f"{series.ticker} lacks {count} {unit} of its usual calendar, {often} from {first} on; the "
        f"longest gap has {lengths[widest]} from {iso(int(expected[starts[widest]]))} on"
    )
    yield DataIssue(severity, "gaps", words, "", "", series.ticker, count, first)


def _openings(series: Series, timeframe: str, timezone: str) -> Iterator[DataIssue]:
    """Yield a permanent shift of the time of day at which sessions begin."""
    length = SECONDS[timeframe]
    after_pause = np.flatnonzero(np.diff(series.times) >= max(3 * 3600, 3 * length)) + 1
    if len(after_pause) < 10:
        return
    opens = series.times[after_pause]
    local = opens + offsets(opens, timezone)
    week, time_of_day = (local // DAY + 3) // 7, local % DAY
    usual = []
    for one in np.unique(week):
        times, counts = np.unique(time_of_day[week == one], return_counts=True)
        usual.append((int(one), int(times[np.argmax(counts)])))
    # A single week (a holiday) between two that agree is no change of the clock.
    smoothed = [
        one if one[1] == before[1] or before[1] != after[1] else (one[0], before[1])
        for before, one, after in zip([usual[0], *usual], usual, [*usual[1:], usual[-1]])  # noqa: B905
    ]
    changes = [
        (now[0], now[1] - before[1]) for before, now in pairwise(smoothed) if now[1] != before[1]
    ]
    if not changes:
        return
    when = iso(int((changes[0][0] * 7 - 3) * DAY))
    hours = changes[0][1] / 3600
    turns = all(abs(step) == 3600 for _, step in changes) and all(
        one[1] == -two[1] for one, two in pairwise(changes)
    )
    if turns and len(changes) > 1:
        severity, what = NOTE, "daylight saving"
        words = (
            f"sessions begin an hour earlier or later in turns, first in the week of {when}: the "
            f"clock of {timezone} and the exchange's change at other times"
        )
        fix = "set exchange_timezone to the exchange's zone, and timezone too if the stamps are "
        fix += "its local times"
    else:
        severity, what = WARNING, "time zone"
        words = (
            f"from the week of {when} on sessions begin {abs(hours):g} h "
            f"{'later' if hours > 0 else 'earlier'} on the clock of {timezone}, like stamps of "
            "another time zone"
        )
        fix = "write all stamps in one zone, or with their offset"
    found = f"{series.ticker}: {words}"
    yield DataIssue(severity, what, found, "", fix, series.ticker, len(changes), when)


def _duration(seconds: int) -> str:
    for name, length in (("days", DAY), ("hours", 3600), ("minutes", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {name}"
    return f"{seconds} seconds"
