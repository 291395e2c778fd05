"""Dated target weights: those of the backtest on its bars, on to the newest, without training."""

import csv
import io
import json

import numpy as np
import pytest

import ladder as ladders
from podium.cli.main import run
from podium.decision import Stage
from podium.errors import NotFoundError, UsageError
from podium.ledger import reads
from podium.steps.data.bars import slot_data
from podium.steps.decisions.backtest import backtest
from podium.steps.decisions.promote import promote
from podium.steps.evidence.trading import order_bars, run_backtest
from podium.steps.serving import signals as step
from podium.steps.serving.signals import COLUMNS, signals, write_newest
from podium.steps.workspace.session import open_project
from projects import LENIENT, SLOT, configure, long_project, query

FOLDER = "backtesting_results"
SETTINGS = {"paths": {"backtesting": FOLDER}, "policies": LENIENT}


@pytest.fixture(scope="module")
def judged(ladder, tmp_path_factory):
    """A project with a champion, whose test ends long before the bars do."""
    root = ladder.copy(tmp_path_factory.mktemp("judged") / "small", "judged", "long", **SETTINGS)
    with open_project(root) as project:
        found = backtest(project, SLOT)
        promote(project, found.candidate.id, reason="good enough")
        done = promote(project, found.candidate.id, reason="good enough")
        assert done.stage is Stage.CHAMPION
    return root


@pytest.fixture
def copied(judged, tmp_path):
    """A copy of it to do things to."""
    return ladders.copied(judged, tmp_path / "copied")


def ask(root, *args):
    return run([*args, "--project", str(root)])


def test_weights_since_the_tests_first_bar_are_those_the_backtest_traded(judged):
    with open_project(judged) as project:
        found = signals(project, since="2002-01-02")
        data = slot_data(project.config, SLOT)
        bars = len(data.view) - data.test_start
        assert (found.times[:bars] == data.view.times[data.test_start :]).all()
        assert (found.order[:bars] == order_bars(bars, 5)).all()
        weights = np.where(found.order[:, None], found.weights, np.nan)[:bars]
        traded = run_backtest(project, data, weights)
        [row] = query(judged, "SELECT series FROM evidence WHERE kind = 'backtest'")
        series = json.loads(row["series"])
        with project.ledger.reading() as tx:
            equity = reads.array(tx, series["candidate"])
            quantity = reads.array(tx, series["trades:quantity"])
    np.testing.assert_array_equal(traded.equity / traded.equity[0], equity)
    np.testing.assert_array_equal(traded.trades.quantity, quantity)
    assert found.as_of == "2013-03-01T00:00:00"


def test_a_later_date_gives_the_same_numbers_on_the_same_bars(judged):
    with open_project(judged) as project:
        whole = signals(project, SLOT, since="2002-01-02")
        late = signals(project, SLOT, since="2012-12-31T12:00:00+01:00")
        newest = signals(project, SLOT)
    assert str(late.times[0]) == "2013-01-02T00:00:00"
    rows = len(late.times)
    np.testing.assert_array_equal(late.weights, whole.weights[-rows:])
    np.testing.assert_array_equal(late.order, whole.order[-rows:])
    np.testing.assert_array_equal(newest.weights, whole.weights[-1:])


def test_a_signal_that_remembers_what_is_held_does_so_from_the_tests_first_bar_on(copied):
    configure(copied, **SETTINGS, slots={SLOT: {"signal": "threshold"}})
    with open_project(copied) as project:
        whole = signals(project, since="2002-01-02")
        late = signals(project, since="2013-02-01")
    assert whole.signal == "threshold"
    np.testing.assert_array_equal(late.weights, whole.weights[-len(late.times) :])


def test_nothing_is_trained_or_written_by_asking(judged, monkeypatch):
    before = query(judged, "SELECT count(*) AS n FROM trial"), query(judged, "SELECT * FROM outbox")
    monkeypatch.setattr("podium.steps.trials.execute.run", lambda *_: pytest.fail("trained"))
    with open_project(judged) as project:
        signals(project, since="2013-01-01")
    assert before == (
        query(judged, "SELECT count(*) AS n FROM trial"),
        query(judged, "SELECT * FROM outbox"),
    )


def test_every_row_says_when_it_was_decided_for_when_and_by_which_model(judged, capsys):
    [candidate] = query(judged, "SELECT * FROM candidate")
    assert ask(judged, "signals", "--since", "2013-02-28", "-o", "csv") == 0
    out, err = capsys.readouterr()
    rows = [*csv.DictReader(io.StringIO(out))]
    assert tuple(rows[0]) == COLUMNS
    assert [(row["as_of"][:10], row["valid_for"][:10], row["ticker"]) for row in rows] == [
        ("2013-02-28", "2013-03-01", "AAPL"),
        ("2013-02-28", "2013-03-01", "IBM"),
        ("2013-03-01", "the next b", "AAPL"),
        ("2013-03-01", "the next b", "IBM"),
    ]
    assert {row["candidate"] for row in rows} == {candidate["id"]}
    assert {row["artifact_hash"] for row in rows} == {candidate["artifact_hash"]}
    assert sum(float(row["weight"]) for row in rows[2:]) == pytest.approx(1.0)
    assert f"champion of {SLOT}" in err
    assert ask(judged, "signals", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "signals"
    assert [item["ticker"] for item in told["items"]] == ["AAPL", "IBM"]
    assert ask(judged, "signals", SLOT) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Target weights of 2 tickers at 1 bar until 2013-03-01")
    assert lines[2].split() == ["ticker", "weight", "forecast"]


def test_a_candidate_or_a_path_takes_the_champions_place(judged):
    [candidate] = query(judged, "SELECT * FROM candidate")
    place = judged / "models" / "registry" / candidate["artifact_path"]
    with open_project(judged) as project:
        champion = signals(project)
        by_id = signals(project, candidate=candidate["id"])
        by_path = signals(project, model_path=place)
    assert by_id.rule == f"candidate {candidate['id']}, named explicitly"
    assert by_path.rule == f"model {place}, named explicitly"
    assert by_id.rows() == by_path.rows() == champion.rows()


@pytest.mark.parametrize(
    ("since", "kind", "text"),
    [
        ("yesterday", UsageError, "'yesterday' is no date"),
        ("2001-12-31", UsageError, "begin at 2002-01-02T00:00:00, with its test"),
        ("2013-03-02", NotFoundError, "the newest bar is of 2013-03-01"),
    ],
)
def test_a_date_that_cannot_be_asked_for_is_refused(since, kind, text, judged):
    with open_project(judged) as project, pytest.raises(kind, match=text):
        signals(project, since=since)


def test_a_date_on_the_days_without_bars_before_the_test_is_its_first_bar(judged):
    with open_project(judged) as project:
        assert str(signals(project, since="2002-01-01").times[0]) == "2002-01-02T00:00:00"


def test_bars_that_the_model_was_trained_on_give_no_signals(copied):
    [candidate] = query(copied, "SELECT * FROM candidate")
    # As if it had been trained on the test too, for live use.
    configure(copied, **SETTINGS, slots={SLOT: {"test_from": "2001-06-01"}})
    with open_project(copied) as project:
        with pytest.raises(UsageError, match="was trained on bars until 2001-12-31"):
            signals(project, candidate=candidate["id"], since="2001-08-01")
        found = signals(project, candidate=candidate["id"], since="2002-01-02")
    assert str(found.times[0]) == "2002-01-02T00:00:00"


def test_without_a_champion_it_says_so(tmp_path):
    root = long_project(tmp_path / "small")
    with open_project(root) as project:
        assert project.ledger
        with pytest.raises(NotFoundError, match="has no champion"):
            signals(project)


def test_a_backtest_leaves_the_newest_bars_weights_beside_its_files(copied, capsys):
    assert ask(copied, "backtest", "--generate-signals") == 0
    assert "signals of 2013-03-01T00:00:00 are in backtesting_results/signals.csv" in (
        capsys.readouterr().err
    )
    [candidate] = query(copied, "SELECT * FROM candidate")
    told = json.loads((copied / FOLDER / "signals.json").read_text())
    assert told["candidate"] == candidate["id"]
    assert told["artifact_hash"] == candidate["artifact_hash"]
    assert told["as_of"] == "2013-03-01T00:00:00"
    assert told["valid_for"] == "the next bar, filled at its open"
    with open_project(copied) as project:
        newest = signals(project)
    assert told["weights"] == {row["ticker"]: row["weight"] for row in newest.rows()}
    with (copied / FOLDER / "signals.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [float(row["weight"]) for row in rows] == [*told["weights"].values()]


def test_a_ticker_that_a_spreadsheet_would_run_is_escaped_in_the_signals(copied, monkeypatch):
    whole = step._since

    def named(*args):
        found = whole(*args)
        object.__setattr__(found, "tickers", ("=A1", "IBM"))
        return found

    monkeypatch.setattr(step, "_since", named)
    with open_project(copied) as project:
        written = write_newest(project, backtest(project, SLOT).candidate)
    assert ",'=A1," in (copied / written.place).read_text()


def test_signals_with_nowhere_to_go_are_refused(copied):
    with open_project(copied, settings={"paths.backtesting": ""}) as project:
        found = backtest(project, SLOT)
        with pytest.raises(UsageError, match=r"paths\.backtesting is empty"):
            write_newest(project, found.candidate)
