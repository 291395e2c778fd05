"""The same bars in every layout and format are the same dataset."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import podium
from barfiles import HEADER, LAYOUTS, ROWS, bars, csv, days, examine, long, read, refused, write
from podium.errors import DataError
from podium.readers._columns import normal, stamp_in_name, zone_in_name

TICKERS = ("BRK.B", "AAA", "EUR_USD")
US4 = podium.__path__[0] + "/demo/us4"


@pytest.fixture(scope="module")
def frames():
    return {ticker: bars(ticker, days()) for ticker in TICKERS}


@pytest.fixture(scope="module")
def expected(frames, tmp_path_factory):
    return read(
        write(tmp_path_factory.mktemp("e") / "e", frames, "files", ".csv"), TICKERS, adjust=True
    )


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_dataset(layout, ending, frames, expected, tmp_path):
    path = write(tmp_path / "d", frames, layout, ending)
    found = read(path, TICKERS, adjust=True)
    assert found.fingerprint == expected.fingerprint
    assert found.tickers == TICKERS


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_tickers_and_timeframe_are_inferred(layout, ending, frames, tmp_path):
    found = examine(write(tmp_path / "d", frames, layout, ending))
    assert found.tickers == tuple(sorted(TICKERS))
    assert (found.timeframe, found.adjust) == ("D", True)
    assert found.layout == {"files": "files", "long": "long", "time-major long": "long"}.get(
        layout, "wide"
    )
    assert not found.refused


def test_a_pattern_names_files_by_ticker_and_files_by_year_alike(frames, expected, tmp_path):
    place = write(tmp_path / "d", frames, "files", ".csv")
    assert read(place / "*.csv", TICKERS, adjust=True).fingerprint == expected.fingerprint
    table = long(frames).sort_values("date", kind="stable")
    for part, name in ((table[:40], "2020a.csv"), (table[40:], "2020b.csv")):
        part.to_csv(tmp_path / name, index=False)
    assert read(tmp_path / "2020?.csv", TICKERS, adjust=True).fingerprint == expected.fingerprint


def test_a_packed_file_reads_like_the_plain_one(frames, expected, tmp_path):
    place = write(tmp_path / "d", frames, "files", ".csv")
    for file in list(place.iterdir()):
        (place / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert read(place, TICKERS, adjust=True).fingerprint == expected.fingerprint


@settings(max_examples=15)
@given(st.permutations(TICKERS))
def test_the_given_order_is_kept_and_changes_no_number(expected, order):
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        frames = {ticker: bars(ticker, days()) for ticker in TICKERS}
        path = write(Path(name) / "d", frames, "time-major long", ".csv")
        found = read(path, tuple(order), adjust=True)
    assert found.tickers == tuple(order)
    assert found.fingerprint == expected.select(order).fingerprint


def test_the_demo_s_fingerprint_is_unchanged():
    from pathlib import Path

    tickers = ("AAPL", "GOOG", "IBM", "MSFT")
    settings = {"name": "us4", "timeframe": "D"}
    adjusted = read(Path(US4), tickers, adjust=True, **settings).fingerprint
    assert adjusted == "60f85ea313190aa300ef7ded292ed7ef12951b4a03502c77d975da458d6049a6"
    plain = read(Path(US4), tickers, adjust=False, **settings).fingerprint
    assert plain == "4383dc99ac3ecb7952027a6dad842617ee0ce5479670b7f029590550c34e0a13"


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "timestamp,o,h,l,c,v",
        "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
        "Datetime,Open Price,High Price,Low Price,Close/Last,Qty",
        "trade_date,PX_OPEN,PX_HIGH,PX_LOW,PX_LAST,PX_VOLUME",
        ",open,high,low,close,volume",
    ],
)
def test_usual_names_are_found_in_any_case(header, tmp_path):
    found = read(csv(tmp_path / "d", header, *ROWS))
    assert found["close"][:, 0].tolist() == [100, 101, 102, 103, 104]


def test_columns_are_named_by_the_table_where_their_names_are_unusual(tmp_path):
    place = csv(tmp_path / "d", "when,first,top,bottom,final,money", *ROWS)
    assert "no column of times" in refused(place)[0]
    columns = {
        "time": "when",
        "open": "first",
        "high": "top",
        "low": "BOTTOM",
        "close": "final",
        "volume": "money",
    }
    assert len(read(place, columns=columns)) == 5
    (message,) = refused(place, columns={**columns, "volume": "mony"})
    assert "no column 'mony', which columns names as volume" in message
    assert "Did you mean 'money'?" in message


def test_two_columns_that_may_be_the_same_thing_are_refused_with_the_option_to_choose(tmp_path):
    place = csv(
        tmp_path / "d", "date,open,high,low,close,vol,tickvol", *(row + ",7" for row in ROWS)
    )
    (message,) = refused(place)
    assert "2 columns that may be the volume: vol, tickvol" in message
    assert 'columns = {volume = "vol"}' in message
    assert read(place, columns={"volume": "tickvol"})["volume"][:, 0].tolist() == [7] * 5


def test_the_plain_name_wins_over_its_short_forms(tmp_path):
    place = csv(tmp_path / "d", "date,open,high,low,close,volume,c", *(row + ",7" for row in ROWS))
    assert read(place)["close"][0, 0] == 100


def test_two_columns_of_one_name_are_refused(tmp_path):
    place = csv(
        tmp_path / "d", "date,open,high,low,close,volume,close", *(row + ",7" for row in ROWS)
    )
    assert "2 columns that may be the close" in refused(place)[0]


def test_date_and_time_of_day_in_two_columns_are_one_stamp(tmp_path):
    rows = [f"2020.01.02,{hour:02d}:30,100,102,98,100,5" for hour in (9, 10, 11)]
    place = csv(tmp_path / "d", "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>", *rows)
    found = read(place, timeframe="1H")
    assert str(found.times[0]) == "2020-01-02T09:30:00"


def test_absent_fields_are_filled_only_if_listed(tmp_path):
    frame = pd.DataFrame({"date": days(5), "AAA": np.arange(5.0) + 1, "BBB": 2.0})
    frame.to_csv(tmp_path / "closes.csv", index=False)
    path = tmp_path / "closes.csv"
    (message,) = refused(path, ("AAA", "BBB"))
    assert 'absent = ["open", "high", "low", "volume"]' in message
    found = read(path, ("BBB", "AAA"), absent=("open", "high", "low", "volume"))
    for field in ("open", "high", "low", "close"):
        assert found[field][:, 1].tolist() == [1, 2, 3, 4, 5]
    assert not found["volume"].any()


def test_absent_may_not_list_what_is_there(tmp_path):
    (message,) = refused(csv(tmp_path / "d", HEADER, *ROWS), absent=("volume",))
    assert "has volume, which absent lists" in message


def test_volume_alone_may_be_absent(tmp_path):
    rows = [row.rpartition(",")[0] for row in ROWS]
    place = csv(tmp_path / "d", HEADER.removesuffix(",volume"), *rows)
    assert 'absent = ["volume"] (the volume is then 0)' in refused(place)[0]
    assert not read(place, absent=("volume",))["volume"].any()


def test_tickers_that_look_like_missing_values_or_fields_keep_their_names(tmp_path):
    frames = {ticker: bars(ticker, days(5)) for ticker in ("NA", "NULL", "V", "LOW", "True")}
    path = write(tmp_path / "d", frames, "long", ".csv")
    assert examine(path).tickers == ("LOW", "NA", "NULL", "True", "V")
    closes = long(frames).pivot(index="date", columns="ticker", values="close").reset_index()
    closes.to_csv(tmp_path / "c.csv", index=False)
    absent = ("open", "high", "low", "volume")
    found = read(tmp_path / "c.csv", ("LOW", "V", "NA"), layout="wide", absent=absent)
    np.testing.assert_array_equal(found["close"][:, 0], frames["LOW"]["close"])


def test_wide_rows_without_a_cell_are_no_bars_of_that_ticker(tmp_path):
    frames = {"AAA": bars("AAA", days(10)), "BBB": bars("BBB", days(10)).iloc[3:]}
    found = read(write(tmp_path / "d", frames, "wide", ".csv"), ("AAA", "BBB"))
    assert len(found) == 7
    frames["BBB"] = frames["BBB"].drop(index=5)
    messages = refused(write(tmp_path / "e", frames, "wide", ".csv"), ("AAA", "BBB"))
    assert messages[0].startswith("ticker 'BBB' has no bar at 2020-01-08")


def test_a_factor_column_adjusts_like_an_adjusted_close(tmp_path):
    frame = bars("AAA", days(10))
    expected = read(write(tmp_path / "a", {"AAA": frame}, "files", ".csv"), adjust=True)
    factor = frame["adj_close"] / frame["close"]
    other = frame.drop(columns="adj_close").assign(factor=factor)
    found = read(write(tmp_path / "b", {"AAA": other}, "files", ".parquet"), adjust=True)
    for field in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(found[field], expected[field], rtol=1e-12)


def test_a_ticker_that_is_not_there_is_refused(frames, tmp_path):
    for layout in ("long", "wide"):
        path = write(tmp_path / layout, frames, layout, ".csv")
        assert (
            "'ZZZ'" in refused(path, ("AAA", "ZZZ"))[0]
            or "of ZZZ" in refused(path, ("AAA", "ZZZ"))[0]
        )


def test_one_file_is_the_one_ticker_s_whatever_it_is_called(frames, tmp_path):
    frames["AAA"].to_csv(tmp_path / "export-2020.csv", index=False)
    assert read(tmp_path / "export-2020.csv", ("EUR",)).tickers == ("EUR",)
    assert examine(tmp_path / "export-2020.csv").tickers == ("export-2020",)


def test_rows_without_a_ticker_are_refused(frames, tmp_path):
    table = long(frames)
    table.loc[3, "ticker"] = None
    for ending in (".csv", ".parquet"):
        path = tmp_path / f"d{ending}"
        table.to_csv(path, index=False) if ending == ".csv" else table.to_parquet(path)
        assert "has no ticker (1 such)" in refused(path, TICKERS)[0]


@pytest.mark.parametrize("kind", ["float32", "decimal", "text", "whole"])
def test_parquet_numbers_of_any_type_are_read(kind, tmp_path):
    import decimal

    frame = bars("AAA", days(6), adjusted=False)
    frame = frame.round(dict.fromkeys(("open", "high", "low", "close"), 0))
    for field in ("open", "high", "low", "close"):
        frame[field] = {
            "float32": lambda c: c.astype("float32"),
            "decimal": lambda c: c.map(lambda v: decimal.Decimal(str(v))),
            "text": lambda c: c.astype(str),
            "whole": lambda c: c.astype("int64"),
        }[kind](frame[field])
    frame.to_parquet(tmp_path / "AAA.parquet", index=False)
    assert read(tmp_path)["close"][:, 0].tolist() == [float(v) for v in frame["close"]]


def test_parquet_text_that_is_no_number_is_reported_with_its_row(tmp_path):
    frame = bars("AAA", days(6), adjusted=False).astype({"close": str})
    frame.loc[2, "close"] = "n.a."
    frame.to_parquet(tmp_path / "AAA.parquet", index=False)
    (message,) = refused(tmp_path)
    assert "AAA.parquet row 3 (2020-01-03) has no number in 'close': 'n.a.'" in message


def test_other_bytes_are_no_parquet(tmp_path):
    (tmp_path / "AAA.parquet").write_bytes(b"PAR1 and then something else PAR1")
    assert "a Parquet file" in refused(tmp_path)[0]


def test_nested_columns_are_not_mistaken_for_prices(tmp_path):
    frame = bars("AAA", days(3), adjusted=False)
    frame["close"] = [[1.0], [2.0], [3.0]]
    frame.to_parquet(tmp_path / "AAA.parquet", index=False)
    assert "has no column close" in refused(tmp_path)[0]


def test_files_of_several_kinds_in_a_folder_are_not_mixed(frames, tmp_path):
    from podium.errors import UsageError
    from podium.steps.data.reading import reader_of

    place = write(tmp_path / "d", frames, "files", ".csv")
    write(place, {"ZZZ": frames["AAA"]}, "files", ".parquet")
    with pytest.raises(UsageError, match="several kinds"):
        reader_of(place)


def test_limits_stop_a_file_before_it_is_in_memory(tmp_path):
    from podium.readers._options import ReadLimits

    path = write(tmp_path / "d", {"AAA": bars("AAA", days(50))}, "files", ".parquet")
    for limits, told in (
        (ReadLimits(rows=10), "50 rows. Expected at most 10"),
        (ReadLimits(columns=3), "7 columns. Expected at most 3"),
        (ReadLimits(bytes=100), "bytes"),
    ):
        assert told in refused(path, limits=limits)[0]
    place = write(tmp_path / "c", {"AAA": bars("AAA", days(50))}, "files", ".csv")
    for limits, told in (
        (ReadLimits(rows=10), "50 rows. Expected at most 10"),
        (ReadLimits(columns=3), "7 columns. Expected at most 3"),
        (ReadLimits(bytes=100), "bytes"),
    ):
        assert told in refused(place, limits=limits)[0]


def test_a_small_file_cannot_unpack_to_a_huge_one(tmp_path):
    from podium.readers._options import ReadLimits

    line = b"2010-01-04,100,102,98,100,1000\n"
    packed = gzip.compress(HEADER.encode() + b"\n" + line * 100_000)
    (tmp_path / "AAA.csv.gz").write_bytes(packed)
    assert len(packed) < 100_000
    (message,) = refused(tmp_path, limits=ReadLimits(bytes=1_000_000))
    assert "unpacks to more than 1,000,000 bytes" in message


def test_names_are_distinguished_from_what_stands_round_them():
    assert [normal(n) for n in ("Adj. Close", "CLOSE*", " close ", "('Close', '')")] == [
        "adj_close",
        "close",
        "close",
        "close",
    ]
    assert zone_in_name("Time (America/New_York)") == "America/New_York"
    assert zone_in_name("Timestamp [UTC]") == "UTC"
    assert stamp_in_name("Close time") == "close"
    assert stamp_in_name("date") == ""


def test_a_dataset_realigns_by_name_with_a_note(expected):
    found, told = expected.realign(("EUR_USD", "AAA"))
    assert found.tickers == ("EUR_USD", "AAA")
    assert "left out: BRK.B" in told
    assert expected.realign(TICKERS) == (expected, "")
    with pytest.raises(DataError, match="'AAB'"):
        expected.realign(("AAB",))
