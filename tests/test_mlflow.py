"""The record in MLflow, seen by MLflow's own client: complete, once, and in nobody's way."""

import http.server
import json
import math
import os
import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import mlflow_places
import projects
from looped import rest_slow
from mlflow_places import Place, client, everything, in_child, runs
from podium.cli.main import run as podium
from podium.config import load
from podium.decision import Stage
from podium.errors import ConflictError, DataError, MissingExtraError, UsageError
from podium.ledger import decisions, foreign, outbox, writes
from podium.ledger.projections import _mlflow_client, _mlflow_pass, _mlflow_store, _mlflow_target
from podium.ledger.projections._mlflow_target import resolve
from podium.record import Record
from podium.steps.archive import doctor
from podium.steps.archive.ui import ui
from podium.steps.workspace import projections
from podium.steps.workspace.session import open_project
from podium.steps.workspace.sync import check, sync
from podium.trial import Epoch, State

# What MLflow and what it imports say of themselves is not podium's to mend.
pytestmark = [
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed"),
    pytest.mark.filterwarnings("default"),
]

DEAD_SECONDS = 60


@pytest.fixture
def place(empty_store, tmp_path):
    """A record whose project has its own, empty store."""
    root = tmp_path / "place"
    root.mkdir()
    shutil.copy(empty_store, root)
    found = Place(root)
    yield found
    found.close()


@pytest.fixture(scope="module")
def shown(empty_store, tmp_path_factory):
    """A project after one run that fed MLflow from beside, and a sync."""
    root = projects.small_project(
        tmp_path_factory.mktemp("shown") / "small", mlflow={"enabled": True}
    )
    shutil.copy(empty_store, root)
    projects.run_project(root)
    with open_project(root) as project:
        found = sync(project)
    assert found.is_whole, found
    return root


def uri_of(root):
    return f"sqlite:///{root / 'mlflow.db'}"


def phase(root, name):
    """Runs of the trials of one phase, by trial."""
    sql = "SELECT DISTINCT trial_id FROM study_trial WHERE phase = ?"
    there = runs(uri_of(root))
    return {row["trial_id"]: there[row["trial_id"]] for row in projects.query(root, sql, name)}


def wait_until(done, seconds=300):
    """Fail when something does not come about."""
    give_up = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.05)


# What is there after a run


def test_every_trial_is_a_run_inside_the_run_of_its_study(shown):
    there = runs(uri_of(shown))
    trials = [row["id"] for row in projects.query(shown, "SELECT id FROM trial")]
    [study] = [row["id"] for row in projects.query(shown, "SELECT id FROM study")]
    assert set(there) == {study, *trials}
    assert there[study].info.run_name == f"{projects.SLOT} {study}"
    parent = there[study].info.run_id
    assert all(there[id_].data.tags["mlflow.parentRunId"] == parent for id_ in trials)
    assert {run.info.status for run in there.values()} == {"FINISHED"}


def test_runs_are_named_by_data_window_model_and_a_number_of_their_own(shown):
    names = {run.info.run_name for run in phase(shown, "tune").values()}
    assert all(name.startswith("us4-l8-lstm-run") for name in names)
    numbers = [
        int(run.info.run_name.rpartition("run")[2])
        for subject, run in runs(uri_of(shown)).items()
        if subject.startswith("t-")
    ]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_every_setting_behind_a_trial_is_a_parameter(shown):
    for id_, run in phase(shown, "tune").items():
        [row] = projects.query(shown, "SELECT * FROM trial WHERE id = ?", id_)
        params = run.data.params
        config = json.loads(row["config"])
        assert {name: params[name] for name in config} == {n: str(v) for n, v in config.items()}
        assert params["dataset"] == "us4"
        assert params["dataset_fingerprint"] == row["dataset_fingerprint"]
        assert params["features"] == "log_return, log_volatility:21"
        assert params["tickers"] == "AAPL, IBM"
        told = {name: params[name] for name in ("target", "horizon", "window", "metric", "family")}
        expected = ["volatility", "5", "8", "mse", "lstm"]
        assert list(told.values()) == expected
        assert params["seed"] == str(row["seed"])
        assert params["split"] == "holdout"
        assert params["validation_from"] < params["validation_to"]


def test_metrics_of_every_epoch_are_there_as_they_were_reported(shown):
    there = client(uri_of(shown))
    for id_, run in {**phase(shown, "tune"), **phase(shown, "finalize")}.items():
        rows = projects.query(
            shown,
            "SELECT part || '_' || metric AS name, epoch, value FROM score "
            "WHERE trial_id = ? AND part != 'best' ORDER BY name, epoch",
            id_,
        )
        assert rows
        sent = [
            {"name": name, "epoch": point.step, "value": point.value}
            for name in sorted({row["name"] for row in rows})
            for point in there.get_metric_history(run.info.run_id, name)
        ]
        last = max(row["epoch"] for row in rows)
        # A last point repeats a result of an earlier epoch.
        assert [point for point in sent if point["epoch"] <= last] == rows
        assert run.data.tags["mlflow.source.name"] == "podium run"
        results = projects.query(shown, "SELECT * FROM result WHERE trial_id = ?", id_)
        for row in results:
            curve = row["metric"] in {r["name"] for r in rows}
            name = f"best_epoch/{row['metric']}" if curve else row["metric"]
            assert run.data.metrics[name] == run.data.metrics[row["metric"]] == row["value"]


def test_a_trial_begins_and_ends_in_mlflow_when_it_did(shown):
    for id_, run in phase(shown, "tune").items():
        [row] = projects.query(shown, "SELECT created_at, ended_at FROM trial WHERE id = ?", id_)
        for moment, text in ((run.info.start_time, "created_at"), (run.info.end_time, "ended_at")):
            told = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment / 1000))
            assert row[text].startswith(told)


def test_a_candidate_is_told_on_the_run_of_its_last_training_with_its_models(shown):
    [candidate] = projects.query(shown, "SELECT * FROM candidate")
    run = runs(uri_of(shown))[candidate["trial_id"]]
    tags = run.data.tags
    assert tags["podium.candidate_id"] == candidate["id"]
    assert tags["podium.version"] == "1"
    assert tags["podium.artifact_hash"] == candidate["artifact_hash"]
    assert tags["promotion_stage"] == "beta"
    assert tags["podium.decision"].startswith("champion refused")
    folder = shown / "models" / "registry" / candidate["artifact_path"]
    for name, said in (("best.pt", "best_model"), ("last.pt", "final_model")):
        place = client(uri_of(shown)).download_artifacts(run.info.run_id, name)
        assert Path(place).read_bytes() == (folder / said / "model.pt").read_bytes()


def test_the_training_that_held_data_out_shows_the_model_it_gave_and_no_other(shown):
    [candidate] = projects.query(shown, "SELECT * FROM candidate")
    there = client(uri_of(shown))
    [other] = [r for id_, r in phase(shown, "finalize").items() if id_ != candidate["trial_id"]]
    files = [file.path for file in there.list_artifacts(other.info.run_id)]
    assert files == ["best.pt", "intervals.json", "metrics.csv"]


def test_every_trial_with_epochs_has_its_curves_as_a_file(shown):
    there = client(uri_of(shown))
    for id_, run in phase(shown, "tune").items():
        text = Path(there.download_artifacts(run.info.run_id, "metrics.csv")).read_text()
        lines = text.splitlines()
        assert lines[0] == "epoch,train_loss,val_loss"
        [row] = projects.query(shown, "SELECT epochs FROM trial WHERE id = ?", id_)
        assert len(lines) == 1 + row["epochs"]
    baseline = next(iter(phase(shown, "baseline").values()))
    assert there.list_artifacts(baseline.info.run_id) == []


@pytest.mark.slow
def test_sending_everything_a_second_time_changes_nothing(shown, tmp_path):
    root = shutil.copytree(shown, tmp_path / "copied")
    before = everything(uri_of(root))
    with open_project(root) as project:
        assert sync(project).sent == 0
        with project.ledger.transaction() as tx:
            outbox.advance(tx, projections.target_of(project).key, 0)
        assert sync(project).sent > 20
    assert everything(uri_of(root)) == before


def test_the_store_has_the_statistics_its_searches_need(shown):
    with closing(sqlite3.connect(shown / "mlflow.db")) as store:
        assert store.execute("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'runs'").fetchone()[0]
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_mlflow_is_left_where_the_command_ran_nothing_of(shown):
    assert not (shown / "mlruns").exists()
    assert not list((shown / ".podium").glob("mlruns*"))
    assert not (shown / ".podium" / "mlflow.log").exists()


# What cannot be a number, a name or a text of MLflow's


def test_what_is_not_finite_stays_out_and_is_told(place):
    epochs = (
        Epoch(0, 1, {"train_loss": 0.5, "val_loss": 0.7}),
        Epoch(0, 2, {"train_loss": math.inf, "val_loss": math.nan}),
        Epoch(0, 3, {"train_loss": 0.4, "val_loss": math.nan}),
    )
    [id_] = place.trials(1, epochs=epochs, best_epoch=1)
    assert place.projection.drain().stopped == ""
    run = runs(place.target.uri)[id_]
    there = client(place.target.uri)
    points = {
        name: {p.step: p.value for p in there.get_metric_history(run.info.run_id, name)}
        for name in ("train_loss", "val_loss")
    }
    # The last points are the values of the best epoch.
    assert points == {"train_loss": {1: 0.5, 3: 0.4, 4: 0.5}, "val_loss": {1: 0.7, 4: 0.7}}
    told = run.data.tags["podium.not_finite"]
    assert told == "train_loss (epochs 2), val_loss (epochs 2-3)"
    text = Path(there.download_artifacts(run.info.run_id, "metrics.csv")).read_text()
    assert text.splitlines()[2] == "2,inf,nan"


def test_a_failed_trial_is_a_failed_run_with_its_reason(place):
    [id_] = place.trials(1, state=State.FAILED, reason="loss is not finite", score=math.nan)
    place.projection.drain()
    run = runs(place.target.uri)[id_]
    assert run.info.status == "FAILED"
    assert run.data.tags["podium.reason"] == "loss is not finite"


def test_runs_of_other_tools_are_there_whatever_they_are_called(place):
    record = Record(
        run_id="odd_20250101_000000",
        model_name="odd",
        timestamp="2025-01-01T00:00:00",
        hyperparams={"lr (max)": 0.1, "lr [max]": 0.2, "long": "x" * 7000, "window_size": 48},
        metrics={"val loss %": 0.5, "acc": math.inf},
        curves={"val loss %": [0.9, 0.5]},
        notes="from the night run",
        training_time_seconds=12.0,
    )
    with place.ledger.transaction() as tx:
        study = writes.put_study(tx, projects.SLOT, {"import": "odd.json"})
        [(written, _)] = foreign.put_records(
            tx, study, [record], origin="import:odd.json", environment_hash="e" * 64
        )
    assert place.projection.drain().refused == []
    run = runs(place.target.uri)[written.trial_id]
    params, tags = run.data.params, run.data.tags
    assert (params["lr _max_"], params["lr _max_-2"]) == ("0.1", "0.2")
    assert params["long"].endswith("...(cut)")
    assert len(params["long"]) == 6000
    assert run.info.run_name == "l48-odd-run1"
    assert run.info.end_time - run.info.start_time == 12_000
    assert run.data.metrics["val loss _"] == 0.5
    assert tags["podium.not_finite"] == "acc"
    assert tags["podium.run_id"] == "odd_20250101_000000"
    assert "from the night run" in tags["mlflow.note.content"]


def test_more_epochs_and_settings_than_mlflow_takes_at_once_arrive(place):
    epochs = tuple(Epoch(0, n, {"train_loss": 1 / n, "val_loss": 1 / n}) for n in range(1, 1301))
    study = place.study()
    with place.ledger.transaction() as tx:
        config = {f"p{n}": n for n in range(230)}
        new = [projects.new_trial(1, config=config)]
        [id_] = writes.start_trials(tx, study, new, "e" * 64)
    with place.ledger.transaction() as tx:
        ended = projects.ended(id_, epochs=epochs, best_epoch=1300)
        writes.end_trial(tx, ended, metric="mse", index_hash=None)
    place.projection.drain()
    run = runs(place.target.uri)[id_]
    assert len(run.data.params) > 230
    history = client(place.target.uri).get_metric_history(run.info.run_id, "val_loss")
    assert [point.step for point in history] == list(range(1, 1301))
    assert [point.timestamp for point in history] == sorted(point.timestamp for point in history)


# Notes and decisions


def test_notes_and_decisions_arrive_on_the_run_they_are_about(place):
    first, second = place.trials(1, 2)
    for name, trial, before in (("a", first, None), ("b", second, "c-a")):
        candidate = replace(projects.new_candidate(name), trial_id=trial)
        beta = projects.move(f"c-{name}", Stage.DEVELOPMENT, Stage.BETA)
        crown = projects.move(f"c-{name}", Stage.BETA, Stage.CHAMPION, expected=before)
        with place.ledger.transaction() as tx:
            decisions.register(tx, candidate, "ann")
            decisions.decide(tx, beta)
            decisions.decide(tx, crown)
        # The second champion archives the first one, which nothing else is said about.
        assert place.projection.drain().refused == []
    there = runs(place.target.uri)
    stages = [there[id_].data.tags["promotion_stage"] for id_ in (first, second)]
    assert stages == ["archived", "champion"]
    with place.ledger.transaction() as tx:
        writes.put_note(tx, first, "trained at night", "bob")
        writes.put_note(tx, "c-b", "the better one", "bob")
    assert place.projection.drain().refused == []
    there = runs(place.target.uri)
    assert there[first].data.tags["mlflow.note.content"].endswith("bob] trained at night")
    assert there[second].data.tags["mlflow.note.content"].endswith("bob] the better one")


# Killed, twice at once, refused


def die(*_args, **_kwargs):
    os._exit(9)


@pytest.mark.parametrize(
    ("owner", "moment"),
    rest_slow(
        [
            (_mlflow_client.Experiment, "write"),
            (_mlflow_pass.SyncPass, "flush"),
            (_mlflow_client.Experiment, "end"),
            (_mlflow_pass.SyncPass, "_flush_if_due"),
        ],
        fast=2,
    ),
)
def test_a_kill_between_mlflow_and_the_record_doubles_nothing(place, monkeypatch, owner, moment):
    ids = place.trials(1, 2, 3)

    def killed():
        # Each process has its own connections; the record's and MLflow's are opened here.
        monkeypatch.setattr(owner, moment, die)
        Place(place.root).projection.drain()

    assert in_child(killed) == 9
    ids += place.trials(4)
    place.projection.drain()
    there = runs(place.target.uri)
    assert set(ids) <= set(there)
    names = [there[id_].info.run_name for id_ in ids]
    assert names == [f"lstm-run{number}" for number in range(1, 5)]
    assert {run.info.status for run in there.values()} == {"FINISHED"}
    assert place.waiting() == 0


@pytest.mark.slow
def test_two_feeders_at_once_send_everything_once(place):
    place.trials(*range(12))
    with open_project(place.root) as project:
        target = projections.target_of(project)
        ends = [projections.start_feeder(project, target, project.ledger) for _ in range(2)]
    for end in ends:
        end()
    wait_until(lambda: place.waiting() == 0)
    there = runs(place.target.uri)
    assert len(there) == 13
    names = [run.info.run_name for subject, run in there.items() if subject.startswith("t-")]
    assert sorted(names) == sorted(f"lstm-run{n}" for n in range(1, 13))


def test_a_thing_mlflow_does_not_take_is_put_aside_and_tried_again(place):
    folder = place.root / "models" / "registry" / ("a" * 20)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("changed")
    study = place.study()
    [before] = place.trials(1, study=study)
    with place.ledger.transaction() as tx:
        writes.set_artifact(tx, before, "a" * 64)
    [after] = place.trials(2, study=study)
    done = place.projection.drain()
    assert (done.sent, done.waiting, done.stopped) == (2, 0, "")
    assert "manifest.json has hash" in done.refused[0]
    assert after in runs(place.target.uri)
    [stuck] = place.projection.stuck()
    assert stuck.item.subject_id == before
    assert len(place.projection.retry().refused) == 1
    assert place.projection.stuck()[0].attempts == 2
    shutil.rmtree(folder)
    assert place.projection.retry().refused == []
    assert place.projection.stuck() == []
    assert runs(place.target.uri)[before].info.status == "FINISHED"


def test_a_thing_mlflow_fails_over_is_put_aside_once_another_goes_well(place):
    study = place.study()
    [id_] = place.trials(1, study=study)
    # A moment beyond what a database can hold: MLflow fails instead of refusing.
    with place.ledger.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE trial SET origin = 'import:x', seconds = 1e300")
    for _ in range(2):
        done = place.projection.drain()
        assert done.waiting == 1
        assert "Pending items are kept" in done.stopped
        assert place.projection.stuck() == []
    place.trials(2, study=study)
    done = place.projection.drain()
    assert (done.waiting, done.stopped, len(done.refused)) == (0, "", 1)
    assert id_ in done.refused[0]


@pytest.mark.slow
def test_a_kill_after_a_thing_mlflow_fails_over_doubles_nothing(place, monkeypatch):
    study = place.study()
    [failing] = place.trials(1, study=study)
    with place.ledger.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE trial SET origin = 'import:x', seconds = 1e300")
    ids = place.trials(2, 3, study=study)
    send = _mlflow_pass.SyncPass._send

    def killed():
        def die_after_the_last(self, subject_id, **how):
            done = send(self, subject_id, **how)
            return os._exit(9) if subject_id == ids[-1] else done

        monkeypatch.setattr(_mlflow_pass.SyncPass, "_send", die_after_the_last)
        Place(place.root).projection.drain()

    assert in_child(killed) == 9
    assert place.projection.drain().stopped == ""
    assert set(runs(place.target.uri)) == {study.id, failing, *ids}
    assert [stuck.item.subject_id for stuck in place.projection.stuck()] == [failing]


def test_a_run_somebody_deleted_stays_deleted(place):
    [id_] = place.trials(1)
    place.projection.drain()
    client(place.target.uri).delete_run(runs(place.target.uri)[id_].info.run_id)
    with place.ledger.transaction() as tx:
        writes.put_note(tx, id_, "never mind", "bob")
    assert place.projection.drain().refused == []
    assert place.projection.check().missing == []
    assert id_ not in runs(place.target.uri)


def test_a_run_that_was_lost_is_found_missing_and_sent_again_under_its_name(place):
    first, second = place.trials(1, 2)
    place.projection.drain()
    before = everything(place.target.uri)
    with closing(sqlite3.connect(place.root / "mlflow.db")) as store:
        lost = runs(place.target.uri)[first].info.run_id
        for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
            store.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (lost,))
        store.commit()
    assert place.projection.check().missing == [first]
    assert place.projection.repair([first]).sent == 1
    assert everything(place.target.uri) == before
    assert second in before


def test_a_store_that_is_gone_is_made_again_with_everything(place):
    place.trials(1, 2)
    place.projection.drain()
    before = {subject: run.info.run_name for subject, run in runs(place.target.uri).items()}
    for file in place.root.glob("mlflow.db*"):
        file.unlink()
    assert place.projection.check().missing != []
    place.trials(3)
    place.projection.drain()
    after = {subject: run.info.run_name for subject, run in runs(place.target.uri).items()}
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()


@pytest.mark.slow
def test_a_project_that_was_moved_is_told_how_to_have_its_store_again(shown, tmp_path):
    gone = shutil.copytree(shown, tmp_path / "gone")
    for file in gone.glob("mlflow.db*"):
        file.unlink()
    shutil.rmtree(gone / "mlartifacts")
    with open_project(gone) as project:
        assert sync(project).is_whole
    moved = gone.rename(tmp_path / "moved")
    with open_project(moved) as project:
        assert "which does not exist" in sync(project).stopped
        (moved / "mlflow.db").unlink()
        shutil.rmtree(moved / "mlartifacts")
        assert sync(project).is_whole
    [candidate] = projects.query(moved, "SELECT * FROM candidate")
    run = runs(uri_of(moved))[candidate["trial_id"]]
    assert run.info.artifact_uri.startswith((moved / "mlartifacts").as_uri())


@pytest.mark.slow
def test_a_store_is_made_once_however_many_start_together(empty_store, tmp_path):
    file = tmp_path / "mlflow.db"
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            try:
                _mlflow_store.make(file, "file:///nowhere")
                mlflow_places.client(f"sqlite:///{file}").create_experiment(f"of {os.getpid()}")
            except BaseException:  # noqa: BLE001 - the child must not go on with pytest
                os._exit(1)
            os._exit(0)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0, 0, 0, 0]
    assert len(client(f"sqlite:///{file}").search_experiments()) == 5
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


# Servers that do not answer


@contextmanager
def server(answer):
    """A server that answers every request in one way; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()
    thread.join()


def broken(request):
    request.rfile.read(int(request.headers.get("Content-Length", 0)))
    request.send_response(500)
    request.send_header("Content-Length", "0")
    request.end_headers()


def asleep(request):
    time.sleep(DEAD_SECONDS)


@contextmanager
def nobody():
    """Address at which nobody listens."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{asked.getsockname()[1]}"


SILENT = {"down": nobody, "broken": lambda: server(broken)}
SAID = {"down": "connection refused", "broken": "it answers with error 500"}


@pytest.mark.parametrize("how", rest_slow(SILENT, fast=1))
def test_what_a_server_does_not_take_waits_and_arrives_in_order_later(tmp_path, empty_store, how):
    with SILENT[how]() as address:
        place = Place(tmp_path / "p", tracking_uri=address)
        ids = place.trials(*range(5))
        done = place.projection.drain()
        assert (done.sent, done.waiting) == (0, 6)
        assert f"is unavailable: {SAID[how]}" in done.stopped
        assert place.projection.stuck() == []
        place.close()
    shutil.copy(empty_store, place.root)
    later = Place(place.root)
    assert later.projection.drain().sent == 6
    there = runs(later.target.uri)
    names = [there[id_].info.run_name for id_ in ids]
    assert names == [f"lstm-run{n}" for n in range(1, 6)]
    later.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", [*SILENT, "asleep"])
def test_no_step_waits_for_a_server(tmp_path, how):
    answering = server(asleep) if how == "asleep" else SILENT[how]()
    with answering as address:
        root = projects.small_project(
            tmp_path / "p", mlflow={"enabled": True, "tracking_uri": address}
        )
        started = time.monotonic()
        with open_project(root) as project:
            projects.new_study(project.ledger)
            wait_until(lambda: feeders(root))
            time.sleep(0.5)
        assert time.monotonic() - started < DEAD_SECONDS / 2
        [standing] = projections.standings(project.reader).values() or [None]
        assert standing is None or standing.waiting
        told = [c for c in doctor.doctor(root) if c.check == "mlflow"]
        assert told[0].ok
        end_feeders(root)


def feeders(root):
    """Processes that feed a project, read as any user of the machine can."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if "workspace.feeder" in line and str(root) in line:
                found[int(process.name)] = line
    return found


def end_feeders(root):
    """End the feeders of a project that only this test started."""
    for number in feeders(root):
        try:
            os.kill(number, 9)
        except ProcessLookupError:
            continue


@pytest.mark.slow
def test_a_password_is_told_to_nobody(tmp_path, capfd):
    with nobody() as address:
        uri = address.replace("http://", "http://ann:s3cr%40t@")
        root = projects.small_project(tmp_path / "p", mlflow={"enabled": True, "tracking_uri": uri})
        with open_project(root) as project:
            projects.new_study(project.ledger)
            wait_until(lambda: feeders(root))
            lines = feeders(root)
        wait_until(lambda: not feeders(root))
        assert podium(["sync", "--project", str(root)]) == 7
        assert podium(["doctor", "--project", str(root)]) == 0
    told = capfd.readouterr()
    log = (root / ".podium" / "mlflow.log").read_text()
    assert "is unavailable" in log
    record = (root / "podium.db").read_bytes() + (root / "podium.db-wal").read_bytes()
    shown = [told.out, told.err, log, *lines.values(), repr(resolve(load(root)))]
    for secret in ("s3cr%40t", "s3cr@t"):
        assert not [text for text in shown if secret in text]
        assert secret.encode() not in record


# Which store


def target(root, fallback="", **mlflow):
    root.mkdir(exist_ok=True)
    projects.configure(root, mlflow={"enabled": True, **mlflow})
    return resolve(load(root), fallback)


def test_the_own_store_does_not_depend_on_where_a_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    found = target(tmp_path / "p")
    assert found.uri == f"sqlite:///{tmp_path / 'p' / 'mlflow.db'}"
    assert target(tmp_path / "p", tracking_uri="sqlite:///mlflow.db").key == found.key
    assert target(tmp_path / "q").key == found.key
    outside = target(tmp_path / "p", tracking_uri=f"sqlite:///{tmp_path}/other.db")
    assert outside.shown == f"sqlite:///{tmp_path}/other.db"


def test_the_environment_names_a_store_only_when_a_flag_turned_mlflow_on(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    root = tmp_path / "p"
    root.mkdir()
    projects.configure(root)
    by_flag = {"mlflow.enabled": True}
    found = projections.target_of(open_project(root, settings=by_flag))
    assert (found.shown, found.source) == ("http://mlflow.example:5000", "MLFLOW_TRACKING_URI")
    assert projections.target_of(open_project(root)) is None
    projects.configure(root, mlflow={"enabled": True})
    for flags in ({}, by_flag):
        assert (
            projections.target_of(open_project(root, settings=flags)).shown == "sqlite:///mlflow.db"
        )


@pytest.mark.parametrize("uri", ["./mlruns", "file:./mlruns", "mlruns"])
def test_a_folder_of_runs_is_met_with_the_way_to_bring_them_over(tmp_path, uri):
    root = tmp_path / "p"
    (root / "mlruns" / "0").mkdir(parents=True)
    (root / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    command = (
        f"mlflow migrate-filestore --source {root / 'mlruns'} "
        f"--target sqlite:///{root / 'mlflow.db'}"
    )
    with pytest.raises(UsageError, match="no longer") as caught:
        target(root, tracking_uri=uri)
    assert command in str(caught.value)
    with pytest.raises(DataError, match="holds runs in files") as caught:
        target(root)
    assert command in str(caught.value)
    (root / "mlflow.db").touch()
    assert target(root).file == root / "mlflow.db"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("some/folder", "no longer opens a folder"),
        ("ftp://host/runs", "has no stores at ftp://"),
        ("sqlite://", "names no file"),
    ],
)
def test_what_is_no_store_is_refused_with_what_is(tmp_path, uri, said):
    with pytest.raises(UsageError, match=said):
        target(tmp_path / "p", tracking_uri=uri)


def test_without_mlflow_a_command_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(_mlflow_target, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"podium\[mlflow\]"):
        target(tmp_path / "p")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{modeltag}-{run_id}", "Did you mean 'model_tag'"),
        ("{run_id", "mlflow.run_name is"),
        ("", "empty"),
        ("{fold:02d}", "mlflow.run_name is"),
    ],
)
def test_a_name_nobody_can_make_is_refused_before_anything_is_trained(tmp_path, template, said):
    with pytest.raises(UsageError, match=said):
        target(tmp_path / "p", run_name=template)


def test_a_file_that_is_no_store_of_mlflow_is_left_as_it_is(tmp_path):
    place = Place(tmp_path / "p", tracking_uri="sqlite:///podium.db")
    place.trials(1)
    with pytest.raises(DataError, match="is podium's record"):
        place.projection.drain()
    (tmp_path / "p" / "mlflow.db").write_text("not a database")
    other = Place(tmp_path / "p")
    with pytest.raises(DataError, match="cannot be read as MLflow's store"):
        other.projection.drain()
    assert (tmp_path / "p" / "mlflow.db").read_text() == "not a database"
    for each in (place, other):
        each.close()


def test_names_asked_for_by_a_command_stay_with_its_runs(place):
    place.ledger.run_name = "val2025w48-baseline"
    study = place.study()
    mine = place.trials(1, 2, study=study)
    place.ledger.run_name = "{model_tag}-{run_id}-again"
    again = place.trials(3, study=study)
    place.ledger.run_name = ""
    theirs = place.trials(4, study=study)
    place.projection.drain()
    there = runs(place.target.uri)
    names = [there[id_].info.run_name for id_ in (*mine, *again, *theirs)]
    assert names == [
        "val2025w48-baseline",
        "val2025w48-baseline-2",
        "lstm-run3-again",
        "lstm-run4",
    ]


# The commands


def test_sync_says_what_is_there_and_check_what_is_not(place, capsys):
    place.trials(1, 2)
    at = ["--project", str(place.root)]
    assert podium(["sync", "--check", *at]) == 4
    assert "waiting     3" in capsys.readouterr().out
    assert podium(["sync", *at]) == 0
    assert "sent        3" in capsys.readouterr().out
    assert podium(["sync", "--check", "--json", *at]) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    assert item["waiting"] == item["refused"] == item["missing"] == 0
    with closing(sqlite3.connect(place.root / "mlflow.db")) as store:
        store.execute("UPDATE runs SET experiment_id = 0")
        store.commit()
    assert podium(["sync", "--check", *at]) == 4
    assert "podium sync --repair" in capsys.readouterr().err


def test_sync_ends_with_7_and_keeps_everything_when_nobody_answers(tmp_path, capsys):
    with nobody() as address:
        place = Place(tmp_path / "p", tracking_uri=address)
        place.trials(1)
        assert podium(["sync", "--project", str(place.root)]) == 7
        told = capsys.readouterr()
        assert "waiting     2" in told.out
        assert "Pending items are kept" in told.err
        assert "Traceback" not in told.err
        assert podium(["sync", "--check", "--project", str(place.root)]) == 7
    place.close()


def test_sync_of_a_project_without_mlflow_writes_its_files_only(tmp_path, capsys):
    root = projects.small_project(tmp_path / "p")
    assert podium(["sync", "--project", str(root)]) == 0
    assert "mlflow  off" in capsys.readouterr().out
    assert not (root / "mlflow.db").exists()


def test_sync_waits_for_a_feeder_at_work(place):
    place.trials(*range(20))
    feeder = threading.Thread(target=place.projection.drain)
    feeder.start()
    with open_project(place.root) as project:
        found = sync(project)
    feeder.join()
    assert found.is_whole
    assert len(runs(place.target.uri)) == 21


def test_only_one_sends_at_a_time(place):
    place.trials(1)
    with place.projection._turn(), pytest.raises(ConflictError, match="sending to MLflow"):
        place.projection.drain()


def test_check_changes_nothing(tmp_path):
    place = Place(tmp_path / "p")
    place.trials(1)
    with open_project(place.root) as project:
        assert check(project).waiting == 2
    assert not (place.root / "mlflow.db").exists()
    place.close()


def test_a_store_that_a_flag_turned_on_is_remembered(tmp_path, empty_store, capsys):
    place = Place(tmp_path / "p")
    [trial] = place.trials(1)
    shutil.copy(empty_store, place.root / "other.db")
    projects.configure(place.root)
    at = ["--project", str(place.root)]
    assert podium(["note", trial, "one", *at]) == 0
    assert "MLflow" not in capsys.readouterr().err
    assert podium(["sync", "--mlflow-tracking-uri", "sqlite:///other.db", *at]) == 0
    assert podium(["note", trial, "two", *at]) == 0
    *_, line = capsys.readouterr().err.splitlines()
    assert line == "MLflow: 1 waiting"
    assert podium(["sync", *at]) == 0
    assert "sqlite:///other.db" in capsys.readouterr().out
    run = runs(f"sqlite:///{place.root / 'other.db'}")[trial]
    assert "two" in run.data.tags["mlflow.note.content"]
    # One command without MLflow, and a setting that turns it off.
    assert podium(["sync", "--no-mlflow", *at]) == 0
    assert "mlflow  off" in capsys.readouterr().out
    projects.configure(place.root, mlflow={"enabled": False})
    assert podium(["note", trial, "three", *at]) == 0
    assert "MLflow" not in capsys.readouterr().err
    projects.configure(place.root)
    assert podium(["sync", "--forget", "sqlite:///other.db small", *at]) == 0
    assert podium(["note", trial, "four", *at]) == 0
    assert "MLflow" not in capsys.readouterr().err
    place.close()


def test_a_server_is_remembered_without_its_password(tmp_path, capsys):
    with nobody() as address:
        place = Place(tmp_path / "p")
        place.trials(1)
        projects.configure(place.root)
        at = ["--project", str(place.root)]
        secret = address.replace("http://", "http://ann:s3cret@")
        assert podium(["sync", "--mlflow-tracking-uri", secret, *at]) == 7
        assert podium(["sync", *at]) == 7
        assert f"MLflow at {address}" in capsys.readouterr().err
        assert b"s3cret" not in (place.root / "podium.db").read_bytes()
        place.close()


def test_the_line_about_mlflow_names_what_waits_and_why(place):
    line = projections.state_line
    [trial] = place.trials(1)
    assert line(place.ledger, place.target) == "MLflow: 2 waiting"
    place.projection.drain()
    assert line(place.ledger, place.target) == "MLflow: sent"
    with place.ledger.transaction() as tx:
        item = outbox.Item(1, "trial", trial, "")
        outbox.set_stuck(tx, place.target.key, item, "too long")
    assert line(place.ledger, place.target) == "MLflow: refused: too long"


def test_a_dead_store_is_forgotten(place, capsys):
    place.trials(1)
    place.projection.drain()
    at = ["--project", str(place.root)]
    Place(place.root, tracking_uri="sqlite:///other.db").close()
    shutil.copy(place.root / "mlflow.db", place.root / "other.db")
    place.trials(2)
    assert podium(["sync", *at]) == 0
    named = "podium sync --forget 'sqlite:///mlflow.db small'"
    assert named in capsys.readouterr().err
    assert podium(["sync", "--forget", "sqlite:///mlflo.db small", *at]) == 3
    assert "Did you mean 'sqlite:///mlflow.db small'" in capsys.readouterr().err
    assert podium(["sync", "--forget", "sqlite:///mlflow.db small", *at]) == 0
    capsys.readouterr()
    assert podium(["sync", *at]) == 0
    assert "--forget" not in capsys.readouterr().err
    assert place.waiting() == 3


def test_doctor_tells_how_far_mlflow_is_behind(place):
    place.trials(1)

    def told():
        [line] = [c.finding for c in doctor.doctor(place.root) if c.check == "mlflow"]
        return line

    assert "nothing sent yet" in told()
    place.projection.drain()
    assert told() == "sqlite:///mlflow.db small: all sent"
    place.trials(2)
    assert "1 waiting" in told()


def test_ui_says_where_to_look_or_why_not(place, capsys):
    at = ["--project", str(place.root)]
    assert podium(["ui", *at]) == 3
    assert "nothing was sent" in capsys.readouterr().err
    place.trials(1)
    place.projection.drain()
    with open_project(place.root) as project:
        pages = ui(project, 65432)
    number = client(place.target.uri).get_experiment_by_name("small").experiment_id
    assert pages.url.endswith(f"#/experiments/{number}/runs")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert podium(["ui", "--port", str(taken.getsockname()[1]), *at]) == 6


@pytest.mark.parametrize("verb", ["tune", "extend", "finalize", "backtest", "run", "sync", "ui"])
def test_verbs_that_make_runs_take_the_flags_of_mlflow(verb, capsys):
    assert podium([verb, "--help"]) == 0
    told = capsys.readouterr().out
    flags = ("--mlflow", "--mlflow-tracking-uri", "--mlflow-experiment", "--mlflow-run-name")
    assert [flag for flag in flags if flag not in told] == []
