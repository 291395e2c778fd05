"""What a backtest leaves for its users: files that agree with the record and with one another."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest

import ladder as ladders
from podium.errors import MissingExtraError
from podium.portfolio import periods_per_year, sharpe
from podium.render.trading import drawdowns
from podium.steps.data.bars import slot_data
from podium.steps.decisions import backtest_files
from podium.steps.decisions.backtest import backtest
from podium.steps.decisions.backtest_files import PORTFOLIOS, monthly
from podium.steps.workspace.session import open_project
from projects import LENIENT, SLOT, Saying, query

NAMES = ("equity", "drawdown", "monthly", "trades")
FOLDER = "backtesting_results"


@pytest.fixture(scope="module")
def judged(ladder):
    """A project whose candidate was judged and whose files are written."""
    return ladder.project(
        "judged",
        paths={"backtesting": FOLDER},
        backtest={"initial_cash": 1000.0},
        policies=LENIENT,
    )


@pytest.fixture
def copied(judged, tmp_path):
    """A copy of it to do things to."""
    return ladders.copied(judged, tmp_path / "copied")


def table(root, name):
    return pd.read_csv(root / FOLDER / f"{name}.csv")


def results(root):
    return json.loads((root / FOLDER / "results.json").read_text())


def scalars(root, kind):
    [row] = query(root, "SELECT scalars FROM evidence WHERE kind = ?", kind)
    return {name: value for name, (value, *_) in json.loads(row["scalars"]).items()}


def test_results_have_candidate_rule_and_figures(judged):
    told = results(judged)
    [candidate] = query(judged, "SELECT * FROM candidate")
    assert told["candidate"] == candidate["id"]
    assert told["artifact_hash"] == candidate["artifact_hash"]
    assert told["slot"] == SLOT
    assert told["rule"].startswith("the newest final model: models/registry/")
    assert told["tickers"] == ["AAPL", "IBM"]
    assert told["test"] == {
        "from": "2002-01-02T00:00:00",
        "to": "2002-06-28T00:00:00",
        "looks": 1,
        "windows": 238,
    }
    assert told["costs"] == "5 bps fee and 0 bps slippage on traded value, initial_cash 1000"
    assert told["losses"]["loss"] == scalars(judged, "test")["loss"]
    recorded = scalars(judged, "backtest")
    assert tuple(told["measures"]) == PORTFOLIOS
    for name in PORTFOLIOS:
        assert told["measures"][name]["cagr"] == recorded[f"{name}:cagr"]


def test_naive_is_traded_like_the_candidate_and_stands_beside_it(judged):
    curves = table(judged, "equity")
    assert list(curves) == ["time", *PORTFOLIOS]
    assert len({tuple(curves[name]) for name in PORTFOLIOS}) == len(PORTFOLIOS)
    recorded = scalars(judged, "backtest")
    times = curves["time"].to_numpy("datetime64[s]")
    for name in PORTFOLIOS:
        returns = curves[name].to_numpy()[1:] / curves[name].to_numpy()[:-1] - 1
        found = sharpe(returns, periods_per_year(times))
        assert found == pytest.approx(recorded[f"{name}:sharpe"])


def test_replaying_the_trades_gives_the_equity(judged):
    with open_project(judged) as project:
        data = slot_data(project.config, SLOT)
    times = data.view.times[data.test_start :].astype(str)
    closes = data.dataset["close"][data.test_start : len(data.view)]
    trades = table(judged, "trades")
    assert len(trades) > 20
    assert (trades["price"] > 0).all()
    notional = abs(trades["quantity"] * trades["price"])
    assert trades["fee"].to_numpy() == pytest.approx(5e-4 * notional.to_numpy())
    cash, held = 1000.0, dict.fromkeys(data.view.tickers, 0.0)
    equity = []
    for bar, moment in enumerate(times):
        before = equity[-1] if equity else 1000.0
        for fill in trades[trades["time"] == moment].itertuples():
            assert (fill.side == "buy") == (fill.quantity > 0)
            assert fill.weight == pytest.approx(fill.quantity * fill.price / before)
            cash -= fill.quantity * fill.price + fill.fee
            held[fill.ticker] += fill.quantity
        worth = sum(held[t] * closes[bar, n] for n, t in enumerate(data.view.tickers))
        equity.append(cash + worth)
    assert table(judged, "equity")["candidate"].to_numpy() * 1000 == pytest.approx(equity)


def test_drawdown_and_months_follow_from_the_equity(judged):
    curves, months = table(judged, "equity"), table(judged, "monthly")
    assert list(months["month"]) == [f"2002-0{n}" for n in range(1, 7)]
    for name in PORTFOLIOS:
        equity = curves[name].to_numpy()
        assert table(judged, "drawdown")[name].to_numpy() == pytest.approx(drawdowns(equity))
        assert np.prod(1 + months[name]) == pytest.approx(equity[-1])


def test_a_month_without_bars_is_not_made_up():
    times = np.array(["2020-01-31", "2020-03-02"], dtype="datetime64[s]")
    assert monthly(times, {"a": np.array([1.0, 2.0])})["month"] == ["2020-01", "2020-03"]


def test_parquet_holds_what_the_csv_file_holds(judged):
    for name in NAMES:
        plain, typed = table(judged, name), pd.read_parquet(judged / FOLDER / f"{name}.parquet")
        if "time" in plain:
            plain["time"] = plain["time"].astype("datetime64[ms]")
            typed["time"] = typed["time"].astype("datetime64[ms]")
        pd.testing.assert_frame_equal(plain, typed, check_dtype=False)


def test_the_pictures_are_pictures_and_the_same_each_time(copied, drawn):
    def drawings():
        paths = [copied / FOLDER / name for name in ("equity.png", "drawdown.png")]
        for path in paths:
            path.unlink()
        (copied / FOLDER / "results.json").write_text('{"podium": 1, "candidate": "x"}')
        with open_project(copied) as project:
            backtest(project, SLOT)
        return [path.read_bytes() for path in paths]

    first = drawings()
    assert all(content.startswith(b"\x89PNG") and len(content) > 10_000 for content in first)
    assert drawings() == first


def test_files_that_are_up_to_date_are_left_alone_and_missing_ones_come_back(copied):
    place = copied / FOLDER
    before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
    with open_project(copied) as project:
        backtest(project, SLOT)
    assert {path: path.stat().st_mtime_ns for path in place.iterdir()} == before
    text = (place / "trades.csv").read_bytes()
    (place / "trades.csv").unlink()
    with open_project(copied) as project:
        backtest(project, SLOT)
    assert (place / "trades.csv").read_bytes() == text


def test_no_folder_is_written_for_an_empty_path(copied):
    shutil.rmtree(copied / FOLDER)
    with open_project(copied, settings={"paths.backtesting": ""}) as project:
        backtest(project, SLOT)
    assert not (copied / FOLDER).exists()


def test_a_text_that_a_spreadsheet_would_run_is_escaped_in_every_table():
    times = np.array(["2020-01-31"], dtype="datetime64[s]")
    columns = {"time": times, "ticker": np.array(["=1+1"], dtype=object), "fee": [-1.5]}
    _, row = csv.reader(backtest_files.as_csv(columns).splitlines())
    assert row == ["2020-01-31T00:00:00", "'=1+1", "-1.5"]


def test_without_pyarrow_or_matplotlib_the_rest_is_written_with_a_message(copied, monkeypatch):
    def no_pyarrow(*_, **__):
        raise ImportError("pyarrow")

    def no_matplotlib(*_):
        raise MissingExtraError("plots as PNG need the package 'matplotlib'")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", no_pyarrow)
    monkeypatch.setattr(backtest_files, "equity_png", no_matplotlib)
    shutil.rmtree(copied / FOLDER)
    said = Saying()
    with open_project(copied, reporter=said) as project:
        backtest(project, SLOT)
    names = {f"{name}.csv" for name in NAMES} | {"results.json"}
    assert {path.name for path in (copied / FOLDER).iterdir()} == names
    told = " ".join(said.said)
    assert told.count("Parquet needs the package 'pyarrow'") == 1
    assert "equity.png and drawdown.png could not be made" in told


def test_files_of_another_model_stay_in_a_folder_of_its_id(copied):
    [first] = query(copied, "SELECT * FROM candidate")
    before = {path.name: path.read_bytes() for path in (copied / FOLDER).iterdir()}
    with open_project(copied) as project:
        second = backtest(project, SLOT, checkpoint="best").candidate
    kept = copied / FOLDER / first["id"]
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert results(copied)["candidate"] == second.id
    with open_project(copied) as project:
        backtest(project, SLOT)
    assert {p.name: p.read_bytes() for p in (copied / FOLDER).iterdir() if p.is_file()} == before
