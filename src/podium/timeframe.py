"""Timeframe: length of a bar, and the time on an exchange's clock at an instant."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.arrays import Times
from podium.errors import UsageError, suggest

Seconds = NDArray[np.int64]

# Names as in podium.toml; 1M is one minute.
DAY = 86_400
_MINUTES = {"1M": 60, "5M": 300, "15M": 900, "30M": 1800}
SECONDS = {**_MINUTES, "1H": 3600, "4H": 14_400, "D": DAY, "W": 7 * DAY}
# Zones change their offset at most once in this time.
_PROBE = 6 * 3600


def is_dated(timeframe: str) -> bool:
    """Whether bars of that length have dates: days and weeks."""
    return timeframe in ("D", "W")


def modal_gap(times: Seconds) -> int:
    """Most frequent gap between neighbouring instants, seconds; 0 if there is none."""
    gaps = np.diff(times)
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return 0
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[np.argmax(counts)])


def of_gap(gap: int) -> str | None:
    """Timeframe of bars with ``gap`` seconds between them; None if there is none.

    Days may be an hour longer or shorter, for changes of the clock.

    Examples
    --------
    >>> of_gap(3600), of_gap(86_400), of_gap(180)
    ('1H', 'D', None)
    """
    for name, length in SECONDS.items():
        if gap == length or (is_dated(name) and abs(gap - length) <= 3600):
            return name
    return None


def following(times: Times, count: int) -> Times:
    """Expected times of the next bars, by the weekdays and times of day of known ones.

    Parameters
    ----------
    times : (T,) datetime64[s]
        Times of bars, increasing.
    count : int

    Examples
    --------
    >>> week = np.datetime64("2026-03-02", "s") + 86_400 * np.arange(5)  # Monday to Friday
    >>> following(week, 2).astype("datetime64[D]").tolist()
    [datetime.date(2026, 3, 9), datetime.date(2026, 3, 10)]
    """
    seconds = times.astype("datetime64[s]").astype(np.int64)
    gap, week = modal_gap(seconds) or DAY, 7 * DAY
    later = gap * np.arange(1, count + 1)
    if gap < week:
        # Two weeks, so that a change of the clock does not give two times for one bar for long.
        known = np.unique(seconds[seconds > seconds[-1] - 2 * week] % week)
        ahead = np.sort((known - seconds[-1]) % week)
        later = (ahead + week * np.arange(count + 1)[:, np.newaxis]).ravel()
        later = later[later > 0][:count]
    ends: Times = (seconds[-1] + later).astype("datetime64[s]")
    return ends


def whole_seconds(moments: ArrayLike) -> Times:
    """Moments in whole seconds, rounded up: a value known at 59.5 is not known at 59."""
    given = np.asarray(moments, dtype="datetime64")
    seconds = given.astype("datetime64[s]")
    return seconds + (seconds < given)


def zone(name: str) -> ZoneInfo:
    """Time zone of that name.

    Raises
    ------
    UsageError
        The zone does not exist; near names are suggested.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from difflib import get_close_matches

        near = get_close_matches(name, available_timezones(), n=3)
        fix = f"did you mean {', '.join(near)}?" if near else suggest(name, ["UTC"])
        raise UsageError(
            f"time zone '{name}'", "a name such as UTC or America/New_York", fix
        ) from None


def offsets(instants: Seconds, name: str) -> Seconds:
    """Offset of a zone's clock from UTC at each instant, in seconds.

    Parameters
    ----------
    instants : (T,) int64
        Seconds since 1970 UTC, in any order.
    name : str
        A name such as ``America/New_York``.

    Examples
    --------
    >>> noon = np.array([1_577_880_000, 1_593_604_800])  # 2020-01-01 and 2020-07-01, 12:00 UTC
    >>> (offsets(noon, "America/New_York") // 3600).tolist()
    [-5, -4]
    """
    if name == "UTC" or not len(instants):
        return np.zeros(len(instants), dtype=np.int64)
    clock = zone(name)
    low, high = int(instants.min()), int(instants.max())
    probes = [*range(low, high, _PROBE), high]
    known = [_offset(probe, clock) for probe in probes]
    starts, values = [low], [known[0]]
    for left, right, before, after in zip(probes, probes[1:], known, known[1:], strict=False):
        if before != after:
            starts.append(_change(left, right, before, clock))
            values.append(after)
    at = np.searchsorted(np.asarray(starts), instants, side="right") - 1
    return np.asarray(values, dtype=np.int64)[at]


def instants(walls: Seconds, name: str, *, first: bool = False) -> Seconds:
    """Instants of times on a zone's clock.

    A repeated time means its second occurrence, or the ``first``; a skipped time means the moment
    of the change.

    Parameters
    ----------
    walls : (N,) int64
        Times on the clock, as seconds since 1970 on that clock.
    """
    if name == "UTC":
        return walls
    clock = zone(name)
    choose = min if first else max
    result = []
    for wall in walls.tolist():
        shown = dt.datetime.fromtimestamp(wall, dt.UTC).replace(tzinfo=clock)
        early, late = (int(shown.replace(fold=fold).timestamp()) for fold in (0, 1))
        if early > late:  # a skipped time: the change is between the two readings
            result.append(_change(late, early, _offset(late, clock), clock))
        else:
            result.append(choose(early, late))
    return np.asarray(result, dtype=np.int64)


def clock_time(text: str) -> int:
    """Seconds after midnight of ``HH:MM``.

    Raises
    ------
    UsageError
        The text is not a time of day.

    Examples
    --------
    >>> clock_time("09:30")
    34200
    """
    try:
        time = dt.time.fromisoformat(text)
    except ValueError:
        raise UsageError(f"time of day '{text}'", "hours and minutes such as 17:00") from None
    return time.hour * 3600 + time.minute * 60


def _offset(instant: int, clock: ZoneInfo) -> int:
    offset = dt.datetime.fromtimestamp(instant, clock).utcoffset()
    assert offset is not None  # a ZoneInfo always has one
    return int(offset.total_seconds())


def _change(left: int, right: int, before: int, clock: ZoneInfo) -> int:
    """First instant after ``left`` at which the offset is not the one before."""
    while right - left > 1:
        middle = (left + right) // 2
        if _offset(middle, clock) == before:
            left = middle
        else:
            right = middle
    return right
