"""Coarser bars: on the clock, known at their end, and never from a bar of the next period."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barfiles import bars as bar_frame
from barfiles import read, write
from podium import sections, timeframe
from podium.dataset import FIELDS, Dataset
from podium.errors import DataError, UsageError
from podium.resample import resample

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")


def dataset(times, tickers=("AAA", "BBB"), length="1H"):
    """Bars whose numbers tell where they come from; volumes are whole, so sums are exact."""
    stamps = pd.DatetimeIndex(times).as_unit("s")
    frames = [bar_frame(ticker, stamps, adjusted=False) for ticker in tickers]
    fields = {f: np.column_stack([frame[f].to_numpy(float) for frame in frames]) for f in FIELDS}
    return Dataset("d", length, tuple(tickers), stamps.to_numpy("datetime64[s]"), fields)


def hours(first, count):
    """Closes of hourly bars round the clock, the first bar beginning at ``first``."""
    return pd.date_range(pd.Timestamp(first) + pd.Timedelta(hours=1), periods=count, freq="h")


def stamps(found):
    return [str(time) for time in found.times]


def rows_between(source, begin, end):
    return (source.times > np.datetime64(begin)) & (source.times <= np.datetime64(end))


def same(one, two):
    assert stamps(one) == stamps(two)
    for field in FIELDS:
        np.testing.assert_array_equal(one[field], two[field])


def test_a_coarse_bar_has_the_first_open_highest_high_lowest_low_last_close_and_all_volume():
    source = dataset(hours("2020-01-01", 48))
    found = resample(source, "4H")
    assert stamps(found)[:2] == ["2020-01-01T04:00:00", "2020-01-01T08:00:00"]
    assert found.timeframe == "4H"
    inside = rows_between(source, "2020-01-01T04:00", "2020-01-01T08:00")
    expected = {
        "open": source["open"][inside][0],
        "high": source["high"][inside].max(axis=0),
        "low": source["low"][inside].min(axis=0),
        "close": source["close"][inside][-1],
        "volume": source["volume"][inside].sum(axis=0),
    }
    for field, values in expected.items():
        np.testing.assert_array_equal(found[field][1], values)


@pytest.mark.parametrize(
    ("begin", "count", "expected"),
    [
        ("2020-01-01T00:00", 8, ["04", "08"]),  # whole
        ("2020-01-01T00:00", 7, ["04"]),  # the last one has no end
        ("2020-01-01T01:00", 7, ["08"]),  # the first one has no begin
        ("2020-01-01T01:00", 6, None),  # neither
    ],
)
def test_bars_that_are_not_covered_to_their_ends_are_dropped(begin, count, expected):
    source = dataset(hours(begin, count))
    if expected is None:
        with pytest.raises(DataError, match="no complete 4H bar"):
            resample(source, "4H")
        return
    assert stamps(resample(source, "4H")) == [f"2020-01-01T{hour}:00:00" for hour in expected]


def test_a_session_shorter_than_its_period_is_finished_when_the_next_bar_comes():
    days = pd.bdate_range("2020-01-06", periods=3)
    session = [day + pd.Timedelta(hours=hour) for day in days for hour in range(10, 17)]
    found = resample(dataset(session), "D")
    # The first day may have begun before the file does; the last may go on.
    assert stamps(found) == ["2020-01-08T00:00:00"]
    at_close = resample(dataset(session), "D", day_starts_at="16:00")
    assert stamps(at_close) == ["2020-01-07T16:00:00", "2020-01-08T16:00:00"]


def test_periods_without_a_bar_give_none_and_holes_inside_one_do_not_matter():
    times = hours("2020-01-01", 48)
    source = dataset(times.delete([5, *range(12, 20)]))
    found = resample(source, "4H")
    assert "2020-01-01T16:00:00" not in stamps(found)
    inside = rows_between(source, "2020-01-01T04:00", "2020-01-01T08:00")
    assert inside.sum() == 3
    np.testing.assert_array_equal(found["volume"][1], source["volume"][inside].sum(axis=0))


# The clock


def test_days_and_four_hours_hang_on_the_clock_of_the_zone():
    source = dataset(hours("2020-03-06", 24 * 6))  # clocks leap on 2020-03-08 in New York
    days = resample(source, "D", timezone="America/New_York")
    assert stamps(days) == [
        "2020-03-07T05:00:00",
        "2020-03-08T05:00:00",
        "2020-03-09T04:00:00",  # a day of 23 hours
        "2020-03-10T04:00:00",
        "2020-03-11T04:00:00",
    ]
    short = rows_between(source, "2020-03-08T05:00", "2020-03-09T04:00")
    assert short.sum() == 23
    np.testing.assert_array_equal(days["volume"][2], source["volume"][short].sum(axis=0))
    fours = resample(source, "4H", timezone="America/New_York")
    assert "2020-03-08T08:00:00" in stamps(fours)  # 00:00 to 04:00 with three hours in it
    local = fours.times.astype("int64") + timeframe.offsets(
        fours.times.astype("int64"), "America/New_York"
    )
    assert set(local // 3600 % 24) == {0, 4, 8, 12, 16, 20}


def test_an_hour_that_the_clock_shows_twice_gives_two_bars():
    halves = pd.date_range("2020-11-01T03:30", periods=20, freq="30min")
    found = resample(dataset(halves, length="30M"), "1H", timezone="America/New_York")
    assert np.diff(found.times.astype("int64")).tolist() == [3600] * (len(found) - 1)


def test_days_begin_where_the_table_says():
    source = dataset(hours("2020-01-05T22:00", 24 * 3))
    found = resample(source, "D", timezone="America/New_York", day_starts_at="17:00")
    assert stamps(found) == ["2020-01-06T22:00:00", "2020-01-07T22:00:00", "2020-01-08T22:00:00"]


def test_bars_that_reach_over_the_begin_of_a_period_are_refused_with_what_to_set():
    source = dataset(hours("2020-01-01T00:30", 40))
    with pytest.raises(DataError) as caught:
        resample(source, "4H")
    assert "cover the begin of a 4H bar, the first closes at 2020-01-01T04:30:00" in str(
        caught.value
    )
    assert "Set day_starts_at" in str(caught.value)
    assert stamps(resample(source, "4H", day_starts_at="00:30"))[0] == "2020-01-01T04:30:00"


def test_sessions_that_begin_at_half_past_nine_are_counted_from_there():
    days = pd.bdate_range("2020-01-06", periods=4)
    # Hourly bars from 9:30, the last one of half an hour.
    ends = [630, 690, 750, 810, 870, 930, 960]
    session = [day + pd.Timedelta(minutes=end) for day in days for end in ends]
    found = resample(dataset(session), "4H", day_starts_at="09:30")
    assert stamps(found)[:3] == [
        "2020-01-06T13:30:00",
        "2020-01-06T17:30:00",
        "2020-01-07T13:30:00",
    ]


@pytest.mark.parametrize(
    ("week_ends", "expected"),
    [
        ("friday", ["2020-01-11T00:00:00", "2020-01-18T00:00:00"]),
        ("sunday", ["2020-01-13T00:00:00", "2020-01-20T00:00:00"]),
    ],
)
def test_weeks_end_where_the_table_says(week_ends, expected):
    source = dataset(hours("2020-01-01", 24 * 20))
    found = resample(source, "W", week_ends=week_ends)
    assert stamps(found) == expected
    inside = rows_between(source, np.datetime64(expected[0]) - np.timedelta64(7, "D"), expected[0])
    assert inside.sum() == 7 * 24
    np.testing.assert_array_equal(found["volume"][0], source["volume"][inside].sum(axis=0))


def test_a_week_of_currencies_goes_from_sunday_evening_to_friday_evening():
    source = dataset(hours("2020-01-05T22:00", 24 * 14))
    local = source.times.astype("int64") - 5 * 3600
    weekday, hour = (local // 86_400 + 3) % 7, local % 86_400 // 3600
    closed = (
        ((weekday == 4) & (hour > 17))
        | (weekday == 5)
        | ((weekday == 6) & (hour <= 17))
        | ((weekday == 5) & (hour == 0))
    )
    open_hours = replace(
        source,
        times=source.times[~closed],
        fields={name: values[~closed] for name, values in source.fields.items()},
    )
    found = resample(open_hours, "W", timezone="America/New_York", day_starts_at="17:00")
    assert stamps(found) == ["2020-01-17T22:00:00"]
    inside = rows_between(open_hours, "2020-01-12T22:00", "2020-01-17T22:00")
    assert inside.sum() == 120
    np.testing.assert_array_equal(found["open"][0], open_hours["open"][inside][0])


def test_dates_become_weeks_stamped_with_their_last_date():
    source = dataset(pd.bdate_range("2020-01-01", periods=13), length="D")
    found = resample(source, "W", dated=True)
    # 2020-01-17 is the last day there is, and a Friday.
    assert stamps(found) == ["2020-01-10T00:00:00", "2020-01-17T00:00:00"]
    inside = (source.times >= np.datetime64("2020-01-06")) & (
        source.times <= np.datetime64("2020-01-10")
    )
    np.testing.assert_array_equal(found["volume"][0], source["volume"][inside].sum(axis=0))
    crypto = dataset(pd.date_range("2020-01-01", periods=21), length="D")
    assert stamps(resample(crypto, "W", dated=True, week_ends="sunday")) == [
        "2020-01-12T00:00:00",
        "2020-01-19T00:00:00",
    ]


@pytest.mark.parametrize("wanted", ["5M", "1H", "30M"])
def test_bars_do_not_become_finer(wanted):
    with pytest.raises(UsageError, match="a longer timeframe"):
        resample(dataset(hours("2020-01-01", 10)), wanted)


# What holds for any bars


starts = st.integers(0, 24 * 30).map(lambda h: pd.Timestamp("2020-03-01") + pd.Timedelta(hours=h))
coarse = st.sampled_from(["4H", "D", "W"])


def some_hours(first, count, seed, share):
    """Hours round the clock of which a share is missing."""
    times = hours(first, count)
    keep = np.random.default_rng(seed).random(count) > share
    keep[[0, -1]] = True
    return times[keep]


@given(starts, st.integers(60, 600), st.integers(0, 5), coarse, st.sampled_from(ZONES[:4]))
def test_every_coarse_bar_is_made_of_the_fine_bars_of_its_period(first, count, seed, length, zone):
    # Half hours: no zone of the list reaches over a period with them.
    times = some_hours(first, count, seed, 0.2)
    halves = times.union(times - pd.Timedelta(minutes=30))
    source = dataset(halves, length="30M")
    try:
        found = resample(source, length, timezone=zone)
    except DataError:
        return
    ends = found.times.astype("int64")
    assert (np.diff(ends) > 0).all()
    closes = source.times.astype("int64")
    owner = np.searchsorted(ends, closes)
    for row in range(len(found)):
        inside = owner == row
        if row == 0:
            # The begin of the first period is told by its opposite: what it does not hold.
            local = closes - 1 + timeframe.offsets(closes - 1, zone)
            last = local[inside][-1]
            span = timeframe.SECONDS[length]
            shift = {"W": 2 * 86_400}.get(length, 0)
            inside &= (local - shift) // span == (last - shift) // span
        np.testing.assert_array_equal(found["volume"][row], source["volume"][inside].sum(axis=0))
        np.testing.assert_array_equal(found["open"][row], source["open"][inside][0])
        np.testing.assert_array_equal(found["close"][row], source["close"][inside][-1])
        np.testing.assert_array_equal(found["high"][row], source["high"][inside].max(axis=0))


@given(
    starts,
    st.integers(60, 500),
    st.integers(0, 5),
    st.sampled_from(ZONES[:3]),
    st.sampled_from(["00:00", "08:00", "16:00"]),
)
def test_days_from_hours_are_days_from_four_hours_from_hours(first, count, seed, zone, begin):
    source = dataset(some_hours(first, count, seed, 0.1))
    told = {"timezone": zone, "day_starts_at": begin}
    try:
        at_once = resample(source, "D", **told)
        in_two_steps = resample(resample(source, "4H", **told), "D", **told)
    except DataError:
        return
    # Holes at an end of the file may hide from the second step that a period was covered.
    first_both = max(at_once.times[0], in_two_steps.times[0])
    last_both = min(at_once.times[-1], in_two_steps.times[-1])
    assert abs(len(at_once) - len(in_two_steps)) <= 2
    for found in (at_once, in_two_steps):
        assert found.times[0] <= first_both + np.timedelta64(2, "D")
    one, two = (
        found.slice(
            int(np.searchsorted(found.times, first_both)),
            int(np.searchsorted(found.times, last_both, "right")),
        )
        for found in (at_once, in_two_steps)
    )
    same(one, two)


@pytest.mark.parametrize("zone", ZONES[:3])
def test_days_round_the_clock_are_the_same_to_the_last_in_one_step_or_two(zone):
    source = dataset(hours("2020-03-01T05:00", 24 * 30))
    same(
        resample(source, "D", timezone=zone),
        resample(resample(source, "4H", timezone=zone), "D", timezone=zone),
    )


@given(
    starts, st.integers(60, 500), st.integers(0, 5), coarse, st.sampled_from(ZONES[:3]),
    st.floats(0.1, 0.9),
)  # fmt: skip
def test_no_coarse_bar_changes_when_later_fine_bars_change_or_are_not_there(
    first, count, seed, length, zone, share
):
    source = dataset(some_hours(first, count, seed, 0.1))
    try:
        whole = resample(source, length, timezone=zone)
    except DataError:
        return
    cut = int(share * len(source))
    known = whole.times <= source.times[cut - 1]
    values = {name: v.copy() for name, v in source.fields.items()}
    for column in values.values():
        column[cut:] *= 3.0
    changed = resample(replace(source, fields=values), length, timezone=zone)
    for field in FIELDS:
        np.testing.assert_array_equal(changed[field][known], whole[field][known])
    try:
        short = resample(source.slice(0, cut), length, timezone=zone)
    except DataError:
        return
    # What a shorter file tells, the longer one does not take back.
    assert stamps(short) == stamps(whole)[: len(short)]
    for field in FIELDS:
        np.testing.assert_array_equal(short[field], whole[field][: len(short)])


@settings(max_examples=30)
@given(st.permutations(["AAA", "BBB", "CCC"]), st.integers(1, 3), coarse)
def test_resampling_commutes_with_selecting_tickers(order, count, length):
    source = dataset(hours("2020-01-01", 24 * 21), tickers=("AAA", "BBB", "CCC"))
    chosen = order[:count]
    one = resample(source.select(chosen), length)
    two = resample(source, length).select(chosen)
    assert one.fingerprint == two.fingerprint


@settings(max_examples=20)
@given(st.integers(0, 60), st.integers(0, 60), coarse)
def test_resampling_commutes_with_aligning_tickers(late, early, length):
    from pathlib import Path
    from tempfile import TemporaryDirectory

    times = hours("2020-01-01T05:00", 24 * 28).as_unit("s")
    frames = {
        "AAA": bar_frame("AAA", times, adjusted=False).iloc[late:],
        "BBB": bar_frame("BBB", times, adjusted=False).iloc[: len(times) - early],
    }
    with TemporaryDirectory() as name:
        path = write(Path(name) / "d", frames, "long", ".parquet")
        together = resample(read(path, ("AAA", "BBB"), timeframe="1H"), length)
        alone = [resample(read(path, (t,), timeframe="1H"), length) for t in frames]
    shared = np.intersect1d(alone[0].times, alone[1].times)
    np.testing.assert_array_equal(together.times, shared)
    for column, one in enumerate(alone):
        rows = np.isin(one.times, shared)
        for field in FIELDS:
            np.testing.assert_array_equal(together[field][:, column], one[field][rows, 0])


# Timeframes and clocks


def test_every_timeframe_of_the_configuration_has_a_length():
    assert tuple(timeframe.SECONDS) == sections.TIMEFRAMES
    lengths = list(timeframe.SECONDS.values())
    assert all(longer % shorter == 0 for shorter, longer in pairwise(lengths))


@settings(max_examples=50)
@given(st.sampled_from(ZONES), st.integers(-(10**9), 2 * 10**9), st.integers(1, 400))
def test_offsets_are_those_of_the_zone_at_every_instant(zone, first, days):
    import datetime as dt
    from zoneinfo import ZoneInfo

    instants = first + np.linspace(0, days * 86_400, 50).astype(np.int64)
    expected = [
        dt.datetime.fromtimestamp(int(i), ZoneInfo(zone)).utcoffset().total_seconds()
        for i in instants
    ]
    assert timeframe.offsets(instants, zone).tolist() == expected


@settings(max_examples=50)
@given(st.sampled_from(ZONES), st.integers(0, 2 * 10**9))
def test_what_a_clock_shows_is_an_instant_again(zone, instant):
    shown = instant + timeframe.offsets(np.array([instant]), zone)
    late = timeframe.instants(shown, zone)[0]
    first = timeframe.instants(shown, zone, first=True)[0]
    assert first <= instant <= late
    assert late - first in (0, 1800, 3600)


def test_a_wall_time_the_clock_leaps_over_is_the_moment_of_the_leap():
    leap = np.array([pd.Timestamp("2020-03-08T02:30").timestamp()], dtype=np.int64)
    for first in (True, False):
        found = timeframe.instants(leap, "America/New_York", first=first)
        assert str(found.astype("datetime64[s]")[0]) == "2020-03-08T07:00:00"


def test_gaps_tell_timeframes():
    for name, length in timeframe.SECONDS.items():
        assert timeframe.of_gap(length) == name
    assert timeframe.of_gap(23 * 3600) == "D"
    assert timeframe.of_gap(120) is None
    assert timeframe.modal_gap(np.array([0, 60, 120, 7200, 7260])) == 60
    assert timeframe.modal_gap(np.array([5])) == 0


@pytest.mark.parametrize("text", ["25:00", "noon", "12"])
def test_a_time_of_day_that_is_none_is_refused(text):
    if text == "12":
        assert timeframe.clock_time(text) == 12 * 3600
        return
    with pytest.raises(UsageError, match="hours and minutes"):
        timeframe.clock_time(text)
