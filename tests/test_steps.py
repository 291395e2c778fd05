"""The road from bars to a decision, on real prices: repeated, interrupted, run elsewhere."""

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import ladder as ladders
import projects
from looped import rest_slow
from podium import artifact as artifacts
from podium.decision import Stage
from podium.errors import ConflictError, DataError, NotFoundError
from podium.index import Index
from podium.ledger import reads
from podium.ledger.record_reader import RecordReader
from podium.split import Windows
from podium.steps.data.bars import load_dataset, registry, slot_data
from podium.steps.decisions.promote import promote
from podium.steps.pipeline.run import run
from podium.steps.search.analyze import analyze
from podium.steps.search.tune import tune
from podium.steps.workspace.project import Silent
from podium.steps.workspace.session import open_project
from podium.tasks.forecast import view_of
from podium.testing.series import shuffled
from projects import SLOT, configure, query, run_project, small_project

LOCAL = {"runner__name": "local"}


@pytest.fixture(scope="module")
def finished(ladder):
    """A small project after one run; tests only look at it, or at a copy of it."""
    return ladder.project("finished")


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished project to do things to."""
    return ladders.copied(finished, tmp_path / "copied")


@pytest.fixture(scope="module")
def judged(ladder):
    """A project whose candidate has all its evidence and no decision about it yet."""
    return ladder.project("judged", policies=projects.LENIENT)


@pytest.fixture
def promoted(ladder, tmp_path):
    """A project with a champion, to do things to."""
    return ladder.copy(tmp_path / "small", "finished", "long", policies=projects.LENIENT)


def dump(root):
    """The record as text, but for SQLite's own counters."""
    connection = sqlite3.connect(root / "podium.db")
    try:
        return [line for line in connection.iterdump() if "sqlite_sequence" not in line]
    finally:
        connection.close()


def only(rows):
    """The only row there is."""
    [row] = rows
    return row


def candidate(root):
    return only(query(root, "SELECT * FROM candidate"))


def artifact(root):
    """Folder and hash of the only candidate's artefact."""
    row = candidate(root)
    return root / "models" / "registry" / row["artifact_path"], row["artifact_hash"]


def ends(root):
    """When and how each trial ended, by its id."""
    rows = query(
        root, "SELECT id, state, score, loss_hash, ended_at FROM trial WHERE ended_at IS NOT NULL"
    )
    return {row.pop("id"): row for row in rows}


# One run


def test_a_run_leaves_a_candidate_its_evidence_a_decision_and_a_report(finished):
    projects.assert_clean(finished)
    found = projects.outcome(finished)
    kinds = ["backtest", "leak_probe", "test", "validation"]
    assert [row["kind"] for row in found["evidence"]] == kinds
    assert [row["stage"] for row in found["candidates"]] == [Stage.BETA]
    assert [(row["kind"], row["to_stage"], row["accepted"]) for row in found["decisions"]] == [
        ("register", "development", 1),
        ("move", "beta", 1),
        ("move", "champion", 0),
    ]
    verdicts = {v["gate"]: v for v in json.loads(found["decisions"][-1]["verdicts"])}
    assert verdicts["beats_baseline"]["result"] == "refuse"
    assert "the baseline naive ewma" in verdicts["beats_baseline"]["finding"]
    assert SLOT in (finished / "reports" / "run.html").read_text()
    told = json.loads((finished / "reports" / "run.json").read_text())
    assert told["items"][0]["verdict"] == "refused"


def test_every_trial_keeps_its_loss_in_each_window_it_was_judged_on(finished):
    with open_project(finished) as project, project.ledger.reading() as tx:
        rows = query(finished, "SELECT id FROM trial WHERE score IS NOT NULL")
        trials = reads.trials_by_id(tx, [row["id"] for row in rows])
        judged_on = [t for t in trials.values() if t.index_hash]
        for trial in judged_on:
            losses = reads.array(tx, trial.loss_hash)
            index = Index.unpack(reads.array(tx, trial.index_hash))
            assert len(index) == len(losses)
            assert (index.decided_at < index.target_end).all()
            assert float(losses.mean()) == pytest.approx(trial.score, rel=1e-5)
    # All but the two final trainings, whose windows nobody judges a config by.
    assert len(judged_on) == len(rows) - 1


def test_no_trial_saw_a_bar_of_the_sealed_test(finished):
    sealed = query(finished, "SELECT min(interval_from) AS start FROM test_look")[0]["start"]
    for row in query(finished, "SELECT * FROM split"):
        spec = json.loads(row["spec"])
        assert row["validation_to"] < sealed
        assert all(fold["train"][-1] < sealed for fold in spec["folds"])
    assert candidate(finished)["trained_until"] < sealed


def test_a_run_again_trains_nothing_and_writes_nothing(copied):
    before = dump(copied)
    again = run_project(copied)
    assert dump(copied) == before
    assert again.report.slots[0].verdict == "refused"


def test_a_run_again_tells_the_same_story(copied):
    pages = []
    for _ in range(2):
        run_project(copied)
        told = json.loads((copied / "reports" / "run.json").read_text())
        pages.append(told["items"])
    assert pages[0] == pages[1]


def test_a_candidate_that_passes_its_gates_becomes_champion_and_stays_it(judged, tmp_path):
    root = ladders.copied(judged, tmp_path / "copied")
    assert run_project(root).report.slots[0].verdict == "promoted"
    project_id = only(query(root, "SELECT project_id FROM project"))["project_id"]
    champions = RecordReader("sqlite:///podium.db", root, project_id).champions()
    assert champions[SLOT].candidate_id == candidate(root)["id"]
    kept = json.loads((root / ".podium" / "champions.json").read_text())
    assert kept["champions"][SLOT]["artifact_hash"] == candidate(root)["artifact_hash"]
    before = dump(root)
    assert run_project(root).report.slots[0].verdict == "champion unchanged"
    assert dump(root) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param({**LOCAL, "runner__jobs": 1}, marks=pytest.mark.slow, id="1 job"),
        pytest.param({**LOCAL, "runner__jobs": 2}, id="2 jobs"),
    ],
)
def test_worker_processes_find_what_one_process_finds(finished, tmp_path, flags):
    root = small_project(tmp_path / "small")
    run_project(root, **flags)
    assert projects.outcome(root) == projects.outcome(finished)


def test_a_slot_at_which_somebody_is_at_work_is_left_alone(copied):
    before = dump(copied)
    with (
        open_project(copied) as first,
        first.locked(SLOT, "tune"),
        pytest.raises(ConflictError, match=f"podium tune for {SLOT}"),
    ):
        run_project(copied)
    assert dump(copied) == before


# Interrupted runs


def interrupt(root, after, **flags):
    """Run until the reporter stops it; False when the run ended before that."""
    try:
        run_project(root, reporter=projects.Interrupting(after), **flags)
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.slow
def test_a_run_interrupted_again_and_again_ends_as_if_nothing_had_happened(finished, tmp_path):
    root = small_project(tmp_path / "small")
    done = {}
    after = 0
    while interrupt(root, after):
        assert query(root, "SELECT id FROM trial WHERE state = 'running'") == []
        # What ended before was not trained again, and did not change.
        now_done = ends(root)
        assert done.items() <= now_done.items()
        done = now_done
        after += 1
    # What is up to date tells of no progress.
    assert after >= 5
    projects.assert_clean(root)
    assert projects.outcome(root) == projects.outcome(finished)
    assert not list((root / ".podium" / "work").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("after", range(12))
def test_a_run_interrupted_once_ends_as_if_nothing_had_happened(finished, tmp_path, after):
    root = small_project(tmp_path / "small")
    flags = {**LOCAL, "runner__jobs": 2}
    assert interrupt(root, after, **flags)
    done = ends(root)
    run_project(root, **flags)
    assert done.items() <= ends(root).items()
    projects.assert_clean(root)
    assert projects.outcome(root) == projects.outcome(finished)


@pytest.mark.parametrize("after", [2, 5])
@pytest.mark.slow
def test_an_open_project_goes_on_after_an_interruption_as_in_a_notebook(finished, tmp_path, after):
    root = small_project(tmp_path / "small", runner={"name": "local", "jobs": 2})
    with open_project(root, reporter=projects.Interrupting(after)) as project:
        with pytest.raises(KeyboardInterrupt):
            run(project)
        project.reporter = Silent()
        run(project)
    assert projects.outcome(root) == projects.outcome(finished)


@pytest.mark.slow
def test_work_left_from_an_interruption_is_not_taken_for_that_of_the_next_slot(tmp_path):
    other = {**projects.SMALL["slots"][SLOT], "target": "log_return", "horizon": 3}
    settings = {"slots": {"us4/D/return": other}, "runner": {"name": "local", "jobs": 2}}
    trials = []
    for name in ("interrupted", "plain"):
        # Long enough for the second worker to be at work still when the first one is done.
        root = small_project(tmp_path / name, **settings, tune={"epochs": 10})
        with open_project(root, reporter=projects.Interrupting(0)) as project:
            if name == "interrupted":
                with pytest.raises(KeyboardInterrupt):
                    tune(project, SLOT)
            project.reporter = Silent()
            tune(project, "us4/D/return")
            tune(project, SLOT)
        trials.append(projects.outcome(root)["trials"])
    assert len(trials[0]) == len(trials[1])
    for interrupted, plain in zip(*trials, strict=True):
        assert interrupted == plain


# A family that is not ours

BRITTLE = '''
"""A constant forecast that cannot bear low levels."""

import json

import numpy as np

from podium.families._base import DivergedError, Family, Model
from podium.prediction import Prediction
from podium.space import Float, Space


class Constant(Model):
    def __init__(self, level):
        self.level = level

    def predict(self, windows):
        if self.level < PREDICT_LIMIT:
            raise ERROR(f"level {self.level:.3f} is too low")
        return Prediction.of(windows, np.full(len(windows), self.level))

    def save(self, folder):
        (folder / "level.json").write_text(json.dumps(self.level))


class Brittle(Family):
    name = "NAME"

    def space(self, view):
        return Space({"level": Float(-6.0, -3.0)})

    def fit(self, config, train, validation, *, seed, report):
        if config["level"] < FIT_LIMIT:
            raise ERROR(f"level {config['level']:.3f} is too low")
        return Constant(config["level"])

    def load(self, read):
        return Constant(json.loads(read("level.json")))


FAMILY = Brittle
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package with one family beside podium, as ``pip install`` would."""

    def put(name, *, error="ValueError", where="fit", limit=-4.5):
        site = tmp_path / "site"
        information = site / f"{name}-1.dist-info"
        information.mkdir(parents=True)
        limits = {"fit": -9.0, "predict": -9.0, where: limit}
        code = BRITTLE.replace("NAME", name).replace("ERROR", error)
        for place, value in limits.items():
            code = code.replace(f"{place.upper()}_LIMIT", str(value))
        (site / f"{name}.py").write_text(code)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (information / "entry_points.txt").write_text(f"[podium.families]\n{name} = {name}\n")
        monkeypatch.syspath_prepend(str(site))
        slot = {SLOT: {"families": [name]}}
        return projects.small_project(
            tmp_path / "small", slots=slot, space={"lstm": {}}, tune={"trials": 8, "generation": 4}
        )

    return put


@pytest.fixture
def patience():
    """Twenty seconds; a driver that waits for ever must not stop the tests."""

    def lose(*_):
        raise TimeoutError("the run did not end")

    before = signal.signal(signal.SIGALRM, lose)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("where", "error", "runner"),
    rest_slow(
        [
            ("fit", "ValueError", "inline"),
            ("predict", "ValueError", "local"),
            ("fit", "ValueError", "local"),
            ("fit", "DivergedError", "local"),
        ],
        fast=2,
    ),
)
def test_a_config_whose_training_raises_fails_alone_and_the_search_goes_on(
    install, patience, where, error, runner
):
    root = install(f"brittle_{where}_{error}_{runner}".lower(), error=error, where=where)
    with open_project(root, settings={"runner.name": runner, "runner.jobs": 2}) as project:
        run(project, last="finalize")
    rows = query(
        root,
        "SELECT config, state, score, reason FROM trial WHERE family LIKE 'brittle%' AND fold = 0",
    )
    failed = [row for row in rows if json.loads(row["config"])["level"] < -4.5]
    assert 0 < len(failed) < 8
    for row in rows:
        if row in failed:
            level = json.loads(row["config"])["level"]
            assert (row["state"], row["score"]) == ("failed", None)
            assert f"level {level:.3f} is too low" in row["reason"]
        else:
            assert (row["state"], row["reason"]) == ("complete", "")
    assert len(query(root, "SELECT id FROM candidate")) == 1
    # Failed ones are tries too.
    looked = json.loads(
        only(query(root, "SELECT scalars FROM evidence WHERE kind = 'validation'"))["scalars"]
    )
    assert looked["configs_looked_at"][0] == 8


def test_a_search_in_which_everything_fails_tells_the_first_reason(install):
    root = install("hopeless", limit=0.0)
    with (
        open_project(root) as project,
        pytest.raises(NotFoundError, match=r"ValueError: level .* low"),
    ):
        tune(project, SLOT)
    states = query(root, "SELECT DISTINCT state FROM trial WHERE family = 'hopeless'")
    assert [row["state"] for row in states] == ["failed"]


def test_every_naive_method_is_a_finite_bar_when_windows_are_short(tmp_path):
    slot = {SLOT: {"window": 8, "features": ["log_return", "log_volatility:5"]}}
    root = small_project(tmp_path / "small", slots=slot, tune={"trials": 1})
    with open_project(root) as project:
        tune(project, SLOT)
    assert query(root, "SELECT config, reason FROM trial WHERE state = 'failed'") == []


# Other settings


def tuned(root, **flags):
    """Number, config and score of a search's trials, in the order asked."""
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    with open_project(root, settings=dotted) as project:
        found = tune(project, SLOT)
        return [(row.number, row.config, row.score) for row in found.trials]


def test_a_wider_budget_keeps_what_was_tried_and_ends_as_if_asked_at_once(tmp_path):
    root = small_project(tmp_path / "small")
    narrow = tuned(root, tune__trials=3)
    done = ends(root)
    wide = tuned(root, tune__trials=6)
    assert wide[:3] == narrow
    assert done.items() <= ends(root).items()
    assert query(root, "SELECT count(*) AS n FROM study") == [{"n": 1}]
    assert wide == tuned(small_project(tmp_path / "at_once"), tune__trials=6)


def test_a_smaller_budget_later_forgets_nothing(ladder, tmp_path):
    root = ladder.copy(tmp_path / "small", "searched")
    wide = tuned(root)
    before = dump(root)
    assert tuned(root, tune__trials=2) == wide
    # Only the receipt of this search, which the next verb goes on from, is new.
    after = dump(root)
    assert [line for line in after if line not in before and "sqlite_sequence" not in line] == [
        line for line in after if line.startswith('INSERT INTO "receipt"')
    ][-1:]
    assert set(before) - set(after) <= {line for line in before if "sqlite_sequence" in line}


@pytest.mark.slow
def test_another_seed_or_space_is_another_study_and_another_order_of_tickers_too(tmp_path):
    root = small_project(tmp_path / "small")
    tuned(root, tune__trials=1)
    for n, settings in enumerate(
        (
            {"tune": {"seed": 8}},
            {"space": {"lstm": {"lstm_units": [5]}}},
            {"datasets": {"us4": {"tickers": ["IBM", "AAPL"]}}},
        )
    ):
        configure(root, **settings)
        tuned(root, tune__trials=1)
        assert len(query(root, "SELECT id FROM study")) == n + 2
    rows = query(root, "SELECT count(*) AS n FROM trial WHERE family = 'lstm'")
    assert rows == [{"n": 4}]


@pytest.mark.slow
def test_champions_follow_the_settings_there_and_back(promoted):
    root = promoted
    configure(root, policies=projects.LENIENT, tune={"seed": 8})
    run_project(root)
    stages = query(root, "SELECT stage FROM stage ORDER BY stage")
    assert [row["stage"] for row in stages] == ["archived", "champion"]
    # The first candidate is archived now; asking for it again must not end in an error.
    configure(root, policies=projects.LENIENT)
    run_project(root)
    assert len(query(root, "SELECT candidate_id FROM champion")) == 1
    assert len(query(root, "SELECT id FROM candidate")) == 2


# The sealed test


def looks(root):
    rows = query(root, "SELECT scalars FROM evidence WHERE kind = 'test' ORDER BY seq")
    return [json.loads(row["scalars"])["looks"][0] for row in rows]


def test_a_candidate_looks_at_the_test_once_however_often_it_is_judged(copied):
    run_project(copied)
    assert len(query(copied, "SELECT seq FROM test_look")) == 1
    configure(copied, backtest={"fee_bps": 50})
    run_project(copied)
    assert looks(copied) == [1, 1]


def test_another_name_of_slot_and_dataset_and_another_order_of_tickers_is_the_same_test(copied):
    """The look before counts, and so do the configs that were looked at before."""
    configure(copied, tune={"seed": 8})
    path = copied / "podium.toml"
    text = path.read_text().replace('"us4"', '"bars"').replace('"AAPL", "IBM"', '"IBM", "AAPL"')
    path.write_text(text.replace("us4/D/volatility", "bars/D/mine"))
    page = run_project(copied).report.slots[0]
    assert looks(copied) == [1, 2]
    configs = (
        "SELECT DISTINCT config_hash FROM trial JOIN study_trial ON trial_id = trial.id "
        "WHERE phase NOT LIKE '%baseline'"
    )
    assert page.trials_counted == len(query(copied, configs)) > 4


def test_a_second_candidate_is_a_second_look_and_is_held_to_it(copied):
    configure(copied, tune={"seed": 8})
    page = run_project(copied).report.slots[0]
    assert looks(copied) == [1, 2]
    assert page.test_looks == 2
    *_, test = query(copied, "SELECT scalars FROM evidence WHERE kind = 'test' ORDER BY seq")
    p_value = json.loads(test["scalars"])["dm_p_value_one_sided"][0]
    assert page.dm_p_adjusted == pytest.approx(min(1.0, 6 * p_value))


def shuffle(root, seed):
    """Rewrite a project's prices with their days permuted, the same way for every ticker."""
    folder = root / "data" / "us4"
    with open_project(root) as project:
        dataset = shuffled(load_dataset(project.config, "us4"), seed)
    for n, ticker in enumerate(dataset.tickers):
        columns = {name: values[:, n] for name, values in dataset.fields.items()}
        frame = pd.DataFrame({"date": dataset.times, **columns, "adj_close": columns["close"]})
        frame.to_csv(folder / f"{ticker}.csv", index=False)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["volatility", "log_return"])
def test_on_shuffled_days_the_candidate_is_refused_and_the_reasons_are_kept(tmp_path, target):
    root = small_project(tmp_path / "small", slots={SLOT: {"target": target, "signal": "sign"}})
    shuffle(root, seed=1)
    report = run_project(root).report.slots[0]
    assert report.verdict == "refused"
    assert query(root, "SELECT candidate_id FROM champion") == []
    last = query(root, "SELECT * FROM decision ORDER BY seq DESC LIMIT 1")[0]
    assert (last["accepted"], last["to_stage"]) == (0, "champion")
    refused = {v["gate"]: v for v in json.loads(last["verdicts"]) if v["result"] != "pass"}
    # On validation, what never was good may be told from naive too.
    assert {"beats_baseline"} <= set(refused) <= {"beats_baseline", "in_confidence_set"}
    assert refused["beats_baseline"]["limits"] == {"p_value": 0.05}
    assert all(v["finding"] in report.sentence for v in refused.values())
    evidence = query(root, "SELECT id FROM evidence ORDER BY id")
    assert json.loads(last["evidence"]) == [row["id"] for row in evidence]


# The artefact


def change_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_loaded_model_forecasts_what_was_judged(finished):
    folder, name = artifact(finished)
    evidence = only(query(finished, "SELECT scalars FROM evidence WHERE kind = 'test'"))
    with open_project(finished) as project:
        data = slot_data(project.config, SLOT)
    windows = Windows.of(data.view, data.test_bars)
    forecast = artifacts.load(folder, name).predict(windows)
    loss = float(np.mean((windows.truth() - forecast.mean) ** 2))
    assert loss == pytest.approx(json.loads(evidence["scalars"])["loss"][0], rel=1e-12)


def test_the_best_epoch_and_the_final_model_are_both_kept_without_pickles(finished):
    folder, name = artifact(finished)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = ["best_model/intervals.json", "best_model/model.pt"]
    assert files == [*names, "final_model/model.pt", "manifest.json"]
    for checkpoint in artifacts.CHECKPOINTS:
        assert artifacts.load(folder, name, checkpoint).tickers == ("AAPL", "IBM")


@pytest.mark.parametrize("checkpoint", artifacts.CHECKPOINTS)
@pytest.mark.parametrize("file", ["model", "manifest"])
def test_a_changed_byte_is_found_before_anything_is_loaded(copied, checkpoint, file):
    folder, name = artifact(copied)
    changed = folder / ("manifest.json" if file == "manifest" else f"{checkpoint}/model.pt")
    change_a_byte(changed)
    with pytest.raises(DataError, match=str(changed)):
        artifacts.load(folder, name, checkpoint)


@pytest.mark.parametrize("file", ["manifest.json", "best_model/model.pt", "final_model/model.pt"])
@pytest.mark.parametrize("how", [change_a_byte, os.unlink], ids=["changed", "missing"])
def test_an_artefact_that_is_not_what_was_judged_is_not_promoted(judged, tmp_path, file, how):
    root = ladders.copied(judged, tmp_path / "copied")
    folder, _ = artifact(root)
    how(folder / file)
    before = dump(root)
    with open_project(root) as project, pytest.raises(DataError, match=str(folder / file)):
        promote(project, candidate(root)["id"])
    assert dump(root) == before


def test_a_missing_artefact_is_named(copied):
    folder, name = artifact(copied)
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=str(folder)):
        artifacts.load(folder, name)


@pytest.mark.parametrize("tickers", [("IBM", "AAPL"), ("AAPL",), ("AAPL", "MSFT")])
def test_other_tickers_or_another_order_are_refused_at_prediction(finished, tickers):
    folder, name = artifact(finished)
    model = artifacts.load(folder, name)
    with open_project(finished) as project:
        section = project.config.datasets["us4"]
        dataset = load_dataset(project.config, "us4")
        if "MSFT" in tickers:
            reader = registry.load("readers", section.reader)
            dataset = reader.read(
                finished / "data" / "us4", name="us4", tickers=tickers, timeframe="D", adjust=True
            )
    view = view_of(dataset.select(tickers), model.section)
    windows = Windows.of(view, np.arange(view.first_bar, view.first_bar + 5))
    with pytest.raises(DataError, match=f"{', '.join(tickers)}.*AAPL, IBM in this order"):
        model.predict(windows)


def test_a_model_cannot_read_the_truth_it_is_asked_for(finished):
    folder, name = artifact(finished)
    model = artifacts.load(folder, name)
    with open_project(finished) as project:
        view = slot_data(project.config, SLOT).view
    bars = np.arange(len(view) - 5, len(view))
    forecast = model.predict(Windows.of(view, bars)).mean
    assert np.isfinite(forecast).all()
    # The last bars have no target yet: nothing to read, and still a forecast.
    assert math.isnan(Windows.of(view, bars).truth()[-1])
    blind = model.predict(Windows.of(view.blind(), bars)).mean
    assert np.array_equal(forecast, blind)


# A user's own script


@pytest.mark.slow
def test_a_plain_script_runs_a_project_with_worker_processes(tmp_path):
    # Scripts of many colleagues have no "if __name__ == '__main__'"; workers must not run them.
    root = small_project(tmp_path / "small", runner={"name": "local", "jobs": 2})
    script = tmp_path / "mine.py"
    script.write_text(
        "import pathlib\n"
        "from podium.steps.workspace.session import open_project\n"
        "from podium.steps.pipeline.run import run\n"
        f"with open_project(pathlib.Path({str(root)!r})) as project:\n"
        "    run(project)\n"
        "print('ran')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr[-2000:]


def test_a_run_does_not_put_back_what_a_person_took_out_of_use(promoted):
    root, first = promoted, candidate(promoted)["id"]
    assert only(query(root, "SELECT candidate_id FROM champion"))["candidate_id"] == first
    with open_project(root) as project:
        promote(project, first, to="archived", reason="drifts since May")
    again = run_project(root).report.slots[0]
    assert again.candidate == first
    assert again.verdict == "waiting"
    assert "drifts since May" in again.sentence
    with open_project(root) as project:
        # Asking for it is another matter.
        found = promote(project, first, reason="the feed was wrong, not the model")
    assert found.stage is Stage.CHAMPION
    assert run_project(root).report.slots[0].verdict == "champion unchanged"


def test_other_settings_that_come_to_the_same_training_find_the_same_candidate(copied):
    first = candidate(copied)
    # The best epoch is found within fewer epochs too, so the last training is the one known.
    configure(copied, finalize={"epochs": json.loads(first["config"])["max_epochs"]})
    second = run_project(copied).report.slots[0]
    assert second.candidate == first["id"]
    assert query(copied, "SELECT count(*) AS n FROM candidate") == [{"n": 1}]


@pytest.mark.slow
def test_a_newcomer_takes_the_slot_only_if_it_forecasts_the_same_windows_better(promoted):
    policy = {"forecast": {"champion": {"beats_champion": {}}}}
    root = promoted
    outcomes = set()
    for seed in (11, 12):
        with open_project(root) as project, project.ledger.reading() as tx:
            before = reads.champion_of(tx, SLOT)
        configure(root, policies=policy, tune={"trials": 4, "generation": 2, "seed": seed})
        slot = run_project(root).report.slots[0]
        with open_project(root) as project, project.ledger.reading() as tx:
            found = reads.evidence_of(tx, slot.candidate)["against_champion"]
            old = reads.evidence_of(tx, before)["test"]
            new = reads.evidence_of(tx, slot.candidate)["test"]
            after = reads.champion_of(tx, SLOT)
        # Both on the windows of one test, so the figures are those of their own judgements.
        assert found.notes["champion"] == before
        assert found.scalar("champion_loss") == pytest.approx(old.scalar("loss"), rel=1e-6)
        assert found.scalar("loss") == pytest.approx(new.scalar("loss"), rel=1e-6)
        difference = found.scalar("loss") - found.scalar("champion_loss")
        low, high = (found.scalar(f"loss_difference_{side}") for side in ("low", "high"))
        assert low < difference < high
        [gate] = [gate for gate in slot.gates if gate.name == "beats_champion"]
        assert f"difference {low:+.2g} to {high:+.2g}" in gate.finding
        better = found.scalar("loss") < found.scalar("champion_loss")
        assert after == (slot.candidate if better else before)
        assert slot.verdict == ("promoted" if better else "refused")
        counted = query(root, "SELECT count(*) AS n FROM evidence")
        run_project(root)
        assert query(root, "SELECT count(*) AS n FROM evidence") == counted
        outcomes.add(better)
    assert outcomes == {True, False}


def test_a_champion_that_answers_another_question_leaves_the_newcomer_undecided(promoted):
    policy = {"forecast": {"champion": {"beats_champion": {}}}}
    root = promoted
    changed = {SLOT: {**projects.SMALL["slots"][SLOT], "horizon": 3}}
    configure(root, policies=policy, slots=changed)
    slot = run_project(root).report.slots[0]
    assert slot.verdict == "refused"
    [gate] = [gate for gate in slot.gates if gate.name == "beats_champion"]
    assert gate.result == "undecidable"
    assert "not compared with the champion" in slot.sentence


def test_the_final_training_takes_the_epochs_that_were_best_on_average_over_the_folds(tmp_path):
    root = small_project(
        tmp_path / "small", tune={"trials": 2, "generation": 2, "epochs": 2}, extend={"epochs": 6}
    )
    with open_project(root) as project:
        run(project, last="finalize")
        chosen = analyze(project, SLOT).chosen
    curves = [
        [
            row["value"]
            for row in query(
                root,
                "SELECT value FROM score WHERE trial_id = ? AND part = 'val' ORDER BY epoch",
                fold.id,
            )
        ]
        for fold in chosen.folds
    ]
    assert [len(curve) for curve in curves] == [6, 6]
    config = json.loads(candidate(root)["config"])
    assert config["max_epochs"] == 1 + int(np.argmin(np.mean(curves, axis=0)))
