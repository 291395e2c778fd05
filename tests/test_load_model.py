"""Loading a kept model by any of its paths, and forecasting from frames, arrays and windows."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import podium
from looped import looped
from podium import registry
from podium.errors import DataError, NotFoundError, UsageError
from podium.resolve import get_active_model_path, load_model
from podium.split import Windows
from podium.steps.data.bars import load_dataset, slot_data
from podium.steps.search.grid import grid
from podium.steps.workspace.session import open_project
from projects import SLOT, query, small_project

TICKERS = ["AAPL", "IBM"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project whose grid left one LSTM and one naive model."""
    root = small_project(tmp_path_factory.mktemp("load") / "small")
    with open_project(root) as project:
        grid(project, SLOT, {"learning_rate": [0.01]})
        grid(project, SLOT, {"method": ["ewma"], "debias": [True]}, family="naive")
    return root


@pytest.fixture(scope="module")
def paths(root):
    """Checkpoint of each family's model."""
    rows = query(root, "SELECT family, checkpoint FROM trial WHERE checkpoint IS NOT NULL")
    return {row["family"]: root / row["checkpoint"] for row in rows}


@pytest.fixture(scope="module")
def model(paths):
    return load_model(paths["lstm"])


@pytest.fixture(scope="module")
def data(root):
    with open_project(root) as project:
        return slot_data(project.config, SLOT)


@pytest.fixture(scope="module")
def expected(model, data):
    """Forecasts of every whole window before the end of the test, by (ticker, time)."""
    bars = np.arange(data.view.first_bar, len(data.view))
    found = model.predict(Windows.of(data.view, bars))
    times = pd.DatetimeIndex(found.decided_at)
    return pd.Series(found.mean, index=pd.MultiIndex.from_arrays([found.item, times]))


@pytest.fixture(scope="module")
def long(root, data):
    """The same bars as a long frame of raw prices."""
    frames = [
        pd.read_csv(root / "data" / "us4" / f"{ticker}.csv").assign(ticker=ticker)
        for ticker in TICKERS
    ]
    frame = pd.concat(frames)
    return frame[pd.to_datetime(frame["date"]) <= pd.Timestamp(data.view.times[-1])]


def agrees(found, expected):
    """Whether a frame of forecasts is the expected ones for its bars."""
    keys = pd.MultiIndex.from_arrays([found["ticker"], pd.DatetimeIndex(found["decided_at"])])
    common = keys.intersection(expected.index)
    assert len(common) == len(expected.loc[sorted(set(found["ticker"]))])
    mine = pd.Series(found["forecast"].to_numpy(), index=keys)
    # The dataset may begin later or earlier than the frame; features look back a little only.
    np.testing.assert_allclose(mine[common], expected[common], rtol=1e-5)


# Where it is found


@pytest.mark.slow
def test_torch_is_imported_by_load_model_and_by_nothing_before_it(root, paths):
    program = """
import json, sys
import podium
path = podium.get_active_model_path()
heavy = [m for m in ("torch", "pandas", "sqlalchemy", "numpy", "click") if m in sys.modules]
model = podium.load_model(sys.argv[1])
print(json.dumps([str(path), heavy, "torch" in sys.modules, model.manifest["slot"]]))
"""
    folder = root / "notebooks" / "deep"
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", program, str(paths["lstm"])],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    path, heavy, loaded, slot = json.loads(done.stdout)
    assert path == str(get_active_model_path(root))
    assert heavy == []
    assert (loaded, slot) == (True, SLOT)


def test_any_path_into_a_models_folder_leads_to_it(paths, model, data):
    windows = Windows.of(data.view, data.test_bars)
    expected = model.predict(windows).mean
    folder = paths["lstm"].parents[1]
    for path in (folder, folder / "best_model", folder / "manifest.json", str(paths["lstm"])):
        np.testing.assert_array_equal(load_model(path).predict(windows).mean, expected)


def test_a_path_told_before_the_project_moved_still_leads_to_the_model(
    root, paths, tmp_path, monkeypatch
):
    moved = shutil.copytree(root, tmp_path / "moved")
    monkeypatch.chdir(moved)
    old = "/gone/" + str(paths["lstm"].relative_to(root))
    assert load_model(old).manifest["family"] == "lstm"
    with pytest.raises(NotFoundError, match="does not exist"):
        load_model("/gone/models/registry/nothing")


def test_a_changed_file_is_refused_by_whatever_path_it_is_asked_for(paths, tmp_path):
    folder = shutil.copytree(paths["lstm"].parents[1], tmp_path / paths["lstm"].parents[1].name)
    file = folder / "best_model" / "model.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"model\.pt differs from its manifest"):
        load_model(file)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"lstm"', '"naive"'))
    with pytest.raises(DataError, match="has hash"):
        load_model(folder)


def test_what_podium_did_not_write_is_refused_with_what_to_do(tmp_path):
    foreign = tmp_path / "my_lstm_model.keras"
    foreign.write_bytes(b"something else")
    with pytest.raises(DataError, match="the framework that saved it"):
        load_model(foreign)
    (tmp_path / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(DataError, match="is not a model's"):
        load_model(foreign)


def test_a_checkpoint_that_is_not_there_is_not_found(paths):
    folder = paths["lstm"].parents[1]
    (folder / "final_model").mkdir()
    try:
        with pytest.raises(NotFoundError, match="Known: best_model"):
            load_model(folder / "final_model")
    finally:
        (folder / "final_model").rmdir()


# What it forecasts from


def test_a_long_frame_gives_the_forecasts_of_the_same_bars(model, long, expected):
    found = model.predict(long)
    assert list(found.columns) == ["ticker", "decided_at", "forecast"]
    agrees(found, expected)


def test_tickers_and_columns_are_found_by_name(model, long, expected):
    turned = long.iloc[::-1].sort_values("date", kind="stable").set_index("date")
    turned.index = pd.DatetimeIndex(turned.index)
    names = {"close": "Close", "adj_close": "Adj Close", "ticker": "Ticker"}
    agrees(model.predict(turned.rename(columns=names)), expected)


def test_a_frame_of_one_ticker_is_enough_where_each_is_forecast_alone(model, long, expected):
    alone = long[long["ticker"] == "IBM"]
    agrees(model.predict(alone), expected)
    unnamed = model.predict(alone.drop(columns="ticker"))
    assert set(unnamed["ticker"]) == {""}
    agrees(unnamed.assign(ticker="IBM"), expected)


def test_one_ticker_is_refused_where_the_family_looks_at_all_of_them(model, long, monkeypatch):
    monkeypatch.setattr(registry.load("families", "lstm").FAMILY, "each_alone", False)
    agrees_with_all = model.predict(long)
    assert set(agrees_with_all["ticker"]) == set(TICKERS)
    for frame in (long[long["ticker"] == "IBM"], long.drop(columns="ticker")):
        with pytest.raises(DataError, match="AAPL"):
            model.predict(frame)


def test_prices_that_are_adjusted_already_give_the_same(model, root, expected):
    with open_project(root) as project:
        dataset = load_dataset(project.config, "us4")
    columns = {name: values.T.ravel() for name, values in dataset.fields.items()}
    frame = pd.DataFrame(
        {
            "ticker": np.repeat(dataset.tickers, len(dataset)),
            "date": np.tile(dataset.times, len(dataset.tickers)),
            **columns,
        }
    )
    agrees(model.predict(frame), expected)


def test_an_array_of_feature_windows_gives_one_forecast_each(model, data):
    windows = Windows.of(data.view, data.test_bars)
    found = model.predict(windows.inputs())
    assert found.shape == (len(windows),)
    np.testing.assert_allclose(found, model.predict(windows).mean, rtol=1e-6)
    assert model.predict(windows.inputs()[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x[0], r"shape \(8, 2\).*\(N, 8, 2\): windows of log_return, log_volatility:21"),
        (lambda x: x[:, 1:], r"shape \(.*, 7, 2\)"),
        (lambda x: x[:, :, :1], r"shape \(.*, 8, 1\)"),
        (lambda x: np.where(np.arange(2) == 0, np.nan, x), "not finite"),
    ],
)
def test_an_array_of_another_kind_is_refused(model, data, change, told):
    with pytest.raises(DataError, match=told):
        model.predict(change(Windows.of(data.view, data.test_bars).inputs()))


def test_a_naive_model_forecasts_from_bars_and_says_so(paths, long, data):
    naive = load_model(paths["naive"])
    assert np.isfinite(naive.predict(long)["forecast"]).all()
    with pytest.raises(DataError, match="Give it a frame of bars"):
        naive.predict(Windows.of(data.view, data.test_bars).inputs())


def test_a_ticker_the_model_never_saw_is_refused(model, long):
    with pytest.raises(DataError, match="not trained on ticker 'TSLA'"):
        model.predict(long.assign(ticker=long["ticker"].replace("IBM", "TSLA")))


def test_too_few_bars_are_refused(model, long):
    with pytest.raises(DataError, match="leave no full window"):
        model.predict(long.groupby("ticker").head(20))


def test_a_frame_that_is_wrong_is_refused_with_everything_that_is(model, long):
    broken = long.reset_index(drop=True)
    broken.loc[3, "close"] = np.nan
    broken.loc[len(broken) - 1, "low"] = -1.0
    with pytest.raises(DataError) as caught:
        model.predict(broken)
    assert len(caught.value.problems) == 2
    with pytest.raises(DataError, match="has no column volume"):
        model.predict(long.drop(columns="volume"))


def test_a_frame_may_be_explained_in_the_words_of_a_datasets_table(model, long, data, expected):
    odd = long.rename(columns={"date": "when", "close": "shut"}).iloc[::-1]
    with pytest.raises(DataError, match="has no column close"):
        model.predict(odd)
    told = {"columns": {"time": "when", "close": "shut"}, "repair": ("sort",)}
    agrees(model.predict(odd, **told), expected)
    with pytest.raises(UsageError, match="got timezone"):
        model.predict(Windows.of(data.view, data.test_bars), timezone="UTC")


def test_anything_else_is_refused_by_its_name(model):
    with pytest.raises(UsageError, match="got list"):
        model.predict([1.0])


def test_the_public_names_are_the_doors(root):
    assert podium.load_model is load_model
    assert podium.get_active_model_path is get_active_model_path


# The reader behind frames


def read(source, tickers, **how):
    settings = {"name": "d", "timeframe": "D", "adjust": True, **how}
    return registry.load("readers", "table").read(source, tickers=tickers, **settings)


def test_a_table_reads_as_the_files_it_was_made_from(root, long, tmp_path):
    with open_project(root) as project:
        section = project.config.datasets["us4"]
        files = registry.load("readers", "csv").read(
            root / section.path, name="d", tickers=TICKERS, timeframe="D", adjust=True
        )
    whole = pd.concat(
        pd.read_csv(root / "data" / "us4" / f"{ticker}.csv").assign(ticker=ticker)
        for ticker in TICKERS
    )
    whole.to_csv(tmp_path / "prices.csv", index=False)
    for source in (whole, tmp_path / "prices.csv"):
        assert read(source, TICKERS).fingerprint == files.fingerprint
        assert read(source, TICKERS[::-1]).tickers == tuple(TICKERS[::-1])


def test_a_table_tells_where_it_is_wrong(long, tmp_path):
    wrong = long.copy()
    wrong.iloc[5, wrong.columns.get_loc("high")] = 0.0
    wrong.to_csv(tmp_path / "prices.csv", index=False)
    with pytest.raises(DataError, match=r"prices.csv line 7 .* has a value too low in 'high'"):
        read(tmp_path / "prices.csv", TICKERS)
    with pytest.raises(DataError, match="dataset 'd' row 5 "):
        read(wrong, TICKERS)
    with pytest.raises(DataError, match=r"'IBN' is not in dataset 'd'.*Did you mean 'IBM'"):
        read(long, ["AAPL", "IBN"])
    with pytest.raises(DataError, match=r"no file .*none\.csv"):
        read(tmp_path / "none.csv", TICKERS)


def hours(tickers, n=6):
    """Hourly bars of an exchange in New York, one frame a ticker."""
    index = pd.date_range("2020-01-06T10:00", periods=n, freq="h", tz="America/New_York")
    base = pd.DataFrame({"open": 2.0, "high": 3.0, "low": 1.0, "close": 2.0, "volume": 9.0}, index)
    return {ticker: base + np.arange(n)[:, None] for ticker in tickers}


@looped(
    ("change", "options"),
    [
        (lambda one: one, {}),
        (lambda one: one.tz_convert("Asia/Tokyo"), {}),
        (lambda one: one.tz_localize(None), {"timezone": "America/New_York"}),
        (
            lambda one: one.tz_localize(None).shift(-1, freq="h"),
            {"timezone": "America/New_York", "stamp": "open"},
        ),
        (lambda one: one.iloc[::-1], {"repair": ("sort",)}),
        (lambda one: one.rename_axis("when"), {"columns": {"time": "when"}}),
        (lambda one: one.set_index(one.index.as_unit("s").asi8).rename_axis("ts"), {}),
        (lambda one: one.assign(date=list(one.index)).reset_index(drop=True), {}),
        (lambda one: one.astype("Float64").assign(other="text"), {}),
    ],
)
def test_a_frame_is_understood_as_a_file_is(change, options):
    found = read(change(hours("A")["A"]), ["A"], timeframe="1H", adjust=None, **options)
    assert str(found.times[0]) == "2020-01-06T15:00:00"
    assert found["close"][:, 0].tolist() == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "made",
    [
        lambda frames: pd.concat(frames, axis=1),
        lambda frames: pd.concat(frames, axis=1).swaplevel(axis=1),
        lambda frames: pd.concat(frames, names=["Symbol", "Date"]),
        lambda frames: pd.concat(frames, names=["Symbol", "Date"]).reset_index(),
    ],
)
def test_tickers_may_be_in_a_column_in_the_index_or_beside_one_another(made):
    reader, frame = registry.load("readers", "table"), made(hours("BA"))
    assert reader.tickers_of(frame, name="d") == ["B", "A"]
    found = read(frame, ["A", "B"], timeframe="1H", adjust=None)
    assert found.tickers == ("A", "B")
    assert found["close"].tolist() == [[k, k] for k in range(2, 8)]


@looped(
    ("change", "told"),
    [
        (
            lambda one: one.iloc[::-1],
            r"row 1 \(and 4 more\) goes back in time.*repair = \[.sort.\]",
        ),
        (lambda one: pd.concat([one, one.iloc[5:]]), "row 6 repeats 2020-01-06T20:00:00"),
        (lambda one: one.assign(close=["x", *"23456"]), r"row 0 .* no number in 'close': 'x'"),
        (lambda one: one.assign(high=0.5), r"row 0 \(and 5 more\).*its high below its low"),
        (lambda one: one.assign(Close=1.0), "2 columns that may be the close"),
        (lambda one: one[:0], "no rows"),
        (
            lambda one: one.set_index(one.index.map(str) + "?").rename_axis("t"),
            "no column of times",
        ),
        (lambda one: one.set_index(one.index.date).rename_axis("date"), "repeats 2020-01-06"),
    ],
)
def test_a_frame_is_refused_as_a_file_is_with_the_number_of_its_row(change, told):
    with pytest.raises(DataError, match=told):
        read(change(hours("A")["A"]), ["A"], timeframe="1H", adjust=None)


def test_a_frame_of_another_library_is_refused_by_its_name(model):
    class Frame:
        columns = ()

    with pytest.raises(UsageError, match=r"a frame of .*Call its to_pandas"):
        model.predict(Frame())
