"""Stamps: every usual form, one meaning each; what has two is refused with how to say which."""

import numpy as np
import pandas as pd
import pytest

from barfiles import HEADER, bars, csv, days, examine, read, refused
from podium.errors import UsageError

HOURS = pd.date_range("2020-01-30", periods=72, freq="h", unit="s")


def table(stamps):
    return [f"{stamp},100,102,98,100,{n}" for n, stamp in enumerate(stamps)]


def times(place, **settings):
    return read(place, **settings).times.astype("int64")


FORMS = [
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S.000",
    "%Y/%m/%d %H:%M",
    "%Y.%m.%d %H:%M",
    "%Y%m%d %H%M%S",
    "%Y%m%d%H%M%S",
    "%d.%m.%Y %H:%M:%S.000",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S%p",
    "%d-%m-%Y %H:%M",
    "%d-%b-%Y %H:%M",
    "%d %B %Y %H:%M",
    "%b %d %Y %H:%M",
]


@pytest.mark.parametrize("form", FORMS)
def test_usual_forms_are_read_without_options(form, tmp_path):
    if form == "%b %d %Y %H:%M":
        form = '"%b %d, %Y %H:%M"'
    place = csv(tmp_path / "d", HEADER, *table(HOURS.strftime(form.strip('"'))))
    if form.startswith('"'):
        place = csv(tmp_path / "d", HEADER, *table(HOURS.strftime(form)))
    found = times(place, timeframe="1H")
    np.testing.assert_array_equal(found, HOURS.asi8)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_numbers_since_1970_are_read_in_their_unit(unit, tmp_path):
    numbers = HOURS.as_unit(unit).asi8
    place = csv(tmp_path / "d", HEADER, *table(numbers))
    np.testing.assert_array_equal(times(place, timeframe="1H"), HOURS.asi8)
    frame = bars("AAA", HOURS, adjusted=False).assign(date=numbers)
    (tmp_path / "p").mkdir()
    frame.to_parquet(tmp_path / "p" / "AAA.parquet", index=False)
    np.testing.assert_array_equal(times(tmp_path / "p", timeframe="1H"), HOURS.asi8)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_stamps_of_any_unit_and_zone_are_instants(unit, zone, tmp_path):
    stamps = HOURS.tz_localize("UTC").tz_convert(zone) if zone else HOURS
    frame = bars("AAA", HOURS, adjusted=False).assign(date=stamps.as_unit(unit))
    frame.to_parquet(tmp_path / "AAA.parquet", index=False)
    np.testing.assert_array_equal(times(tmp_path, timeframe="1H"), HOURS.asi8)


@pytest.mark.parametrize("kind", ["date", "text"])
def test_parquet_dates_and_texts_are_stamps_too(kind, tmp_path):
    frame = bars("AAA", days(5), adjusted=False)
    frame["date"] = frame["date"].dt.date if kind == "date" else frame["date"].astype(str)
    frame.to_parquet(tmp_path / "AAA.parquet", index=False)
    np.testing.assert_array_equal(times(tmp_path), days(5).asi8)


def test_a_day_and_a_month_that_may_change_places_are_refused_with_both_formats(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(["01/02/2020", "02/02/2020", "03/02/2020"]))
    (message,) = refused(place)
    assert "which is the day and which the month?" in message
    assert "date_format = '%d/%m/%Y' or date_format = '%m/%d/%Y'" in message
    first = read(place, date_format="%d/%m/%Y").times[0]
    assert str(first)[:10] == "2020-02-01"
    assert str(read(place, date_format="%m/%d/%Y").times[0])[:10] == "2020-01-02"


def test_one_day_above_twelve_settles_it_and_is_reported(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(["11/02/2020", "12/02/2020", "13/02/2020"]))
    assert str(read(place).times[0])[:10] == "2020-02-11"
    assert examine(place).form == "%d/%m/%Y"


def test_years_of_two_digits_are_refused(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(["30.01.20", "31.01.20"]))
    assert "a year of two digits" in refused(place)[0]
    assert str(read(place, date_format="%d.%m.%y").times[0])[:10] == "2020-01-30"


def test_twelve_digits_may_be_two_things(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(["202001300000", "202001300100"]))
    assert "date_format = '%Y%m%d%H%M' or date_format = 'ms'" in refused(place)[0]
    found = read(place, date_format="%Y%m%d%H%M", timeframe="1H")
    assert str(found.times[1]) == "2020-01-30T01:00:00"


@pytest.mark.parametrize("cell", ["43861", "43861.5", "7"])
def test_a_spreadsheet_s_number_of_a_day_is_no_stamp(cell, tmp_path):
    place = csv(tmp_path / "d", HEADER, *table([cell]))
    assert "spreadsheet's day number" in refused(place)[0]


def test_a_format_that_does_not_fit_is_reported_with_the_first_row(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(["2020-01-30", "2020-01-31"]))
    (message,) = refused(place, date_format="%d.%m.%Y")
    assert "line 2 (and 1 more) has date '2020-01-30'" in message
    assert "'%d.%m.%Y'" in message


def test_stamps_with_and_without_a_zone_in_one_file_are_refused(tmp_path):
    stamps = ["2020-01-30T00:00:00Z", "2020-01-30T01:00:00", "2020-01-30T02:00:00Z"]
    place = csv(tmp_path / "d", HEADER, *table(stamps))
    assert "line 3 has '2020-01-30T01:00:00' without a time zone" in refused(place)[0]


def test_several_offsets_in_one_file_are_instants(tmp_path):
    stamps = ["2020-03-29T00:30:00+01:00", "2020-03-29T01:30:00+01:00", "2020-03-29T03:30:00+02:00"]
    place = csv(tmp_path / "d", HEADER, *table(stamps))
    assert np.diff(times(place, timeframe="1H")).tolist() == [3600, 3600]


def test_parts_of_a_second_are_rounded_to_where_the_bar_is_known(tmp_path):
    # An exchange stamps the close of a minute as its last millisecond.
    ends = pd.date_range("2020-01-01T00:01", periods=5, freq="min")
    stamps = ends.as_unit("ms").asi8 - 1
    place = csv(tmp_path / "d", "close_time,open,high,low,close,volume", *table(stamps))
    assert str(read(place, timeframe="1M").times[0]) == "2020-01-01T00:01:00"
    assert examine(place).stamp == "close"


# Time zones


def test_local_times_become_instants_by_the_zone_of_the_table(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(HOURS.strftime("%Y-%m-%d %H:%M")))
    found = read(place, timeframe="1H", timezone="America/New_York")
    assert str(found.times[0]) == "2020-01-30T05:00:00"
    assert read(place, timeframe="1H").times[0] == np.datetime64("2020-01-30T00:00:00")


def test_dates_of_days_stay_dates_in_any_zone(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(days(5).strftime("%Y-%m-%d")))
    for zone in ("UTC", "Asia/Tokyo"):
        np.testing.assert_array_equal(times(place, timezone=zone), days(5).asi8)


def test_a_zone_that_is_none_is_refused_with_a_near_one(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(["2020-01-30"]))
    with pytest.raises(UsageError, match="America/New_York"):
        read(place, timezone="America/New_Yorc")


def autumn(zone="America/New_York"):
    """Half hours over the night when clocks go back, as the clock shows them."""
    utc = pd.date_range("2020-11-01T02:00", "2020-11-01T10:00", freq="30min", tz="UTC")
    return utc, utc.tz_convert(zone).strftime("%Y-%m-%d %H:%M")


def test_an_hour_shown_twice_is_distinguished_by_the_order_of_the_rows(tmp_path):
    utc, shown = autumn()
    place = csv(tmp_path / "d", HEADER, *table(shown))
    found = read(place, timeframe="30M", timezone="America/New_York")
    np.testing.assert_array_equal(found.times.astype("int64"), utc.as_unit("s").asi8)


def test_an_hour_shown_twice_of_which_one_is_missing_is_refused(tmp_path):
    _, shown = autumn()
    seen_once = list(dict.fromkeys(shown))
    place = csv(tmp_path / "d", HEADER, *table(seen_once))
    (message,) = refused(place, timeframe="30M", timezone="America/New_York")
    assert "line 8 (and 1 more) (2020-11-01T01:00:00) has a local time" in message
    assert "repeats or skips" in message
    assert 'repair = ["drop_doubtful"]' in message
    found = read(place, timeframe="30M", timezone="America/New_York", repair=("drop_doubtful",))
    assert len(found) == len(seen_once) - 2
    assert found.notes == ("AAA: dropped 2 bars at doubtful local times",)


def test_an_hour_the_clock_leaps_over_is_refused(tmp_path):
    stamps = ["2020-03-08 01:00", "2020-03-08 02:00", "2020-03-08 03:00"]
    place = csv(tmp_path / "d", HEADER, *table(stamps))
    (message,) = refused(place, timeframe="1H", timezone="America/New_York")
    assert "line 3 (2020-03-08T02:00:00)" in message


def test_local_times_read_as_utc_are_recognized_by_the_night_they_repeat(tmp_path):
    _, shown = autumn()
    place = csv(tmp_path / "d", HEADER, *table(shown))
    message = refused(place, timeframe="30M")[0]
    assert "repeats 2020-11-01T01:00:00" in message
    assert "Set timezone: these are nights when clocks go back" in message


# Opens and closes


def test_stamps_of_opens_move_to_the_close(tmp_path):
    place = csv(tmp_path / "d", HEADER, *table(HOURS.strftime("%Y-%m-%d %H:%M")))
    np.testing.assert_array_equal(times(place, timeframe="1H", stamp="open"), HOURS.asi8 + 3600)
    np.testing.assert_array_equal(times(place, timeframe="1H", stamp="close"), HOURS.asi8)


def test_the_open_of_a_day_moves_to_the_next_midnight_of_its_clock(tmp_path):
    stamps = ["2020-03-07", "2020-03-08", "2020-03-09"]  # clocks leap on the 8th
    place = csv(tmp_path / "d", HEADER, *table(stamps))
    found = read(place, stamp="open", timezone="America/New_York").times
    assert [str(time) for time in found] == [
        "2020-03-08T05:00:00",
        "2020-03-09T04:00:00",
        "2020-03-10T04:00:00",
    ]
