"""The CSV reader: clean files in, bars out; everything wrong with dirty ones at once."""

from pathlib import Path

import numpy as np
import pytest

import podium
from podium import registry
from podium.errors import DataError

US4 = Path(podium.__file__).parent / "demo" / "us4"
HEADER = "date,open,high,low,close,volume,adj_close"
DAYS = ["2010-01-04", "2010-01-05", "2010-01-06", "2010-01-07", "2010-01-08"]
read_csv = registry.load("readers", "csv").read


def row(day, price=100.0, **changed):
    values = {
        "date": day,
        "open": price,
        "high": price * 1.02,
        "low": price * 0.98,
        "close": price,
        "volume": 1000,
        "adj_close": price,
        **changed,
    }
    return ",".join(str(value) for value in values.values())


@pytest.fixture
def folder(tmp_path):
    for ticker, close in (("AAA", 100.0), ("BBB", 50.0)):
        write(tmp_path / f"{ticker}.csv", [row(day, close) for day in DAYS])
    return tmp_path


def write(path, rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def read(folder, tickers=("AAA", "BBB"), **changed):
    settings = {"name": "d", "timeframe": "D", "adjust": True, **changed}
    return read_csv(folder, tickers=tickers, **settings)


def told(folder, **changed):
    with pytest.raises(DataError) as caught:
        read(folder, **changed)
    return [str(problem) for problem in caught.value.problems]


def with_row(number, text):
    """All days of AAA, one of them replaced."""
    rows = [row(day) for day in DAYS]
    rows[number] = text
    return rows


def test_clean_files_become_bars_in_the_given_order(folder):
    found = read(folder, ("BBB", "AAA"))
    assert found.tickers == ("BBB", "AAA")
    assert found["close"].tolist() == [[50.0, 100.0]] * 5
    assert [str(time)[:10] for time in found.times] == DAYS
    assert found.times.dtype == "datetime64[s]"


def test_no_folder_is_refused_with_the_expected_files(tmp_path):
    (message,) = told(tmp_path / "none")
    assert "no folder" in message
    assert "<ticker>.csv" in message


def test_a_missing_file_suggests_a_near_ticker(folder):
    (message,) = told(folder, tickers=("AAA", "BBBB"))
    assert message.startswith("ticker 'BBBB': no file")
    assert "Did you mean 'BBB'?" in message


def test_a_missing_column_is_named_with_those_present(folder):
    header = HEADER.replace("low", "bottom").replace("volume", "money")
    write(folder / "AAA.csv", [row(day) for day in DAYS], header)
    (message,) = told(folder)
    assert "has no column low, volume (found: date, open, high, bottom" in message
    assert "Rename the columns, or name them" in message


def test_without_adjusted_prices_the_remedy_is_a_setting(folder):
    rows = [row(day).rpartition(",")[0] for day in DAYS]
    for ticker in ("AAA", "BBB"):
        write(folder / f"{ticker}.csv", rows, HEADER.removesuffix(",adj_close"))
    assert all("Set adjust = false" in message for message in told(folder))
    assert len(read(folder, adjust=False)) == 5


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (2, row("soon"), ["line 4 has date 'soon'", "ISO 8601"]),
        (2, row("06/01/2010"), ["line 4 has date '06/01/2010'"]),
        (2, row(DAYS[1]), ["line 4 repeats 2010-01-05", "one row per bar"]),
        (3, row("2009-12-31"), ["line 5 goes back in time", "Sort the rows"]),
        (2, row(DAYS[2], close=""), ["line 4 (2010-01-06) has no number in 'close'"]),
        (2, row(DAYS[2], open="nan"), ["has no number in 'open'"]),
        (2, row(DAYS[2], open="inf"), ["has no number in 'open'"]),
        (2, row(DAYS[2], open="a lot"), ["has no number in 'open'"]),
        (2, row(DAYS[2], low=0), ["has a value too low in 'low': 0", "a finite price above zero"]),
        (2, row(DAYS[2], close=-3), ["has a value too low in 'close': -3"]),
        (2, row(DAYS[2], volume=-1), ["has a value too low in 'volume': -1", "at or above zero"]),
        (2, row(DAYS[2], adj_close=0), ["has a value too low in 'adj_close': 0"]),
        (2, row(DAYS[2], high=90), ["line 4 (2010-01-06) has its high below its low"]),
        (2, row(DAYS[2]) + ",7,7", ["AAA.csv", "comma separated values"]),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_dirty_row_is_reported_with_its_line(folder, number, text, expected):
    write(folder / "AAA.csv", with_row(number, text))
    (message,) = told(folder)
    for part in ["AAA.csv", *expected]:
        assert part in message


def test_a_gap_is_reported_with_the_ticker_that_has_it(folder):
    rows = [row(day, 50.0) for day in DAYS]
    write(folder / "BBB.csv", rows[:2] + rows[3:])
    (message,) = told(folder)
    assert "ticker 'BBB' has no bar at 2010-01-06" in message
    assert "other tickers do" in message


def test_a_ticker_that_begins_late_or_ends_early_is_no_gap(folder):
    write(folder / "BBB.csv", [row(day, 50.0) for day in DAYS[1:4]])
    assert [str(time)[:10] for time in read(folder).times] == DAYS[1:4]


def test_tickers_that_never_met_are_refused(folder):
    write(folder / "BBB.csv", [row("2011-01-03"), row("2011-01-04")])
    assert "share no bar" in told(folder)[0]


def test_a_file_without_rows_is_refused(folder):
    write(folder / "AAA.csv", [])
    assert any("AAA.csv" in message or "share no bar" in message for message in told(folder))


def test_an_empty_file_is_refused(folder):
    (folder / "AAA.csv").write_text("")
    (message,) = told(folder)
    assert "comma separated values with a header" in message


def test_a_file_of_other_bytes_is_refused(folder):
    (folder / "AAA.csv").write_bytes(b"\xff\xfe\x00\x01" * 20)
    assert "AAA.csv" in told(folder)[0]


def test_numbers_are_no_dates(folder):
    write(folder / "AAA.csv", [row(day.replace("-", "")) for day in DAYS])
    found = None
    try:
        found = read(folder, ("AAA",))
    except DataError as error:
        message = str(error)
    # Either read as the days they look like, or refused as dates.
    if found is None:
        assert "has date" in message
    else:
        assert [str(time)[:10] for time in found.times] == DAYS


def test_one_more_value_than_columns_in_every_row_is_refused_not_shifted(folder):
    write(folder / "AAA.csv", [row(day) + ",7" for day in DAYS])
    (message,) = told(folder)
    assert "AAA.csv" in message
    assert "np." not in message


def test_every_error_of_all_files_is_reported_at_once(folder):
    write(folder / "AAA.csv", with_row(1, row(DAYS[1], open=-1, volume=-5)))
    messages = told(folder, tickers=("AAA", "BBB", "CCC"))
    assert len(messages) == 3


def test_many_bad_rows_are_one_problem_with_their_number(folder):
    write(folder / "AAA.csv", [row(day, open=0) for day in DAYS])
    (message,) = told(folder)
    assert "line 2 (and 4 more)" in message


def test_adjusting_makes_the_split_of_2005_invisible():
    settings = {"name": "us4", "timeframe": "D", "tickers": ("AAPL",)}
    raw = read_csv(US4, adjust=False, **settings)
    adjusted = read_csv(US4, adjust=True, **settings)
    bar = raw.bar_at_or_after("2005-02-28")
    jump = np.log(raw["close"][bar, 0] / raw["close"][bar - 1, 0])
    move = np.log(adjusted["close"][bar, 0] / adjusted["close"][bar - 1, 0])
    assert jump < -0.6
    assert abs(move) < 0.02
    # What changed hands is told in shares of one size, so money stays what it was.
    np.testing.assert_allclose(
        raw["close"] * raw["volume"], adjusted["close"] * adjusted["volume"], rtol=1e-12
    )
    # A bar's shape is its own.
    for field in ("open", "high", "low"):
        np.testing.assert_allclose(
            raw[field] / raw["close"], adjusted[field] / adjusted["close"], rtol=1e-12
        )


def test_the_demo_is_clean_and_begins_with_its_youngest_ticker():
    tickers = ("AAPL", "GOOG", "IBM", "MSFT")
    found = read_csv(US4, name="us4", timeframe="D", tickers=tickers, adjust=True)
    assert str(found.times[0])[:10] == "2004-08-19"
    assert len(found) == 2148
    assert (found["high"] >= found["low"]).all()


def test_times_with_a_zone_become_utc(folder):
    rows = [row(f"{day}T17:00:00+02:00") for day in DAYS]
    for ticker in ("AAA", "BBB"):
        write(folder / f"{ticker}.csv", rows)
    assert str(read(folder).times[0]) == "2010-01-04T15:00:00"
