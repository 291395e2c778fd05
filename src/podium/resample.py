"""Coarser bars from finer ones, aligned with the exchange's clock; incomplete bars are dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from podium.arrays import Floats
from podium.dataset import Dataset
from podium.errors import DataError, UsageError
from podium.timeframe import DAY, SECONDS, Seconds, clock_time, instants, offsets

WEEK = 7
# First day of a week by its last day, in days from Thursday 1970-01-01.
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
    """Bars of a longer timeframe: first open, highest high, lowest low, last close, total volume.

    A bar that closes at ``t`` belongs to the period ``(begin, end]`` that contains ``t``. A coarse
    bar has the time of its period's end. Periods follow the clock of ``timezone``: hours start on
    the hour, four hours and days at ``day_starts_at``, weeks on the day after ``week_ends``. A day
    of 23 or 25 hours is one day. Periods without a bar are left out.

    The first and the last coarse bar are dropped unless the source covers the period from its
    begin to its end. A session that closes before its period ends is complete when the next bar
    comes; with ``day_starts_at`` at the session's close, it is complete at once.

    Parameters
    ----------
    dataset : Dataset
        Bars with the time of their close, each as long as the dataset's timeframe.
    timeframe : str
        Longer than the dataset's.
    timezone : str
        Time zone of the exchange.
    day_starts_at : str
        ``HH:MM`` on that clock. A time from noon on starts the trading day of the next date, such
        as 17:00 in New York for currencies.
    week_ends : {"friday", "sunday"}
        Last day of a week.
    dated : bool
        Times are the dates of whole days, as in daily files; weeks get the date of their last day.

    Raises
    ------
    UsageError
        The timeframe is not longer than the dataset's.
    DataError
        A bar covers the begin of a period, or no period is complete.

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
            f"{dataset.timeframe} bars cannot be resampled to {timeframe}",
            "a longer timeframe than that of the files",
        )
    times = dataset.times.astype("datetime64[s]").astype(np.int64)
    if not len(times):
        raise DataError(f"dataset '{dataset.name}' has no bar to resample to {timeframe}")
    # A date means the day that it starts; the last second of the day is in the same period.
    closes = times + DAY if dated else times
    zone = "UTC" if dated else timezone
    anchor = 0 if dated else clock_time(day_starts_at)
    # The last second of a bar is inside its period, whichever end the period includes.
    ahead = offsets(closes - 1, zone)
    inside = closes - 1 + ahead
    period = _period(inside, length, anchor, week_ends)
    wall = _begin(period, length, anchor, week_ends)
    _require_whole(dataset, timeframe, inside + 1 - fine < wall, day_starts_at, zone)
    same = period[1:] == period[:-1]
    if length <= 3600:
        # An hour that the clock repeats is two periods.
        same &= ahead[1:] == ahead[:-1]
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    begins, ends = (
        _instant(walls, ahead[starts], length, zone, first=True)
        for walls in (wall[starts], wall[starts] + length)
    )
    stamps = _instant(wall[starts] + length, ahead[starts], length, zone, first=False)
    keep = slice(int(closes[0] - fine > begins[0]), len(starts) - int(closes[-1] < ends[-1]))
    if keep.stop <= keep.start:
        raise DataError(
            f"dataset '{dataset.name}' has no complete {timeframe} bar from {dataset.times[0]} to "
            f"{dataset.times[-1]}",
            "bars from the begin of a period to its end",
            "add earlier or later bars, or choose a shorter timeframe",
        )
    stamps = stamps - DAY if dated else stamps
    coarse = replace(
        dataset,
        timeframe=timeframe,
        times=stamps[keep].astype("datetime64[s]"),
        fields={name: _gathered(name, v, starts)[keep] for name, v in dataset.fields.items()},
    )
    if dataset.members is None:
        return coarse
    # Decisions are at the period's end: a ticker that left before is not a member, despite its bar.
    return coarse.among(dataset.members[np.append(starts[1:], len(times)) - 1][keep])


def _gathered(name: str, values: Floats, starts: NDArray[np.intp]) -> Floats:
    """One field of the coarse bars, (periods, S), from each ticker's bars in the period."""
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
    """Number of the period of each moment on the clock."""
    if length < SECONDS["W"]:
        return (inside - anchor) // length
    return (_date(inside, anchor) - WEEK_STARTS[week_ends]) // WEEK


def _begin(period: Seconds, length: int, anchor: int, week_ends: str) -> Seconds:
    """Clock time at the begin of a period."""
    if length < SECONDS["W"]:
        return anchor + period * length
    first_day = period * WEEK + WEEK_STARTS[week_ends] - _evening(anchor)
    return anchor + first_day * DAY


def _date(inside: Seconds, anchor: int) -> Seconds:
    """Number of the trading day; a day that starts in the afternoon has the next date."""
    return (inside - anchor) // DAY + _evening(anchor)


def _evening(anchor: int) -> int:
    return 1 if anchor >= DAY // 2 else 0


def _instant(walls: Seconds, ahead: Seconds, length: int, zone: str, *, first: bool) -> Seconds:
    # Bars of a period up to an hour share one offset; longer periods may contain a change.
    return walls - ahead if length <= 3600 else instants(walls, zone, first=first)


def _require_whole(
    dataset: Dataset, timeframe: str, crosses: NDArray[np.bool_], day_starts_at: str, zone: str
) -> None:
    """Refuse bars with prices of two periods."""
    rows = np.flatnonzero(crosses)
    if len(rows):
        raise DataError(
            f"dataset '{dataset.name}': {len(rows)} {dataset.timeframe} bars cover the begin "
            f"of a {timeframe} bar, the first closes at {dataset.times[rows[0]]} UTC (days start "
            f"at {day_starts_at} in {zone})",
            f"bars inside one {timeframe} bar",
            'set day_starts_at (such as "09:30") and timezone to the start of the bars',
        )
