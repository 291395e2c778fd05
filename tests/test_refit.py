"""A model trained again during its test: on what was known then, beside the frozen one."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import ladder as ladders
import quick
from podium import artifact
from podium.cli.main import run
from podium.errors import DataError, UsageError
from podium.index import Index
from podium.ledger import reads
from podium.sections import BacktestSection
from podium.split import Windows
from podium.stats import diebold_mariano, panel_loss
from podium.steps.archive.reproduce import reproduce
from podium.steps.candidates.finalize import finalize
from podium.steps.data.bars import slot_data
from podium.steps.decisions.backtest import backtest, judge_inputs
from podium.steps.decisions.refit import execute, refits_of
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.workspace.project import Silent
from podium.steps.workspace.session import open_project
from projects import SLOT, query, small_project

EVERY = {"backtest.refit_every": 21}
WINDOW = {**EVERY, "backtest.refit_window": 200}


@pytest.fixture(scope="module")
def judged(ladder):
    """A project whose candidate was judged, nothing was trained again yet."""
    return ladder.project("judged", paths={"backtesting": "backtesting_results"})


@pytest.fixture
def copied(judged, tmp_path):
    """A copy of it to train in."""
    return ladders.copied(judged, tmp_path / "copied")


@pytest.fixture(scope="module")
def refitted(judged, tmp_path_factory):
    """A copy with refits over a window; tests only look at it."""
    root = ladders.copied(judged, tmp_path_factory.mktemp("refitted") / "small")
    again(root, WINDOW)
    return root


def again(root, flags=EVERY, **given):
    with open_project(root, settings=flags, **given) as project:
        return backtest(project, SLOT)


def evidence(root):
    [row] = query(root, "SELECT * FROM evidence WHERE kind = 'refit'")
    told = {name: value for name, (value, *_) in json.loads(row["scalars"]).items()}
    with open_project(root) as project, project.ledger.reading() as tx:
        series = json.loads(row["series"])
        arrays = {name: reads.array(tx, series[name]) for name in series}
    return told, json.loads(row["notes"]), arrays


def trials(root):
    return query(
        root,
        "SELECT t.*, l.number FROM trial t JOIN study_trial l ON l.trial_id = t.id "
        "WHERE l.phase = 'refit' ORDER BY l.number",
    )


class StopAt(Silent):
    """Behaves like Ctrl-C at the end of the n-th refit."""

    def __init__(self, number):
        self.number = number

    def progress(self, label, done, total, note=""):
        if label.endswith(": refit") and done == self.number:
            raise KeyboardInterrupt


# What is trained on


@pytest.mark.parametrize("window", [0, 200])
def test_each_refit_trains_on_labels_that_had_ended_the_bar_before_and_no_others(window, judged):
    with open_project(judged) as project:
        data = slot_data(project.config, SLOT)
    split = refits_of(data, BacktestSection(refit_every=21, refit_window=window))
    bars = len(data.view) - data.test_start
    assert len(split.folds) == (bars - 1) // 21
    for number, fold in enumerate(split.folds, 1):
        bar = data.test_start + 21 * number
        # The label of t is made of bars up to t + horizon, all of which lie before the refit.
        assert fold.train[-1] + data.view.horizon == bar - 1
        assert len(fold.validation) == 0
        assert (np.diff(fold.train) == 1).all()
        assert len(fold.train) == (window or fold.train[-1] - data.view.first_bar + 1)


def test_a_refit_at_the_tests_first_bar_would_train_on_what_the_frozen_model_did(judged):
    with open_project(judged) as project:
        data = slot_data(project.config, SLOT)
    first = refits_of(data, BacktestSection(refit_every=1)).folds[0]
    assert first.train[-1] - 1 == data.tuning.last_labelled


def test_refits_are_trials_on_record_with_the_candidates_config_and_seed(refitted):
    rows = trials(refitted)
    [candidate] = query(refitted, "SELECT * FROM candidate")
    [served] = query(refitted, "SELECT * FROM trial WHERE id = ?", candidate["trial_id"])
    assert len(rows) == 5
    assert {row["state"] for row in rows} == {"complete"}
    assert {row["config"] for row in rows} == {candidate["config"]}
    assert {row["seed"] for row in rows} == {served["seed"]}
    assert len({row["split_hash"] for row in rows}) == 1
    # No config was looked at by this, and no model is left behind.
    assert len({row["config_hash"] for row in [*rows, served]}) == 1
    assert {row["artifact_hash"] for row in rows} == {None}


def test_a_refit_is_bit_equal_when_it_is_trained_once_more(refitted):
    with open_project(refitted) as project:
        assert reproduce(project, trials(refitted)[2]["id"]).equal


# What comes of it


def test_until_the_first_refit_the_frozen_model_forecasts_then_others_do(refitted):
    told, notes, arrays = evidence(refitted)
    first = np.flatnonzero(arrays["times"] == np.datetime64(notes["first"]))[0]
    assert first == 21
    # Decided at the bar of the refit, filled the day after.
    np.testing.assert_array_equal(arrays["refit"][:22], arrays["frozen"][:22])
    assert (arrays["refit"][22:] != arrays["frozen"][22:]).any()
    assert notes["every"] == "21 bars"
    assert notes["window"] == "200 bars"
    assert told["refits"] == 5


def test_the_frozen_model_beside_it_is_the_candidate_of_the_backtest(refitted):
    told, _, arrays = evidence(refitted)
    rows = query(refitted, "SELECT kind, scalars, series FROM evidence")
    found = {row["kind"]: json.loads(row["scalars"]) for row in rows}
    [series] = [json.loads(row["series"]) for row in rows if row["kind"] == "backtest"]
    assert told["frozen_loss"] == found["test"]["loss"][0]
    for name in ("sharpe", "cagr", "max_drawdown", "turnover"):
        assert told[f"frozen:{name}"] == found["backtest"][f"candidate:{name}"][0]
    with open_project(refitted) as project, project.ledger.reading() as tx:
        equity = reads.array(tx, series["candidate"])
        frozen = reads.array(tx, json.loads(_row(rows, "test")["series"])["loss"])
    np.testing.assert_array_equal(arrays["frozen"], equity)
    index = Index.unpack(arrays["index"]).seconds
    mine, other = (panel_loss(x.astype(float), index)[1] for x in (arrays["loss"], frozen))
    test = diebold_mariano(mine, other, 5)
    assert told["dm_statistic"] == pytest.approx(test.statistic, rel=1e-4)
    assert told["dm_p_value"] == pytest.approx(test.p_value, rel=1e-4)
    assert told["loss"] == pytest.approx(arrays["loss"].mean(), rel=1e-5)


def _row(rows, kind):
    [found] = [row for row in rows if row["kind"] == kind]
    return found


def test_refits_leave_the_evidence_the_receipt_and_the_looks_of_the_test_alone(judged, refitted):
    kinds = "SELECT * FROM evidence WHERE kind != 'refit' ORDER BY id"
    assert query(judged, kinds) == query(refitted, kinds)
    assert query(judged, "SELECT * FROM test_look") == query(refitted, "SELECT * FROM test_look")
    with open_project(judged) as project:
        data = slot_data(project.config, SLOT)
    sections = (BacktestSection(refit_every=21, refit_window=9), BacktestSection())
    with_refits, without = (judge_inputs(data, section, None, None) for section in sections)
    assert with_refits == without


def test_the_files_show_the_refits_beside_the_frozen_model(refitted):
    place = refitted / "backtesting_results"
    told, _, arrays = evidence(refitted)
    curves = pd.read_csv(place / "equity.csv")
    np.testing.assert_array_equal(curves["refit"], arrays["refit"])
    found = json.loads((place / "results.json").read_text())["refit"]
    assert found["loss"] == told["loss"]
    assert found["measures"]["refit"]["cagr"] == told["refit:cagr"]


@pytest.mark.slow
def test_asked_again_the_record_answers_and_with_other_terms_it_does_not(copied):
    again(copied)
    before = trials(copied)
    again(copied)
    assert trials(copied) == before
    other = again(copied, {"backtest.refit_every": 60})
    assert other.evidence["refit"].notes["every"] == "60 bars"
    assert len(trials(copied)) == len(before) + 2
    first = again(copied)
    assert first.evidence["refit"].notes["every"] == "21 bars"
    assert len(trials(copied)) == len(before) + 2


# The future


@pytest.mark.slow
def test_a_future_that_changes_moves_no_forecast_before_it(copied):
    again(copied)
    _, _, before = evidence(copied)
    for ticker in ("AAPL", "IBM"):
        place = copied / "data" / "us4" / f"{ticker}.csv"
        frame = pd.read_csv(place)
        late = frame[frame.columns[0]] >= "2002-05-01"
        prices = [c for c in frame if c.lower() in ("open", "high", "low", "close", "adj_close")]
        frame[prices] = frame[prices].astype(float)
        frame.loc[late, prices] *= 1.7
        frame.to_csv(place, index=False)
    [row] = query(copied, "SELECT artifact_path FROM candidate")
    with open_project(copied, settings=EVERY) as project:
        backtest(project, model_path=copied / "models" / "registry" / row["artifact_path"])
    rows = query(copied, "SELECT * FROM evidence WHERE kind = 'refit' ORDER BY seq")
    assert len(rows) == 2
    series = json.loads(rows[-1]["series"])
    with open_project(copied) as project, project.ledger.reading() as tx:
        after = {name: reads.array(tx, series[name]) for name in series}
    cut = int(np.searchsorted(before["times"], np.datetime64("2002-05-01")))
    np.testing.assert_array_equal(before["refit"][:cut], after["refit"][:cut])
    assert (before["refit"] != after["refit"]).any()
    # A loss is of the past as long as its label is.
    index = Index.unpack(before["index"])
    ended = index.target_end < before["times"][cut]
    assert ended.sum() > 100
    np.testing.assert_array_equal(before["loss"][ended], after["loss"][ended])


def test_workers_are_given_no_bar_that_the_last_refit_does_not_know(copied, monkeypatch):
    seen = []
    whole = execute.job_of

    def job_of(data, split, family):
        if split.name == "refit":
            seen.append((data.tuning, split))
        return whole(data, split, family)

    monkeypatch.setattr(execute, "job_of", job_of)
    again(copied)
    [(view, split)] = seen
    with open_project(copied) as project:
        data = slot_data(project.config, SLOT)
    last = data.test_start + 21 * len(split.folds)
    assert len(view) == last
    for fold in split.folds:
        assert np.isfinite(Windows.of(view, fold.train).truth()).all()


# Cut off


@pytest.mark.slow
def test_what_is_cut_off_goes_on_with_what_was_not_trained_yet(copied, refitted):
    with pytest.raises(KeyboardInterrupt):
        again(copied, WINDOW, reporter=StopAt(3))
    done = [row["id"] for row in trials(copied) if row["state"] == "complete"]
    assert 0 < len(done) < 5
    ends = {row["id"]: row["ended_at"] for row in trials(copied)}
    again(copied, WINDOW)
    rows = trials(copied)
    assert {row["state"] for row in rows} == {"complete"}
    assert all(row["ended_at"] == ends[row["id"]] for row in rows if row["id"] in done)
    told, _, arrays = evidence(copied)
    expected, _, others = evidence(refitted)
    assert {k: v for k, v in told.items() if v is not None} == {
        k: v for k, v in expected.items() if v is not None
    }
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], others[name])


KILLED = """
import sys
from podium.ledger import writes
from podium.steps.decisions.refit import execute
from podium.steps.workspace.project import Silent
from podium.steps.workspace.session import open_project
from podium.steps.decisions.backtest import backtest
import os, signal
whole, ended = writes.end_trial, []
def end_trial(*args, **given):
    ended.append(1)
    if len(ended) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **given)
writes.end_trial = end_trial
with open_project(__import__("pathlib").Path(sys.argv[1]), settings={FLAGS}) as project:
    backtest(project, {SLOT!r})
"""


@pytest.mark.slow
def test_a_kill_between_a_forecast_and_its_trials_end_loses_one_refit_and_no_number(
    copied, refitted
):
    code = KILLED.replace("{FLAGS}", repr(WINDOW)).replace("{SLOT!r}", repr(SLOT))
    done = subprocess.run([sys.executable, "-c", code, str(copied)], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [row["state"] for row in trials(copied)].count("complete") == 2
    again(copied, WINDOW)
    _, _, arrays = evidence(copied)
    _, _, others = evidence(refitted)
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], others[name])
    assert len(trials(copied)) == 5


# Other families and what is refused


def test_a_family_without_epochs_or_torch_is_trained_again_too(quick_family, tmp_path):
    slot = {"families": [quick_family]}
    root = small_project(tmp_path / "small", slots={SLOT: slot}, space={"lstm": {}})
    with open_project(root, settings=EVERY) as project:
        tune(project, SLOT)
        extend(project, SLOT)
        finalize(project, SLOT)
        found = backtest(project, SLOT)
    # It forecasts from the present alone, so training again changes nothing.
    refit = found.evidence["refit"]
    assert refit.scalar("loss") == refit.scalar("frozen_loss")
    assert np.isnan(refit.scalar("dm_p_value"))
    assert refit.notes["dm_reason"]
    assert quick.TRAINED


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"backtest.refit_every": 130}, "refit_every is 130, and the test of .* has 124 bars"),
        ({**EVERY, "backtest.refit_window": 29}, "would train on 29 bars"),
    ],
)
def test_refits_that_cannot_be_are_refused_before_anything_is_trained(flags, text, copied):
    with pytest.raises(UsageError, match=text):
        again(copied, flags)
    assert trials(copied) == []


def test_a_window_without_refits_is_refused(copied, capsys):
    assert run(["backtest", "--window", "200", "--project", str(copied)]) == 2
    assert "without refit_every" in capsys.readouterr().err


@pytest.mark.slow
def test_a_refit_that_fails_is_told_with_its_reason(copied, monkeypatch):
    def fails(self, *_, **__):
        raise ValueError("out of luck")

    monkeypatch.setattr("podium.families.lstm.LSTMFamily.fit_many", fails)
    with pytest.raises(DataError, match=r"5 of 5 refits failed: .*out of luck"):
        again(copied)
    assert query(copied, "SELECT * FROM evidence WHERE kind = 'refit'") == []


def test_the_models_served_are_not_touched(copied):
    [row] = query(copied, "SELECT * FROM candidate")
    again(copied)
    artifact.verify(copied / "models" / "registry" / row["artifact_path"], row["artifact_hash"])
    assert len([*(copied / "models" / "registry").iterdir()]) == 1
