"""Coarser bars from finer ones, anchored to the exchange's clock; unfinished bars are dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.errors import DataError, UsageError
from podium.timeframe import DAY, SECONDS, Seconds, clock_time, instants, offsets

WEEK = 7
# The first day of a week that ends on ..., counted from Thursday 1970-01-01.
WEEK_STARTS = {"friday": 2, "sunday": 4}


def resample(
    dataset: Dataset,
    timeframe: str,
    *,
    timezone: str = "UTC",
    day_starts_at: str = "00:00",
    week_ends: str = "friday",
    dated: bool = False,
) -> Dataset:
    """Bars of a longer timeframe: first open, highest high, lowest low, last close, volume in sum.

    A bar that closes at ``t`` belongs to the period ``(begin, end]`` that holds ``t``; the coarse
    bar is stamped with the period's end, where all of it is known. Periods hang on the clock of
    ``timezone``: hours on the hour, four hours and days from ``day_starts_at`` on, weeks from the
    day after ``week_ends``. A day of 23 or 25 hours stays a day. Periods without a bar give none.

    The first and the last coarse bar are dropped unless the source covers the period from its
    begin to its end. A session that closes before its period ends is finished when the next bar
    comes; with ``day_starts_at`` at the session's close, it is finished at once.

    Parameters
    ----------
    dataset : Dataset
        Bars stamped with their close; its own timeframe says how far each reaches back.
    timeframe : str
        Longer than the dataset's.
    timezone : str
        The exchange's zone.
    day_starts_at : str
        ``HH:MM`` on that clock. From noon on it begins the trading day of the date that follows, as
        17:00 in New York does for currencies.
    week_ends : {"friday", "sunday"}
        Last day of a week.
    dated : bool
        The stamps are the dates of whole days, as in daily files; weeks are then stamped with the
        date of their last day.

    Raises
    ------
    UsageError
        The timeframe is not longer than the dataset's.
    DataError
        Bars reach over the begin of a period, or no period is complete.

    Examples
    --------
    >>> from podium.testing.series import bars
    >>> weeks = resample(bars(20), "W", dated=True)  # the first week has no Saturday and Sunday
    >>> [str(t)[:10] for t in weeks.times], weeks.timeframe
    (['2000-01-14', '2000-01-21', '2000-01-28'], 'W')
    """
    fine, length = SECONDS[dataset.timeframe], SECONDS[timeframe]
    if length <= fine:
        raise UsageError(
            f"bars of {dataset.timeframe} cannot be made into {timeframe}",
            "a longer timeframe than the files have",
        )
    times = dataset.times.astype("datetime64[s]").astype(np.int64)
    if not len(times):
        raise DataError(f"dataset '{dataset.name}' has no bar to make {timeframe} bars of")
    # A date stands for the day it begins; its last second lies inside the same period.
    closes = times + DAY if dated else times
    zone = "UTC" if dated else timezone
    anchor = 0 if dated else clock_time(day_starts_at)
    # The last second of a bar: inside its period, whichever way the period's ends are counted.
    ahead = offsets(closes - 1, zone)
    inside = closes - 1 + ahead
    period = _period(inside, length, anchor, week_ends)
    wall = _begin(period, length, anchor, week_ends)
    _require_whole(dataset, timeframe, inside + 1 - fine < wall, day_starts_at, zone)
    same = period[1:] == period[:-1]
    if length <= 3600:
        # An hour that the clock shows twice is two periods.
        same &= ahead[1:] == ahead[:-1]
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    begins, ends = (
        _instant(walls, ahead[starts], length, zone, first=True)
        for walls in (wall[starts], wall[starts] + length)
    )
    stamps = _instant(wall[starts] + length, ahead[starts], length, zone, first=False)
    keep = slice(
        0 if closes[0] - fine <= begins[0] else 1,
        len(starts) - (0 if closes[-1] >= ends[-1] else 1),
    )
    if keep.stop <= keep.start:
        raise DataError(
            f"dataset '{dataset.name}' has no complete {timeframe} bar from {dataset.times[0]} to "
            f"{dataset.times[-1]}",
            "bars from the begin of a period to its end",
            "add earlier or later bars, or choose a shorter timeframe",
        )
    stamps = stamps - DAY if dated else stamps
    found = replace(
        dataset,
        timeframe=timeframe,
        times=stamps[keep].astype("datetime64[s]"),
        fields={name: _gathered(name, v, starts)[keep] for name, v in dataset.fields.items()},
    )
    if dataset.members is None:
        return found
    # Decided is at the period's end: who has left by then is no member, though it has a bar.
    return found.among(dataset.members[np.append(starts[1:], len(times)) - 1][keep])


def _gathered(name: str, values: Floats, starts: NDArray[np.intp]) -> Floats:
    """One field of the coarse bars, (periods, S), of the bars that each ticker has there."""
    if name in ("high", "low"):
        gather = {"high": np.fmax, "low": np.fmin}[name]
        return gather.reduceat(values, starts, axis=0)
    known = np.isfinite(values)
    there = np.logical_or.reduceat(known, starts, axis=0)
    if name == "volume":
        total = np.add.reduceat(np.where(known, values, 0.0), starts, axis=0)
        return np.where(there, total, np.nan)
    row = np.arange(len(values))[:, np.newaxis]
    if name == "open":
        at = np.minimum.reduceat(np.where(known, row, len(values)), starts, axis=0)
    else:
        at = np.maximum.reduceat(np.where(known, row, -1), starts, axis=0)
    picked = np.take_along_axis(values, np.clip(at, 0, len(values) - 1), axis=0)
    return np.where(there, picked, np.nan)


def _period(inside: Seconds, length: int, anchor: int, week_ends: str) -> Seconds:
    """Number of the period each moment on the clock lies in."""
    if length < SECONDS["W"]:
        return (inside - anchor) // length
    return (_date(inside, anchor) - WEEK_STARTS[week_ends]) // WEEK


def _begin(period: Seconds, length: int, anchor: int, week_ends: str) -> Seconds:
    """What the clock shows where a period begins."""
    if length < SECONDS["W"]:
        return anchor + period * length
    first_day = period * WEEK + WEEK_STARTS[week_ends] - _evening(anchor)
    return anchor + first_day * DAY


def _date(inside: Seconds, anchor: int) -> Seconds:
    """Number of the trading day; one that begins in the afternoon has the next day's date."""
    return (inside - anchor) // DAY + _evening(anchor)


def _evening(anchor: int) -> int:
    return 1 if anchor >= DAY // 2 else 0


def _instant(walls: Seconds, ahead: Seconds, length: int, zone: str, *, first: bool) -> Seconds:
    # Up to an hour a period's bars share one offset; longer ones may begin on one, end on another.
    return walls - ahead if length <= 3600 else instants(walls, zone, first=first)


def _require_whole(
    dataset: Dataset, timeframe: str, crosses: NDArray[np.bool_], day_starts_at: str, zone: str
) -> None:
    """Refuse bars that hold prices of two periods: they would carry one into the other."""
    rows = np.flatnonzero(crosses)
    if len(rows):
        raise DataError(
            f"dataset '{dataset.name}': {len(rows)} {dataset.timeframe} bars reach over the begin "
            f"of a {timeframe} bar, the first closes at {dataset.times[rows[0]]} UTC (days start "
            f"at {day_starts_at} in {zone})",
            f"bars that lie inside one {timeframe} bar",
            'set day_starts_at (such as "09:30") and timezone to where the bars are counted from',
        )
