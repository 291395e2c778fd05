"""What other tools wrote becomes trials, told once and given back as it was."""

import json
import math
import shutil
import socket
import subprocess
import sys
import time

import pytest

import foreign
import mlflow_places
from foreign import LINE, RUN, SUMMARY
from podium.cli.main import run
from podium.errors import DataError, NotFoundError, UsageError
from podium.hashing import json_text
from podium.importers import experiments_log, mlflow, optuna, optuna_pickle, sweep_results
from podium.importers._base import NO_MOMENT, UnusableError, moment
from podium.steps.archive.export import export
from podium.steps.archive.import_ import import_
from podium.steps.workspace.session import open_project
from projects import SLOT, query, small_project


@pytest.fixture
def root(tmp_path):
    return small_project(tmp_path / "mine")


def take(root, place, **how):
    with open_project(root) as project:
        return import_(project, str(place), **how)


def counts(found):
    return [(group.new, group.known, len(group.problems)) for group in found.groups]


def exported(root, form="sweep"):
    with open_project(root) as project:
        return json.loads(export(project, form).content)["runs"]


# The tracker's file


def test_a_trackers_file_comes_back_word_for_word(root, tmp_path):
    told = [
        RUN,
        {**RUN, "run_id": "kronos_20251112_030501", "model_name": "kronos", "priority": [1, None]},
        {"run_id": "a_20250101_000000", "model_name": "a", "timestamp": "2025-01-01 00:00:00.5"},
        {
            **RUN,
            "run_id": "whole_20250101_000000",
            "metrics": {"epochs": 3, "val_loss": float("nan"), "test_loss": None, "gap": -math.inf},
            "hyperparams": {"lr": float("inf"), "deep": {"a": [1, 2.0, "x"]}},
            "training_time_seconds": None,
            "git_commit": "abc",
            "git_dirty": True,
            "git_diff_hash": None,
        },
    ]
    found = take(root, foreign.sweep(tmp_path / "sweep_results.json", *told))
    assert counts(found) == [(4, 0, 0)]
    # NaN is not equal to itself; its text is.
    same = [json.dumps(each, sort_keys=True) for each in told]
    assert [json.dumps(each, sort_keys=True) for each in exported(root)] == same


def test_a_run_as_podium_writes_it_needs_no_second_copy():
    whole = {
        **RUN,
        "notes": "",
        "git_commit": None,
        "git_dirty": None,
        "git_diff_hash": None,
    }
    [record], _ = sweep_results.records({"runs": [whole]})
    assert record.extras == {}
    assert sweep_results.to_json(record) == whole


def test_a_repeated_import_from_any_place_adds_nothing(root, tmp_path):
    first = foreign.sweep(tmp_path / "sweep_results.json", RUN)
    assert counts(take(root, first)) == [(1, 0, 0)]
    assert counts(take(root, first)) == [(0, 1, 0)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    longer = foreign.sweep(elsewhere / "results.json", RUN, {**RUN, "run_id": "toto_2"})
    assert counts(take(root, longer)) == [(1, 1, 0)]
    # The project's own file holds nothing that it does not know.
    assert counts(take(root, root / "hyperparams" / "sweep_results.json")) == [(0, 2, 0)]
    assert len(query(root, "SELECT id FROM trial")) == 2


def test_two_runs_of_one_name_are_two_runs(root, tmp_path):
    other = {**RUN, "metrics": {"val_pct_mae": 0.5}}
    take(root, foreign.sweep(tmp_path / "sweep_results.json", RUN, other))
    assert [(r["run_id"], r["metrics"]["val_pct_mae"]) for r in exported(root)] == [
        ("toto_20251112_030500", 0.721),
        ("toto_20251112_030500-2", 0.5),
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("a text", "run 1 left out: 'a text'"),
        (
            {**RUN, "metrics": {"val_r2": "high"}},
            "run 1 (toto_20251112_030500) left out: metr",
        ),
        ({**RUN, "metrics": {"val_r2": True}}, "metrics.val_r2 is True, not a number"),
        ({**RUN, "metrics": {"val_r2": 10**400}}, "metrics.val_r2 is too large"),
        ({**RUN, "metrics": [1]}, "metrics is [1], not an object"),
        ({**RUN, "hyperparams": "lr=1"}, "hyperparams is 'lr=1', not an object"),
        ({**RUN, "timestamp": "yesterday"}, "timestamp 'yesterday' is no time"),
        ({**RUN, "checkpoint_path": 3}, "checkpoint_path is 3, not a text"),
        ({**RUN, "model_name": None}, "no model_name"),
        ({**RUN, "run_id": 7}, "run_id is 7, not a text"),
        ({**RUN, "git_dirty": "no"}, "git_dirty is 'no', not true or false"),
        ({**RUN, "notes": "\ud800"}, "characters that no database can store"),
        ({**RUN, "notes": "a\0b"}, "characters that no database can store"),
    ],
)
def test_a_run_of_a_wrong_type_is_left_out_with_a_reason(root, tmp_path, wrong, told):
    last = {**RUN, "run_id": "last"}
    found = take(root, foreign.sweep(tmp_path / "sweep_results.json", RUN, wrong, last))
    assert counts(found) == [(2, 0, 1)]
    assert told in found.groups[0].problems[0]
    assert [r["run_id"] for r in exported(root)] == [RUN["run_id"], "last"]


# The experiments log


def test_grid_runs_of_a_log_become_runs(root, tmp_path):
    lines = [LINE, {**LINE, "final_val_loss": 0.01, "seed": 3}, SUMMARY, {"phase": "other"}, ""]
    found = take(root, foreign.log(tmp_path / "log.jsonl", *lines))
    assert counts(found) == [(2, 0, 0)]
    [first, second] = exported(root)
    assert first["model_name"] == "lstm"
    assert first["run_id"] == "lstm_20250304_050607"
    assert first["hyperparams"] == LINE["config"]
    assert first["metrics"] == {"final_val_loss": 0.0123, "val_loss": 0.0123}
    assert first["checkpoint_path"] == LINE["model_path"]
    assert first["timestamp"] == "2025-03-04T05:06:07"
    assert second["run_id"] == "lstm_20250304_050607-2"
    [row] = query(root, "SELECT extras FROM trial WHERE extras IS NOT NULL")
    assert json.loads(row["extras"]) == {"other": {"seed": 3}}


def test_a_log_that_has_grown_brings_its_new_lines(root, tmp_path):
    path = foreign.log(tmp_path / "log.jsonl", LINE)
    take(root, path)
    foreign.log(path, LINE, {**LINE, "final_val_loss": 0.5})
    assert counts(take(root, path)) == [(1, 1, 0)]
    assert len(query(root, "SELECT id FROM study WHERE question LIKE '%log.jsonl%'")) == 1


def test_bad_lines_are_reported_with_their_numbers():
    good = json.dumps(LINE)
    data = "\n".join(
        [
            good,
            good[:40],
            good[:40] + good,
            "[1]",
            json.dumps({**LINE, "config": 3}),
            json.dumps({**LINE, "final_val_loss": "low"}),
            "\0\0\0",
            json.dumps({**LINE, "timestamp": "late"}),
            "",
            good + "\r",
            good[:-1],
        ]
    ).encode()
    found, problems = experiments_log.lines(b"\xef\xbb\xbf" + data)
    assert [place for place, _ in found] == [1, 3, 10]
    assert [p.partition(":")[0] for p in problems] == [
        f"line {n}" for n in (2, 3, 4, 5, 6, 7, 8, 11)
    ]


def test_lines_of_the_projects_own_trials_are_no_news():
    own = json.dumps({**LINE, "id": "t-mine"}).encode()
    other = json.dumps({**LINE, "id": "t-other"}).encode()
    found, _ = experiments_log.lines(own + b"\n" + other, {"t-mine"})
    assert [place for place, _ in found] == [2]


@pytest.mark.parametrize(
    ("config", "path", "family"),
    [
        ({"model": "toto"}, "x/lstm.pt", "toto"),
        ({}, "models/registry/naive_7.pt", "naive"),
        ({}, "C:\\models\\my_lstm_1.keras", "lstm"),
        ({}, None, "lstm"),
    ],
)
def test_the_model_of_a_line_is_its_name_or_that_of_its_file(config, path, family):
    line = {"config": config, "final_val_loss": 1.0, "model_path": path}
    assert experiments_log.from_json(line).model_name == family


def test_a_line_of_another_podium_keeps_its_name_family_and_state(root, tmp_path):
    line = {**LINE, "id": "t-theirs", "run_id": "bilstm_1", "family": "bilstm", "seed": 3}
    failed = {**line, "run_id": "bilstm_2", "state": "failed", "final_val_loss": None}
    take(root, foreign.log(tmp_path / "log.jsonl", line, failed))
    rows = query(root, "SELECT run_id, family, state FROM trial ORDER BY seq")
    assert [tuple(row.values()) for row in rows] == [
        ("bilstm_1", "bilstm", "complete"),
        ("bilstm_2", "bilstm", "failed"),
    ]


# Times


def test_a_time_is_iso_8601_in_utc_where_the_zone_is_known():
    assert moment("2025-11-12T03:05:00") == "2025-11-12T03:05:00"
    assert moment("2025-11-12T03:05:00Z") == "2025-11-12T03:05:00.000Z"
    assert moment("2025-11-12T03:05:00+02:00") == "2025-11-12T01:05:00.000Z"
    assert moment(1_762_916_700) == moment(1_762_916_700_000) == "2025-11-12T03:05:00.000Z"
    assert moment(None) == moment("") == NO_MOMENT
    for wrong in ("soon", [], {}, math.nan, math.inf, 1e300):
        with pytest.raises(UnusableError, match="is no time"):
            moment(wrong)


# Optuna


def test_an_optuna_study_keeps_states_values_curves_and_attributes(root, tmp_path):
    path = foreign.journal(tmp_path / "journal.log")
    found = take(root, path)
    assert [group.source.partition("#")[0] for group in found.groups] == [
        "journal.log/one",
        "journal.log/two",
    ]
    assert counts(found) == [(12, 0, 1), (2, 0, 0)]
    assert found.groups[0].problems == ("trial 12 of study one left out: it is running",)
    assert found.groups[0].directions == {"value": "min"}
    assert found.groups[1].directions == {"values_0": "min", "values_1": "max"}
    storage = optuna_storage(path)
    told = {t.number: t for t in storage.get_all_trials(0)}
    rows = query(root, "SELECT * FROM trial WHERE family = 'one' ORDER BY seq")
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    assert {row["state"] for row in rows} == set(states.values())
    for row in rows:
        said = json.loads(row["extras"])["other"]
        trial = told[said["number"]]
        assert row["state"] == states[trial.state.name]
        assert json.loads(row["config"]) == trial.params
        assert said["user_attrs"] == {"who": "ann"}
        curve = query(root, "SELECT value FROM score WHERE trial_id = ? ORDER BY epoch", row["id"])
        assert [c["value"] for c in curve] == list(trial.intermediate_values.values())
        results = query(root, "SELECT metric, value FROM result WHERE trial_id = ?", row["id"])
        values = [] if trial.value is None else [{"metric": "value", "value": trial.value}]
        assert results == values


def optuna_storage(path):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def test_one_study_of_several_can_be_named(root, tmp_path):
    path = foreign.journal(tmp_path / "journal.log")
    assert counts(take(root, path, study="two")) == [(2, 0, 0)]
    with pytest.raises(
        NotFoundError, match=r"journal\.log has no study 'tow'\. Did you mean 'two'"
    ):
        take(root, path, study="tow")
    with pytest.raises(UsageError, match=r"no option --experiment\. Expected --study"):
        take(root, path, experiment="two")


def test_an_older_optuna_database_is_read_and_left_as_it_is(root, tmp_path, searched):
    path = tmp_path / "study.db"
    shutil.copy(searched, path)
    with sqlite(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    before = path.read_bytes()
    assert counts(take(root, f"sqlite:///{path}")) == [(12, 0, 1)]
    assert counts(take(root, path)) == [(0, 12, 1)]
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["study.db"]


def sqlite(path):
    import sqlite3

    connection = sqlite3.connect(path)
    connection.isolation_level = None
    return connection


def test_sparse_steps_keep_their_numbers(tmp_path):
    from optuna import create_study

    storage = optuna_storage(foreign.log(tmp_path / "journal.log"))
    study = create_study(storage=storage, study_name="sparse")

    def objective(trial):
        for step in (0, 10, 20):
            trial.report(float(step), step)
        return 1.0

    study.optimize(objective, n_trials=1)
    [found] = optuna.read(tmp_path / "journal.log")
    assert found.records[0].curves == {"value": [0.0, 10.0, 20.0]}
    assert found.records[0].extras["other"]["steps"] == [0, 10, 20]


def test_a_trusted_pickle_is_marked_in_the_record(root, tmp_path):
    path = foreign.pickled(tmp_path / "optimization_study.pkl")
    assert counts(take(root, path, trust_pickle=True)) == [(12, 0, 1)]
    origins = query(root, "SELECT DISTINCT origin FROM trial")
    assert len(origins) == 1
    assert origins[0]["origin"].startswith("import:trusted pickle optimization_study.pkl/one#")


# MLflow


def test_an_mlflow_database_gives_params_metrics_curves_and_tags(root, tracked):
    found = take(root, tracked)
    assert [group.source.partition("#")[0] for group in found.groups] == [
        "mlflow.db/first",
        "mlflow.db/other",
    ]
    assert counts(found) == [(3, 0, 1), (1, 0, 0)]
    assert found.groups[0].problems == ("run still-at-it left out: it is running",)
    name = "val2025w48-l128-biLSTM-baseline-run1"
    run = next(r for r in exported(root) if r["run_id"] == name)
    assert run["model_name"] == "biLSTM"
    assert run["hyperparams"] == {
        "act": "relu",
        "bidirectional": True,
        "layers": 2,
        "learning_rate": 0.001,
    }
    assert run["metrics"] == {"val_loss": 0.25}
    assert run["notes"] == "a note"
    assert run["timestamp"] == "2025-11-12T03:05:00.000Z"
    assert run["training_time_seconds"] == 60.0
    assert run["checkpoint_path"].endswith("/artifacts/best.pt")
    curve = query(
        root,
        "SELECT s.part, s.metric, s.value FROM score s JOIN trial t ON t.id = s.trial_id "
        "WHERE t.run_id = ? ORDER BY s.epoch",
        name,
    )
    assert [(c["part"], c["metric"], c["value"]) for c in curve] == [
        ("val", "loss", 1.0),
        ("val", "loss", 0.25),
    ]


def test_a_failed_run_is_one_and_nan_and_infinity_are_themselves(tracked):
    first, _ = mlflow.read(tracked)
    failed = first.records[1]
    assert (failed.state, failed.reason) == ("failed", "MLflow says: failed")
    assert math.isnan(failed.metrics["val_loss"])
    # A name with blanks cannot be typed as an id.
    assert failed.run_id == ""


def test_runs_podium_wrote_about_its_own_trials_are_no_news(tracked):
    assert [len(group.records) for group in mlflow.read(tracked)] == [3, 1]
    assert [len(group.records) for group in mlflow.read(tracked, own={"t-mine"})] == [2, 1]


def test_one_experiment_of_several_can_be_named(tracked):
    [found] = mlflow.read(tracked, experiment="other")
    assert [record.run_id for record in found.records] == ["elsewhere"]
    with pytest.raises(NotFoundError, match=r"mlflow\.db has no experiment 'frist'.*'first'"):
        mlflow.read(tracked, experiment="frist")


def test_a_curve_that_is_a_log_of_steps_is_left_out_and_its_end_is_kept(tracked, monkeypatch):
    monkeypatch.setattr(mlflow, "MAX_POINTS", 1)
    [found] = mlflow.read(tracked, experiment="other")
    assert found.records[0].metrics == {"val_loss": 0.75}
    assert found.records[0].curves == {}
    assert found.problems == [
        "run elsewhere: val_loss has 2 values, more than 1; only the last one was imported"
    ]


def test_a_folder_of_runs_is_met_with_the_way_to_migrate_it(root, tmp_path):
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    with pytest.raises(UsageError, match=r"mlflow migrate-filestore --source .*mlruns --target"):
        take(root, tmp_path / "mlruns")


def test_an_unreachable_server_is_reported_soon(root):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    place = f"http://ann:secret@127.0.0.1:{port}"
    with pytest.raises(DataError, match="does not answer: Connection refused") as told:
        take(root, place)
    assert "secret" not in str(told.value)
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_a_server_gives_the_same_records_as_its_database(tracked, tmp_path):
    with mlflow_places.served(f"sqlite:///{tracked}", tmp_path) as url:
        of_server, of_file = mlflow.read(url), mlflow.read(tracked)
    for one, other in zip(of_server, of_file, strict=True):
        assert one.problems == other.problems
        for mine, theirs in zip(one.records, other.records, strict=True):
            assert json_text(vars(mine)) == json_text(vars(theirs))


# The step and its verb


def say(capsys, root, *words):
    code = run(["import", *map(str, words), "--project", str(root)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_dry_run_reports_new_records_and_writes_nothing(root, tmp_path, capsys):
    path = foreign.sweep(tmp_path / "sweep_results.json", RUN, "wrong")
    code, out, err = say(capsys, root, path, "--dry-run")
    assert code == 0
    assert "nothing was written" in err
    assert query(root, "SELECT id FROM trial") == []
    assert query(root, "SELECT id FROM study") == []
    _, again, _ = say(capsys, root, path)
    assert again == out
    assert len(query(root, "SELECT id FROM trial")) == 1


def test_the_verb_reports_counts_reasons_and_directions(root, tmp_path, capsys):
    path = foreign.sweep(
        tmp_path / "sweep_results.json", {**RUN, "metrics": {"zest": 1, "val_mae": 2}}, *[1] * 30
    )
    code, out, err = say(capsys, root, path)
    assert code == 0
    assert out.splitlines()[2].split()[1:] == ["sweep_results", SLOT, "1", "0", "30"]
    assert "run 1 left out" in err
    assert "... and 10 more" in err
    assert '[metrics]  zest = "min"  (or "max")' in err
    assert "val_mae =" not in err
    _, out, _ = say(capsys, root, path, "--json")
    [item] = json.loads(out)["items"]
    assert (item["new"], item["known before"], len(item["why left out"])) == (0, 1, 30)


def test_the_direction_of_a_source_is_used(root, tmp_path, capsys):
    _, _, err = say(capsys, root, foreign.journal(tmp_path / "journal.log"))
    assert '[metrics]  values_1 = "max"\n' in err


def test_an_unrecognized_file_is_refused_with_the_importers(root, tmp_path, capsys):
    code, _, err = say(capsys, root, foreign.log(tmp_path / "notes.txt", "hello"))
    assert code == 2
    assert "experiments_log, mlflow, optuna, optuna_pickle, sweep_results" in err
    assert "--as" in err
    code, _, err = say(capsys, root, tmp_path / "nothing")
    assert code == 3
    assert "there is no file" in err
    code, _, err = say(capsys, root, tmp_path / "notes.txt", "--as", "sweep_result")
    assert code == 3
    assert "Did you mean 'sweep_results'" in err


def test_a_file_that_two_could_read_asks_which(root, tmp_path, monkeypatch):
    path = foreign.sweep(tmp_path / "sweep_results.json", RUN)
    monkeypatch.setattr(optuna_pickle, "recognizes", lambda place: True)
    with pytest.raises(UsageError, match=r"optuna_pickle or sweep_results.*--as optuna_pickle"):
        take(root, path)
    assert counts(take(root, path, importer="sweep_results")) == [(1, 0, 0)]


def test_an_unusual_name_is_read_with_a_named_importer(root, tmp_path):
    path = tmp_path / "runs.txt"
    path.write_text(json.dumps({"about": "mine", "runs": [RUN]}))
    with pytest.raises(UsageError, match="no importer recognizes"):
        take(root, path)
    assert counts(take(root, path, importer="sweep_results")) == [(1, 0, 0)]


def test_the_record_of_another_project_is_met_with_the_way_to_move_it(root, tmp_path):
    other = small_project(tmp_path / "other")
    with open_project(other) as project:
        project.ledger.close()
    with pytest.raises(UsageError, match="podium export --bundle"):
        take(root, other / "podium.db")


def test_a_project_without_slots_can_import_too(tmp_path):
    run(["init", str(tmp_path / "bare"), "-q"])
    found = take(tmp_path / "bare", foreign.sweep(tmp_path / "sweep_results.json", RUN))
    assert counts(found) == [(1, 0, 0)]
    with pytest.raises(UsageError, match="declares no slot"):
        take(tmp_path / "bare", tmp_path / "sweep_results.json", slot="x")


# Servers


@pytest.mark.slow
def test_a_record_on_a_server_takes_in_every_kind_of_file(database, tracked, searched, tmp_path):
    root = small_project(tmp_path / "there", ledger={"url": database})
    places = [
        foreign.sweep(tmp_path / "sweep_results.json", {**RUN, "metrics": {"mae": math.inf}}),
        foreign.log(tmp_path / "log.jsonl", LINE),
        foreign.journal(tmp_path / "journal.log"),
        searched,
        tracked,
    ]
    first = [counts(take(root, place)) for place in places]
    of_logs, of_optuna = [[(1, 0, 0)], [(1, 0, 0)]], [[(12, 0, 1), (2, 0, 0)], [(12, 0, 1)]]
    assert first == [*of_logs, *of_optuna, [(3, 0, 1), (1, 0, 0)]]
    again = [counts(take(root, place)) for place in places]
    assert [[new for new, _, _ in each] for each in again] == [[0], [0], [0, 0], [0], [0, 0]]
    assert exported(root)[0]["metrics"] == {"mae": math.inf}


@pytest.mark.slow
def test_a_study_on_a_server_is_read_by_its_url_and_left_as_it_is(root, server, database):
    import psycopg
    from optuna.storages import RDBStorage

    # In a process of its own: Optuna leaves a connection open where it stumbles.
    words = [sys.executable, "-m", "podium", "import", database, "--project", str(root)]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 7
    assert "cannot be read as an Optuna storage" in told.stderr
    assert server_tables(database) == []
    storage = RDBStorage(database)
    foreign.study(storage)
    storage.remove_session()
    storage.engine.dispose()
    assert counts(take(root, database)) == [(12, 0, 1)]
    assert counts(take(root, database)) == [(0, 12, 1)]
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    with pytest.raises(DataError, match=r"by an older Optuna.*optuna storage upgrade"):
        take(root, database)


def server_tables(url):
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return connection.execute(sql).fetchall()
