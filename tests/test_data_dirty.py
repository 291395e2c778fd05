"""Dirty files: each fault told with its place and its repair; repairs do one thing each."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barfiles import HEADER, ROWS, bars, csv, days, examine, read, refused, write
from podium import registry, sections
from podium.errors import DataError, UsageError
from podium.readers import _repair
from podium.readers._columns import ROLES
from podium.readers._findings import MAX_PER_KIND

TICKERS = ("AAA", "BBB")


def changed(**cells):
    """Five rows, some replaced: row0='...' , row3=None leaves it out."""
    rows = list(ROWS)
    for name, text in cells.items():
        rows[int(name.removeprefix("row"))] = text
    return [row for row in rows if row is not None]


def pair(place, **frames):
    """Two tickers that share every day, one of them replaced."""
    both = {ticker: bars(ticker, days(), adjusted=False) for ticker in TICKERS}
    return write(place / "d", {**both, **frames}, "files", ".csv")


def findings(path, what, **settings):
    return [finding for finding in examine(path, **settings).findings if finding.what == what]


# Files that are not what they should be


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "AAA.csv is empty. Expected comma separated values with a header"),
        (b"\n\n\n", "AAA.csv is empty"),
        (HEADER.encode() + b"\n", "AAA.csv has a header and no rows"),
        (b"2010-01-04,1,2,1,1,5\n2010-01-05,1,2,1,1,5\n", "has no header: its first line is"),
        (b"one\ntwo\nthree\n", "has one column, 'one'"),
        ("date,open\n2010-01-04,1".encode("utf-16"), "UTF-16 text"),
        (b"date,open,high,low,close,volume\n2010-01-04,1,1,1,1,\xff\n", "is no UTF-8 text (byte"),
        (b'date,open,high,low,close,volume\n2010-01-04,1,"1,1,1,1\n', "quoted cell is never"),
        (b"x" * (1 << 21), "its first line is longer than"),
        (b"x" * 200_000 + b"\n1\n", "field larger than field limit"),
        (b"\x1f\x8b not gzip", "is no UTF-8 text"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_file_that_is_no_table_is_refused(content, told, tmp_path):
    (tmp_path / "AAA.csv").write_bytes(content)
    (message,) = refused(tmp_path)
    assert told in message
    assert "AAA.csv" in message


def test_a_broken_gzip_file_is_refused(tmp_path):
    import gzip

    whole = gzip.compress("\n".join([HEADER, *ROWS]).encode())
    for content in (b"no gzip", whole[: len(whole) // 2]):
        (tmp_path / "AAA.csv.gz").write_bytes(content)
        assert "a whole gzip file" in refused(tmp_path)[0]


@pytest.mark.parametrize(
    "written",
    [
        "\ufeff{0}",
        "sep=,\n{0}",
        "# bars of AAA\n# from a vendor\n{0}",
        "{0}\n\n",
        "\n{0}",
    ],
)
def test_marks_comments_and_blank_lines_change_no_number(written, tmp_path):
    plain = "\n".join([HEADER, *ROWS]) + "\n"
    expected = read(csv(tmp_path / "p", HEADER, *ROWS)).fingerprint
    for text in (plain, plain.replace("\n", "\r\n")):
        (tmp_path / "AAA.csv").write_bytes(written.format(text).encode())
        assert read(tmp_path).fingerprint == expected


def test_lines_are_counted_as_an_editor_does_after_blank_ones_and_comments(tmp_path):
    rows = changed(row3="2010-01-07,100,110,98,lots,1000")
    place = csv(tmp_path / "d", "# a comment", HEADER, rows[0], "", *rows[1:])
    assert "line 7 (2010-01-07) has no number in 'close': 'lots'" in refused(place)[0]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_separators_are_found(sign, tmp_path):
    rows = [row.replace(",", sign) for row in (HEADER, *ROWS)]
    expected = read(csv(tmp_path / "p", HEADER, *ROWS)).fingerprint
    assert read(csv(tmp_path / "d", *rows)).fingerprint == expected


def test_a_separator_of_another_kind_can_be_set(tmp_path):
    rows = [row.replace(",", "~") for row in (HEADER, *ROWS)]
    place = csv(tmp_path / "d", *rows)
    assert "has one column" in refused(place)[0]
    assert len(read(place, separator="~")) == 5


def test_mixed_separators_are_reported_with_the_line(tmp_path):
    place = csv(tmp_path / "d", HEADER, *changed(row2=ROWS[2].replace(",", ";")))
    (message,) = refused(place)
    assert "AAA.csv line 4 is separated by ';', the header is not" in message


def test_a_row_with_more_cells_than_the_header_is_reported_with_the_line(tmp_path):
    place = csv(tmp_path / "d", HEADER, *changed(row2=ROWS[2] + ",7,7"))
    (message,) = refused(place)
    assert "line 4 has 8 values, the header names 6" in message


def test_quoted_cells_are_read(tmp_path):
    quoted = ['"' + row.replace(",", '","') + '"' for row in ROWS]
    expected = read(csv(tmp_path / "p", HEADER, *ROWS)).fingerprint
    assert read(csv(tmp_path / "d", HEADER, *quoted)).fingerprint == expected


# Numbers


def test_a_decimal_comma_that_leaves_no_doubt_is_read(tmp_path):
    rows = ["2010-01-04;1,5;1,75;1,25;1,5;1000", "2010-01-05;1,5;1,75;1,25;1,6;1000"]
    found = read(csv(tmp_path / "d", HEADER.replace(",", ";"), *rows))
    assert found["close"][:, 0].tolist() == [1.5, 1.6]


def test_a_comma_that_may_be_either_is_refused_without_an_option(tmp_path):
    rows = ["2010-01-04;1,500;1,750;1,250;1,500;1000", "2010-01-05;1,500;1,750;1,250;1,600;1000"]
    place = csv(tmp_path / "d", HEADER.replace(",", ";"), *rows)
    message = refused(place)[0]
    assert "has no number in 'open': '1,500'" in message
    assert 'decimal = "," or thousands = ","' in message
    assert read(place, decimal=",")["close"][1, 0] == 1.6
    assert read(place, thousands=",")["close"][1, 0] == 1600


@pytest.mark.parametrize(
    ("cell", "told", "settings", "number"),
    [
        ('"1,234.5"', 'Set thousands = ","', {"thousands": ","}, 1234.5),
        ('"1,234,567"', 'Set thousands = ","', {"thousands": ","}, 1234567),
        (
            '"1.234,5"',
            'Set decimal = "," and thousands = "."',
            {"decimal": ",", "thousands": "."},
            1234.5,
        ),
    ],
)
def test_thousands_separators_are_refused_without_an_option(cell, told, settings, number, tmp_path):
    rows = [f"2010-01-0{4 + n},{cell},{cell},{cell},{cell},1000" for n in range(3)]
    place = csv(tmp_path / "d", HEADER, *rows)
    assert told in refused(place)[0]
    assert read(place, **settings)["close"][0, 0] == number


def test_a_separator_that_stands_between_no_thousands_is_refused(tmp_path):
    rows = changed(row2='2010-01-06,100,110,98,"1,05",1000')
    place = csv(tmp_path / "d", HEADER, *rows)
    assert (
        "line 4 (2010-01-06) has no number in 'close': '1,05'" in refused(place, thousands=",")[0]
    )


def test_a_formula_is_no_number(tmp_path):
    place = csv(tmp_path / "d", HEADER, *changed(row1="2010-01-05,100,110,98,=B3*2,1000"))
    (message,) = refused(place)
    assert "line 3 (2010-01-05) has no number in 'close': '=B3*2'" in message
    assert "Export the values of the sheet instead of its formulas" in message


@pytest.mark.parametrize("cell", ["true", "TRUE"])
def test_truth_is_no_price(cell, tmp_path):
    rows = [row.replace(",100,", f",{cell},", 1) for row in ROWS]
    assert (
        f"has no number in 'open': '{cell.title()}'"
        in refused(csv(tmp_path / "d", HEADER, *rows))[0]
    )


def test_text_in_a_later_piece_of_a_file_is_reported_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.load("readers", "csv"), "_CHUNK", 7)
    frame = bars("AAA", days(40), adjusted=False)
    path = write(tmp_path / "d", {"AAA": frame}, "files", ".csv")
    expected = frame["close"].tolist()
    assert read(path)["close"][:, 0].tolist() == expected
    lines = (path / "AAA.csv").read_text().splitlines()
    lines[30] = lines[30].rpartition(",")[0] + ",lots"
    (path / "AAA.csv").write_text("\n".join(lines))
    assert "line 31" in refused(path)[0]
    assert "'lots'" in refused(path)[0]


# Candles, duplicates, order, gaps: with what repairs them


def test_impossible_candles_are_refused_and_clipped_by_a_repair(tmp_path):
    rows = changed(
        row1="2010-01-05,100,99,98,101,1000",  # close above the high
        row3="2010-01-07,100,98,110,103,1000",  # high below the low
    )
    place = csv(tmp_path / "d", HEADER, *rows)
    messages = refused(place)
    assert "line 5 (2010-01-07) has its high below its low" in messages[0]
    assert "line 3 (2010-01-05) has its open or close outside of low and high" in messages[1]
    assert all('repair = ["clip_candles"]' in message for message in messages)
    found = read(place, repair=("clip_candles",))
    assert found["high"][:, 0].tolist() == [110, 101, 110, 110, 110]
    assert found["low"][:, 0].tolist() == [98, 98, 98, 98, 98]
    assert found.notes == ("AAA: moved high and low of 2 bars to contain open and close",)


def test_rounding_is_no_impossible_candle(tmp_path):
    row = f"2010-01-05,100,{np.float32(100.1)},98,{np.nextafter(np.float32(100.1), 200)},1000"
    assert len(read(csv(tmp_path / "d", HEADER, *changed(row1=row)))) == 5


def test_repeated_rows_are_distinguished_from_two_values_for_one_stamp(tmp_path):
    place = csv(tmp_path / "d", HEADER, *ROWS[:3], *ROWS[2:])
    (message,) = refused(place)
    assert "line 5 repeats 2010-01-06. " in message
    assert 'repair = ["drop_duplicates"]' in message
    assert len(read(place, repair=("drop_duplicates",))) == 5
    other = "2010-01-06,100,110,98,109,1000"
    place = csv(tmp_path / "e", HEADER, *ROWS[:3], other, *ROWS[3:])
    (message,) = refused(place)
    assert "line 5 repeats 2010-01-06 with other values" in message
    assert 'repair = ["keep_last"]' in message
    assert refused(place, repair=("drop_duplicates",)) == [message]
    assert read(place, repair=("keep_last",))["close"][2, 0] == 109


def test_rows_out_of_order_are_sorted_by_a_repair(tmp_path):
    place = csv(tmp_path / "d", HEADER, *reversed(ROWS))
    assert "goes back in time" in refused(place)[0]
    expected = read(csv(tmp_path / "e", HEADER, *ROWS)).fingerprint
    assert read(place, repair=("sort",)).fingerprint == expected


def test_zero_prices_are_dropped_by_a_repair(tmp_path):
    place = csv(tmp_path / "d", HEADER, *changed(row2="2010-01-06,0,110,0,100,1000"))
    assert 'repair = ["drop_zero_prices"]' in refused(place)[0]
    found = read(place, repair=("drop_zero_prices",))
    assert len(found) == 4
    assert found.fingerprint != read(csv(tmp_path / "e", HEADER, *ROWS)).fingerprint


def test_missing_numbers_are_dropped_or_filled_from_the_past_by_a_repair(tmp_path):
    place = csv(tmp_path / "d", HEADER, *changed(row2="2010-01-06,100,110,98,,1000"))
    assert 'repair = ["drop_nan"]' in refused(place)[0]
    assert len(read(place, repair=("drop_nan",))) == 4
    filled = read(place, repair=("forward_fill:1",))
    # A bar without a price is a missing one: flat at the last close, nothing traded.
    assert [filled[field][2, 0] for field in ("open", "high", "low", "close", "volume")] == [
        101,
        101,
        101,
        101,
        0,
    ]


def test_a_missing_bar_is_filled_at_most_so_often(tmp_path):
    frame = bars("BBB", days(), adjusted=False)
    path = pair(tmp_path, BBB=frame.drop(index=[10, 11, 20]))
    assert "ticker 'BBB' has no bar at 2020-01-15 and 2 more" in refused(path, TICKERS)[0]
    found = read(path, TICKERS, repair=("forward_fill:2",))
    assert len(found) == 30
    for row in (10, 11):
        assert found["close"][row, 1] == frame["close"][9]
    assert found.notes == ("BBB: 3 bars filled with the last close",)
    assert "no bar at 2020-01-16" in refused(path, TICKERS, repair=("forward_fill:1",))[0]


def test_intersecting_drops_what_not_all_have(tmp_path):
    frame = bars("BBB", days(), adjusted=False)
    path = pair(tmp_path, BBB=frame.drop(index=[10, 11, 20]))
    found = read(path, TICKERS, repair=("intersect",))
    assert len(found) == 27
    assert found.notes == ("AAA: dropped 3 bars that not all tickers have",)


def test_a_negative_volume_has_no_repair(tmp_path):
    place = csv(tmp_path / "d", HEADER, *changed(row2="2010-01-06,100,110,98,100,-5"))
    everything = tuple(name for name in _repair.REPAIRS if name != "forward_fill")
    assert "has a value too low in 'volume': -5" in refused(place, repair=everything)[0]


@pytest.mark.parametrize("name", ["forward_fill", "forward_fill:0", "forward_fill:x", "sort:2"])
def test_a_repair_with_a_wrong_number_is_refused(name, tmp_path):
    with pytest.raises(UsageError):
        read(csv(tmp_path / "d", HEADER, *ROWS), repair=(name,))


@settings(max_examples=25)
@given(st.integers(3, 28), st.sampled_from(["forward_fill:3", "clip_candles", "drop_nan"]))
def test_no_repair_looks_ahead(cut, repair):
    from pathlib import Path
    from tempfile import TemporaryDirectory

    rng = np.random.default_rng(cut)
    frame = bars("AAA", days(), adjusted=False)
    frame.loc[rng.choice(np.arange(1, 30), 5, replace=False), "close"] = np.nan
    frame.loc[rng.choice(30, 3, replace=False), "high"] -= 0.5
    later = frame.copy()
    later.loc[cut:, ["open", "high", "low", "close"]] *= 7
    asked = ("clip_candles", "forward_fill:5", repair)
    with TemporaryDirectory() as name:
        one = read(write(Path(name) / "a", {"AAA": frame}, "files", ".csv"), repair=asked)
        two = read(write(Path(name) / "b", {"AAA": later}, "files", ".csv"), repair=asked)
    bar = int(np.searchsorted(one.times, np.datetime64(str(days()[cut]), "s")))
    for field in one.fields:
        np.testing.assert_array_equal(one[field][:bar], two[field][:bar])


def test_clean_files_are_the_same_with_every_repair(tmp_path):
    path = pair(tmp_path)
    plain = read(path, TICKERS)
    asked = tuple("forward_fill:3" if r == "forward_fill" else r for r in _repair.REPAIRS)
    repaired = read(path, TICKERS, repair=asked)
    assert repaired.fingerprint == plain.fingerprint
    assert repaired.notes == ()


def test_a_fault_in_many_tickers_is_reported_a_few_times_with_a_count(tmp_path):
    tickers = tuple(f"T{n:02d}" for n in range(20))
    frames = {t: bars(t, days(10), adjusted=False) for t in tickers}
    for frame in frames.values():
        frame.loc[4, "close"] = np.nan
    messages = refused(write(tmp_path / "d", frames, "files", ".csv"), tickers)
    assert len(messages) == MAX_PER_KIND + 1
    assert messages[-1] == f"and {20 - MAX_PER_KIND} more of this kind: numbers."


# Time zones between tickers and within a file


def test_a_ticker_in_another_time_zone_is_refused(tmp_path):
    hours = pd.date_range("2020-01-06", periods=240, freq="h", unit="s")
    session = hours[(hours.hour >= 9) & (hours.hour < 17)]
    frames = {
        "AAA": bars("AAA", session, adjusted=False),
        "BBB": bars("BBB", session - pd.Timedelta(hours=5), adjusted=False),
    }
    path = write(tmp_path / "d", frames, "files", ".csv")
    messages = refused(path, TICKERS, timeframe="1H")
    assert any("ticker 'BBB' is 5 hours behind the others" in message for message in messages)


def sessions(weeks, opens_at):
    """Hourly bars of eight hours on weekdays; ``opens_at`` gives the hour of each day."""
    stamps = []
    for day in pd.bdate_range("2019-01-07", periods=5 * weeks):
        stamps += [day + pd.Timedelta(hours=opens_at(day) + n) for n in range(8)]
    return pd.DatetimeIndex(stamps).as_unit("s")


def test_a_clock_that_shifts_within_a_file_is_remarked(tmp_path):
    stamps = sessions(20, lambda day: 9 if day < pd.Timestamp("2019-03-04") else 14)
    path = write(tmp_path / "d", {"AAA": bars("AAA", stamps, adjusted=False)}, "files", ".csv")
    (found,) = [f for f in findings(path, "time zone") if f.severity == "warning"]
    assert "from the week of 2019-03-04 on sessions begin 5 h later" in found.found


def test_daylight_saving_is_a_note_and_no_shift(tmp_path):
    stamps = sessions(60, lambda day: 13 if 4 <= day.month <= 10 else 14)
    path = write(tmp_path / "d", {"AAA": bars("AAA", stamps, adjusted=False)}, "files", ".csv")
    assert not [f for f in findings(path, "time zone") if f.severity == "warning"]
    (found,) = findings(path, "daylight saving")
    assert found.severity == "note"


def test_a_week_that_begins_late_is_no_shift(tmp_path):
    holiday = pd.Timestamp("2019-02-18")
    stamps = sessions(20, lambda day: 11 if holiday <= day < holiday + pd.Timedelta(days=5) else 9)
    path = write(tmp_path / "d", {"AAA": bars("AAA", stamps, adjusted=False)}, "files", ".csv")
    assert not [f for f in findings(path, "time zone") if f.severity == "warning"]


# What is remarkable without being wrong


def long_bars(count=400):
    return bars("AAA", days(count), adjusted=False)


def saved(place, frame):
    return write(place / "d", {"AAA": frame}, "files", ".csv")


@pytest.mark.parametrize(
    ("ratio", "told"), [(2, "2 to 1"), (1.5, "1.5 to 1"), (1 / 3, "1 to 3"), (20, "20 to 1")]
)
def test_an_unadjusted_split_gets_a_warning(ratio, told, tmp_path):
    frame = long_bars()
    prices = ["open", "high", "low", "close"]
    frame.loc[200:, prices] = (frame.loc[200:, prices] / ratio).round(4)
    frame.loc[200:, "high"] += 0.001
    frame.loc[200:, "low"] -= 0.001
    (found,) = findings(saved(tmp_path, frame), "splits")
    assert found.severity == "warning"
    assert f"like an unadjusted split of {told}" in found.found
    assert found.first == str(days(400)[200])[:10]


def test_an_adjusted_split_and_a_bad_day_are_not_mistaken_for_splits(tmp_path):
    frame = long_bars().assign(adj_close=lambda f: f["close"])
    prices = ["open", "high", "low", "close"]
    split = frame.copy()
    split.loc[200:, prices] = frame.loc[200:, prices] / 2
    split.loc[:199, "adj_close"] = frame.loc[:199, "close"] / 2
    split.loc[200:, "adj_close"] = split.loc[200:, "close"]
    assert not findings(saved(tmp_path, split), "splits")
    # Halved within a day of trading: bad news, not a split.
    crash = long_bars()
    crash.loc[200, "low"] /= 2.1
    crash.loc[200, "close"] /= 2
    crash.loc[201:, prices] = crash.loc[201:, prices] / 2
    assert not findings(saved(tmp_path, crash), "splits")


def test_stale_prices_zero_volume_and_constant_columns_are_remarked(tmp_path):
    frame = long_bars()
    frame.loc[100:115, ["open", "high", "low", "close"]] = 100.0
    frame.loc[300:310, "volume"] = 0
    path = saved(tmp_path, frame)
    (stale,) = findings(path, "stale prices")
    assert "the same close for 15 bars in a row at most" in stale.found
    (silent,) = findings(path, "zero volume")
    assert "no volume for 11 bars in a row" in silent.found
    (constant,) = findings(saved(tmp_path, long_bars().assign(volume=0)), "constant")
    assert "'volume' is 0 in every bar" in constant.found


def test_missing_days_are_counted_against_the_weekdays_the_data_have(tmp_path):
    frame = long_bars()
    (note,) = findings(saved(tmp_path, frame.drop(index=[50, 120])), "gaps")
    assert (note.severity, note.count) == ("note", 2)
    (warning,) = findings(saved(tmp_path, frame.drop(index=range(50, 60))), "gaps")
    assert (warning.severity, warning.count) == ("warning", 10)
    assert "the longest gap has 10 from 2020-03-11 on" in warning.found
    assert not findings(saved(tmp_path, frame), "gaps")


def test_missing_hours_are_counted_against_the_sessions_the_data_have(tmp_path):
    stamps = sessions(12, lambda day: 9)
    frame = bars("AAA", stamps, adjusted=False)
    assert not findings(saved(tmp_path, frame), "gaps")
    (found,) = findings(saved(tmp_path, frame.drop(index=[83, 84, 85])), "gaps")
    assert (found.severity, found.count) == ("warning", 3)


def test_a_timeframe_finer_than_declared_is_refused_with_how_to_make_coarser_bars(tmp_path):
    frame = bars("AAA", pd.date_range("2020-01-01", periods=50, freq="h", unit="s"), adjusted=False)
    (message,) = refused(saved(tmp_path, frame), timeframe="D")
    assert "most bars are 1 hours apart, timeframe is D" in message
    assert 'set timeframe = "1H", and resample = "D"' in message.lower().replace(
        "1h", "1H"
    ).replace('"d"', '"D"')


def test_bars_that_lie_at_no_timeframe_s_distance_cannot_be_guessed(tmp_path):
    frame = bars(
        "AAA", pd.date_range("2020-01-01", periods=50, freq="3min", unit="s"), adjusted=False
    )
    found = examine(saved(tmp_path, frame))
    assert found.refused
    assert any("180 seconds apart" in f.found for f in found.findings)


# Words of the configuration and of the readers are the same


def test_the_configuration_has_the_readers_options():
    assert tuple(_repair.REPAIRS) == sections.WORDS["repair"]
    assert set(sections.WORDS["columns"]) == set(ROLES)


# A large file


@pytest.mark.slow
def test_a_file_of_100_megabytes_is_read_in_a_few_times_its_size(tmp_path):
    count = 1_650_000
    stamps = pd.date_range("2015-01-01", periods=count, freq="min")
    rng = np.random.default_rng(0)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 1e-5, count))), 5)
    frame = pd.DataFrame({"date": stamps, "open": close, "high": close + 1, "low": close - 1})
    frame = frame.assign(close=close, volume=rng.integers(1, 10**6, count))
    path = tmp_path / "AAA.csv"
    frame.to_csv(path, index=False)
    size = path.stat().st_size
    assert size > 100e6
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from podium import registry\n"
        "read = registry.load('readers', 'csv').read\n"
        "small = Path(sys.argv[1]) / 'small'\n"
        "settings = dict(name='d', tickers=('AAA',), timeframe='1M', adjust=False)\n"
        "read(small, **settings)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found = read(Path(sys.argv[1]), **settings)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(len(found), (after - before) * 1024)\n"
    )
    (tmp_path / "small").mkdir()
    frame.head(1000).to_csv(tmp_path / "small" / "AAA.csv", index=False)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    bars_read, extra = map(int, done.stdout.split())
    assert bars_read == count
    assert extra < 5 * size, f"{extra / size:.1f} times the file's size"


def test_refusals_are_data_errors(tmp_path):
    with pytest.raises(DataError) as caught:
        read(csv(tmp_path / "d", HEADER, *changed(row1="2010-01-05,100,110,98,,1")))
    assert caught.value.exit_code == 7


# Anything at all


CELLS = st.sampled_from(
    ["2010-01-04", "2010-01-05", "05.01.2010", "1", "100", "1,5", "1.234,5", "", "nan", "inf", "-3",
     "=A1", '"', '"1,234"', "true", "date", "open", "high", "low", "close", "volume", "ticker",
     "AAA", "20100104", "1262563200", "é", "\x00", "1e999", "2010-01-04T09:30:00Z", "9999999",
     "0x10", "- 5", "１２", "close_AAA", "time"]
)  # fmt: skip
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=7), min_size=0, max_size=8)


@given(
    LINES,
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
    st.sampled_from(["", "drop_nan", "sort", "keep_last", "forward_fill:2", "drop_zero_prices"]),
    st.sampled_from(["", "1H", "D"]),
)
def test_no_file_makes_a_reader_fail_in_another_way_than_with_a_finding(
    lines, sign, with_header, repair, timeframe
):
    from pathlib import Path
    from tempfile import TemporaryDirectory

    rows = [sign.join(cells) for cells in lines]
    if with_header:
        rows.insert(0, HEADER.replace(",", sign))
    with TemporaryDirectory() as name:
        (Path(name) / "AAA.csv").write_text("\n".join(rows), encoding="utf-8")
        found = examine(
            Path(name), timeframe=timeframe, repair=(repair,) if repair else (), decimal=""
        )
    assert (found.dataset is None) == found.refused
    assert all(finding.found for finding in found.findings)


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.parquet", "d.npz"])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(name, tmp_path):
    import gzip

    frames = {ticker: bars(ticker, days()) for ticker in TICKERS}
    if name == "d.npz":
        np.savez_compressed(tmp_path / name, X=np.ones((9, 4, 2)), y=np.arange(9) % 3)
    else:
        path = write(tmp_path / "d", frames, "long", ".parquet" if "parquet" in name else ".csv")
        if name.endswith(".gz"):
            (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    whole = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(80):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            at = int(rng.integers(len(content)))
            if rng.random() < 0.5:
                content[at] = int(rng.integers(256))
            else:
                del content[at : at + int(rng.integers(1, 30))]
        (tmp_path / name).write_bytes(bytes(content))
        if name == "d.npz":
            try:
                registry.load("readers", "npz").read(tmp_path / name, name="d")
                seen.add("read")
            except DataError:
                seen.add("refused")
        else:
            seen.add("refused" if examine(tmp_path / name).refused else "read")
    assert "refused" in seen


def test_repairs_that_leave_nothing_are_refused(tmp_path):
    rows = [row.replace(",1000", ",") for row in ROWS]
    place = csv(tmp_path / "d", HEADER, *rows)
    assert "has no bar left after the repairs" in refused(place, repair=("drop_nan",))[0]


def test_files_with_and_without_a_time_zone_are_not_joined(tmp_path):
    for name, ending in (("a", "Z"), ("b", "")):
        rows = [f"2010-01-0{4 + (name == 'b')}T00:00:00{ending},AAA,100,110,98,100,5"]
        csv(tmp_path / "d", "date,ticker,open,high,low,close,volume", *rows, name=f"{name}.csv")
    assert "some files have stamps with a time zone, others without" in refused(tmp_path / "d")[0]
