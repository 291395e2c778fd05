"""HyperparamTracker: what it promises to scripts, threads and processes."""

import copy
import json
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

import podium
import projects
from podium import HyperparamTracker
from podium.errors import DataError, NotFoundError, UsageError
from podium.ledger.sweep_file import FILE
from podium.steps.archive import init
from podium.steps.archive.note import note
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project

RUN = {
    "run_id": "toto_20251112_030500",
    "model_name": "toto",
    "timestamp": "2025-11-12T03:05:00",
    "hyperparams": {"patch_size": 32},
    "metrics": {"val_pct_mae": 0.721},
    "checkpoint_path": "path/to/checkpoint.pt",
    "training_time_seconds": 1800.5,
    "notes": "",
}


@pytest.fixture
def tracker(tmp_path):
    with HyperparamTracker(tmp_path / "hyperparams" / "sweep_results.json") as found:
        yield found


def told(root):
    return json.loads((root / FILE).read_text(encoding="utf-8"))["runs"]


def python(program, *arguments, **how):
    """A program of its own, and what it printed."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        **how,
    )


# Opening.


def test_looking_where_there_is_nothing_finds_nothing_and_makes_nothing(tracker, tmp_path):
    assert tracker.runs == []
    assert tracker.get_best_model() is None
    assert tracker.get_top_k_models(3) == []
    assert tracker.compare_models().columns.tolist() == ["run_id", "model_name"]
    assert tracker.get_hyperparameter_impact("toto", "lr", "mae").empty
    assert "Total runs: 0" in tracker.generate_report()
    tracker.close()
    assert list(tmp_path.iterdir()) == []


def test_the_first_run_makes_a_project_above_the_hyperparams_folder_and_says_so(
    tracker, tmp_path, capsys
):
    tracker.log_run("toto", {"lr": 0.1}, {"val_pct_mae": 0.7})
    assert (tmp_path / "podium.toml").is_file()
    assert capsys.readouterr().err == (
        f"podium: made a project in {tmp_path}: runs are stored in its record, podium.db, and "
        f"written to {tmp_path}/hyperparams/sweep_results.json\n"
    )
    tracker.log_run("toto", {"lr": 0.1}, {"val_pct_mae": 0.7})
    assert capsys.readouterr().err == ""


def test_a_file_in_another_folder_has_its_project_beside_it(tmp_path):
    with HyperparamTracker(tmp_path / "results.json") as tracker:
        tracker.log_run("toto", {}, {})
    assert (tmp_path / "podium.toml").is_file()
    assert len(told(tmp_path)) == 1


def test_a_file_below_a_project_means_that_project(tmp_path):
    root = init.init(tmp_path / "mine")
    with HyperparamTracker(root / "notebooks" / FILE) as tracker:
        tracker.log_run("toto", {}, {})
    assert len(told(root)) == 1
    assert not (root / "notebooks").exists()
    with HyperparamTracker(root) as same, HyperparamTracker(root / "data" / "x.json") as too:
        assert [len(same.runs), len(too.runs)] == [1, 1]


def test_an_existing_file_is_imported_when_it_is_opened(tmp_path, capsys):
    (tmp_path / "hyperparams").mkdir()
    (tmp_path / FILE).write_text(json.dumps({"runs": [RUN]}))
    tracker = HyperparamTracker(tmp_path / FILE)
    [found] = tracker.runs
    assert (found.run_id, found.metrics) == ("toto_20251112_030500", {"val_pct_mae": 0.721})
    assert f"imported from {tmp_path / FILE}: 1 run\n" in capsys.readouterr().err
    assert told(tmp_path) == [RUN]


def test_runs_written_into_the_file_by_an_older_script_are_seen_by_the_next_tracker(
    tracker, tmp_path
):
    tracker.log_run("kronos", {}, {"val_pct_mae": 0.9})
    tracker.close()
    (tmp_path / FILE).write_text(json.dumps({"runs": [*told(tmp_path), RUN]}))
    again = HyperparamTracker(tmp_path / FILE)
    assert [run.model_name for run in again.runs] == ["kronos", "toto"]
    assert again.get_best_model().run_id == "toto_20251112_030500"


def test_a_tracker_file_of_another_name_is_imported_once_and_left_alone(tmp_path, capsys):
    place = tmp_path / "old.json"
    place.write_text(json.dumps({"runs": [RUN]}))
    assert len(HyperparamTracker(place).runs) == 1
    said = capsys.readouterr().err
    assert f"imported from {place}: 1 run; the project's runs are written to" in said
    assert len(HyperparamTracker(place).runs) == 1
    assert capsys.readouterr().err == ""
    place.write_text(json.dumps({"runs": [RUN, {**RUN, "run_id": "b"}]}))
    assert len(HyperparamTracker(place).runs) == 2
    assert len(told(tmp_path)) == 2


def test_a_damaged_file_is_told_before_anything_is_made(tmp_path):
    (tmp_path / "results.json").write_text('{"runs": [')
    with pytest.raises(DataError, match=r"results\.json is no JSON from line 1"):
        HyperparamTracker(tmp_path / "results.json")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_path_that_is_neither_file_nor_project_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"runs\.db.*a \.json file"):
        HyperparamTracker(tmp_path / "runs.db")
    with pytest.raises(NotFoundError, match=r"no podium\.toml"):
        HyperparamTracker(tmp_path)


# Logging.


def test_a_run_comes_back_as_it_was_logged(tracker, tmp_path):
    config = {"lr": 3e-4, "layers": [1, 2], "lora": {"r": 16}, "freeze": True, "loss": None}
    run_id = tracker.log_run(
        model_name="chronos2",
        hyperparams=config,
        metrics={"val_pct_mae": 0.72, "val_sharpe_ratio": 1.5, "val_r2": -85.04},
        checkpoint_path=tmp_path / "ck" / "a.pt",
        training_time_seconds=12.5,
        notes="first",
    )
    [run] = tracker.runs
    assert run.run_id == run_id
    assert run.model_name == "chronos2"
    assert run.hyperparams == config
    assert run.metrics == {"val_pct_mae": 0.72, "val_sharpe_ratio": 1.5, "val_r2": -85.04}
    assert run.checkpoint_path == str(tmp_path / "ck" / "a.pt")
    assert (run.training_time_seconds, run.notes) == (12.5, "first")
    assert run.timestamp.endswith("Z")
    stamp = run.timestamp[:19].replace("-", "").replace(":", "").replace("T", "_")
    assert run_id == f"chronos2_{stamp}"


def test_what_was_left_out_is_none(tracker):
    tracker.log_run("toto", {}, {})
    [run] = tracker.runs
    left = (run.checkpoint_path, run.training_time_seconds, run.notes, run.metrics)
    assert left == (None, None, "", {})


def test_runs_of_one_second_have_ids_of_their_own(tracker):
    ids = [tracker.log_run("toto", {}, {}) for _ in range(5)]
    assert len(set(ids)) == 5
    assert len({id_.rpartition("-")[0] or id_ for id_ in ids}) <= 3


def test_numbers_of_numpy_are_numbers(tracker):
    tracker.log_run(
        "toto",
        {"lr": np.float32(0.5), "n": np.int64(3), "path": os.devnull, "kind": np.float64},
        {"val_pct_mae": np.float32(0.25), "val_r2": np.array(1.0), "hits": True},
        training_time_seconds=np.float64(2),
    )
    [run] = tracker.runs
    assert run.hyperparams == {
        "lr": 0.5,
        "n": 3,
        "path": os.devnull,
        "kind": "<class 'numpy.float64'>",
    }
    assert run.metrics == {"val_pct_mae": 0.25, "val_r2": 1.0, "hits": 1.0}


def test_what_cannot_be_kept_is_refused_all_at_once(tracker, tmp_path):
    with pytest.raises(UsageError) as caught:
        tracker.log_run("a\nb", [1], {"val_pct_mae": "0.5", "ok": 1, "no": [1, 2]}, None, "long")
    assert str(caught.value).splitlines() == [
        "model_name is 'a\\nb'. Expected a name such as 'toto'.",
        "hyperparams is a list. Expected a dict.",
        "metrics['val_pct_mae'] is '0.5'. Expected a number.",
        "metrics['no'] is [1, 2]. Expected a number.",
        "training_time_seconds is 'long'. Expected seconds, or None.",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_relative_checkpoint_is_found_from_any_folder(tracker, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    tracker.log_run("toto", {}, {"val_pct_mae": 1.0}, checkpoint_path="ck/a.pt")
    monkeypatch.chdir("/")
    assert tracker.get_best_model().checkpoint_path == str(tmp_path / "work" / "ck" / "a.pt")
    tracker.close()
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + "-moved"))
    again = HyperparamTracker(moved / FILE)
    assert again.get_best_model().checkpoint_path == str(moved / "work" / "ck" / "a.pt")


def test_a_checkpoint_elsewhere_keeps_its_place(tracker):
    for place in ("/data/models/a.pt", "s3://bucket/a.pt"):
        tracker.log_run("toto", {}, {}, checkpoint_path=place)
    assert [run.checkpoint_path for run in tracker.runs] == [
        "/data/models/a.pt",
        "s3://bucket/a.pt",
    ]


def test_an_imported_checkpoint_that_the_project_has_can_be_opened(tmp_path):
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "checkpoint.pt").write_bytes(b"weights")
    (tmp_path / "results.json").write_text(
        json.dumps({"runs": [RUN, {**RUN, "run_id": "b", "checkpoint_path": "x" * 300}]})
    )
    here, gone = HyperparamTracker(tmp_path / "results.json").runs
    assert here.checkpoint_path == str(tmp_path / "path" / "to" / "checkpoint.pt")
    assert gone.checkpoint_path == "x" * 300


def test_the_code_is_on_record_with_each_run(tracker, tmp_path):
    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    git("init")
    (tmp_path / "train.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    (tmp_path / "hyperparams").mkdir()
    (tmp_path / FILE).write_text('{"runs": []}')
    git("add", ".")
    git("commit", "-m", "first")
    tracker.log_run("toto", {}, {})
    tracker.close()
    (tmp_path / "train.py").write_text("x = 2\n")
    tracker.log_run("toto", {}, {})
    clean, dirty = tracker.runs
    assert clean.git_commit == dirty.git_commit
    assert len(clean.git_commit) == 40
    assert (clean.git_dirty, clean.git_diff_hash) == (False, None)
    assert dirty.git_dirty is True
    assert len(dirty.git_diff_hash) == 64
    tracker.close()
    assert told(tmp_path)[1]["git_diff_hash"] == dirty.git_diff_hash


def test_outside_a_repository_nothing_is_said_about_the_code(tracker, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    tracker.log_run("toto", {}, {})
    [run] = tracker.runs
    assert (run.git_commit, run.git_dirty, run.git_diff_hash) == (None, None, None)


# The best.


def logged(tracker, *values, name="toto", metric="val_pct_mae"):
    return [tracker.log_run(name, {}, {metric: value}) for value in values]


def test_the_best_has_the_lowest_error_or_the_highest_score(tracker):
    errors = logged(tracker, 0.5, 0.3, 0.4)
    scores = logged(tracker, 0.5, 0.3, 0.4, metric="val_r2")
    assert tracker.get_best_model().run_id == errors[1]
    assert tracker.get_best_model("val_r2").run_id == scores[0]
    assert tracker.get_best_model("val_r2", minimize=True).run_id == scores[1]


def test_what_is_not_finite_or_missing_never_wins(tracker):
    ids = logged(tracker, math.nan, -math.inf, 0.4, math.inf)
    tracker.log_run("toto", {}, {"other": 0.1})
    assert tracker.get_best_model().run_id == ids[2]
    assert tracker.get_best_model(minimize=False).run_id == ids[2]
    assert [run.run_id for run in tracker.get_top_k_models(10)] == [ids[2]]
    assert math.isnan(tracker.runs[0].metrics["val_pct_mae"])


def test_no_match_is_none(tracker):
    logged(tracker, 0.5)
    assert tracker.get_best_model(model_name="kronos") is None
    assert tracker.get_best_model("val_nothing_mae") is None


def test_an_undeclared_metric_asks_which_way_is_better(tracker, tmp_path):
    ids = logged(tracker, 1.0, 2.0, metric="val_magic")
    with pytest.raises(UsageError, match="minimize=True or minimize=False"):
        tracker.get_best_model("val_magic")
    with (tmp_path / "podium.toml").open("a") as handle:
        handle.write('[metrics]\nval_magic = "max"\n')
    assert HyperparamTracker(tmp_path / FILE).get_best_model("val_magic").run_id == ids[1]


def test_the_top_k_are_in_order_and_the_oldest_of_equals_is_first(tracker):
    ids = logged(tracker, 0.3, 0.1, 0.3, 0.2)
    other = logged(tracker, 0.15, name="kronos")
    best = [run.run_id for run in tracker.get_top_k_models(k=4)]
    assert best == [ids[1], *other, ids[3], ids[0]]
    top = tracker.get_top_k_models(2, metric="val_pct_mae", model_name="toto")
    assert [run.run_id for run in top] == [ids[1], ids[3]]
    assert tracker.get_top_k_models(0) == []
    with pytest.raises(UsageError, match="k is -1"):
        tracker.get_top_k_models(-1)


# Tables.


def test_a_comparison_has_a_row_a_run_and_nan_where_a_run_lacks_a_metric(tracker):
    toto = tracker.log_run("toto", {}, {"val_pct_mae": 0.5, "val_r2": 0.9})
    kronos = tracker.log_run("kronos", {}, {"val_pct_mae": 0.4})
    failed = tracker.log_run("toto", {}, {"val_r2": 0.1})
    tracker.log_run("chronos2", {}, {"val_pct_mae": 0.1})
    df = tracker.compare_models(
        metrics=["val_pct_mae", "test_pct_mae", "val_r2"], model_names=["toto", "kronos"]
    )
    assert df.columns.tolist() == [
        "run_id",
        "model_name",
        "val_pct_mae",
        "test_pct_mae",
        "val_r2",
    ]
    assert df["run_id"].tolist() == [kronos, toto, failed]
    assert df["test_pct_mae"].isna().all()
    assert df["val_r2"].tolist()[1:] == [0.9, 0.1]
    assert tracker.compare_models("val_r2", "toto")["run_id"].tolist() == [toto, failed]


def test_a_comparison_of_everything_begins_with_the_usual_metric(tracker):
    logged(tracker, 0.5)
    logged(tracker, 0.5, metric="epochs")
    logged(tracker, 0.5, metric="test_loss")
    logged(tracker, 0.5, metric="val_loss")
    columns = tracker.compare_models().columns.tolist()[2:]
    assert columns == ["val_pct_mae", "val_loss", "test_loss", "epochs"]


def test_a_comparison_by_a_metric_without_direction_keeps_the_order_of_the_runs(tracker):
    ids = logged(tracker, 2.0, 3.0, 1.0, metric="magic")
    assert tracker.compare_models(["magic"])["run_id"].tolist() == ids


def test_the_impact_of_a_hyperparameter_is_sorted_by_it(tracker):
    for rate, value in ((5e-4, 0.9123), (1e-4, 0.85), (3e-4, 0.7208)):
        tracker.log_run("toto", {"learning_rate": rate}, {"val_pct_mae": value})
    tracker.log_run("toto", {"other": 1}, {"val_pct_mae": 0.1})
    tracker.log_run("kronos", {"learning_rate": 1e-4}, {"val_pct_mae": 0.1})
    df = tracker.get_hyperparameter_impact(
        model_name="toto", hyperparam="learning_rate", metric="val_pct_mae"
    )
    assert df.columns.tolist() == ["run_id", "learning_rate", "val_pct_mae"]
    assert df["learning_rate"].tolist() == [1e-4, 3e-4, 5e-4]
    assert df["val_pct_mae"].tolist() == [0.85, 0.7208, 0.9123]


def test_texts_and_numbers_of_a_hyperparameter_can_be_sorted_together(tracker):
    for value in ("auto", 2, None, 1, [3]):
        tracker.log_run("toto", {"x": value}, {"val_pct_mae": 0.5})
    df = tracker.get_hyperparameter_impact("toto", "x", "val_pct_mae")
    assert df["x"].tolist() == [1, 2, None, [3], "auto"]


# The report.


@pytest.fixture(scope="module")
def two_slots(tmp_path_factory):
    """A project with a search of two slots, and one logged run."""
    returns = {**projects.SMALL["slots"][projects.SLOT], "target": "log_return", "signal": "sign"}
    root = projects.small_project(
        tmp_path_factory.mktemp("two") / "p",
        slots={"us4/D/return": returns},
        paths={"tuning": "searched"},
        tune={"trials": 2, "keep_checkpoints": 1},
    )
    with open_project(root) as project:
        for slot in project.config.slots:
            tune(project, slot)
    with HyperparamTracker(root) as found:
        found.log_run("lstm", {"learning_rate": 0.5}, {"val_mse": 1e-9})
    return root


def test_runs_of_several_slots_are_ranked_by_slot_alone(two_slots):
    found = HyperparamTracker(two_slots)
    rankings = [
        lambda **how: found.get_best_model("val_mse", **how),
        lambda **how: found.get_top_k_models(3, "val_mse", **how),
        lambda **how: found.compare_models(["val_mse"], **how),
        lambda **how: found.get_hyperparameter_impact("lstm", "learning_rate", "val_mse", **how),
        lambda **how: found.generate_report(**how),
    ]
    for ranked in rankings:
        with pytest.raises(UsageError, match=r"2 slots.*us4/D/return, us4/D/volatility"):
            ranked()
        with pytest.raises(NotFoundError, match="us4/D/retrun"):
            ranked(slot="us4/D/retrun")
        ranked(slot="us4/D/return")
    assert len(found.get_top_k_models(9, "val_mse", slot="us4/D/return")) == 2
    # The logged run belongs to the default slot, whose data it has or not.
    assert found.get_best_model("val_mse", slot=projects.SLOT).metrics == {"val_mse": 1e-9}
    # One slot alone has a price.
    assert found.get_best_model("val_pct_mae").metrics["val_pct_mae"] > 0


def test_a_searched_run_has_the_path_of_its_kept_model(two_slots):
    found = [run for run in HyperparamTracker(two_slots).runs if len(run.hyperparams) > 1]
    paths = [run.checkpoint_path for run in found if run.checkpoint_path]
    assert (len(found), len(paths)) == (4, 2)
    best = HyperparamTracker(two_slots).get_best_model("val_mse", slot="us4/D/return")
    model = podium.load_model(best.checkpoint_path)
    assert (model.manifest["slot"], model.manifest["config"]) == ("us4/D/return", best.hyperparams)


def test_runs_on_other_data_than_the_newest_are_left_out_with_a_warning(two_slots, tmp_path):
    root = shutil.copytree(two_slots, tmp_path / "copy")
    for path in (root / "data" / "us4").glob("*.csv"):
        head, *bars = path.read_text().splitlines(keepends=True)
        path.write_text(head + "".join(bars[20:]))
    with open_project(root) as project:
        tune(project, "us4/D/return")
    found = HyperparamTracker(root)
    with pytest.warns(UserWarning, match="2 runs on other data"):
        assert len(found.get_top_k_models(9, "val_mse", slot="us4/D/return")) == 2


def test_the_report_has_the_headings_people_look_for_and_is_written(tracker, tmp_path, monkeypatch):
    tracker.log_run(
        "toto",
        {"patch_size": 32, "learning_rate": 3e-4},
        {"val_pct_mae": 0.7208, "test_pct_mae": 2.2374, "val_r2": -85.04},
        checkpoint_path=tmp_path / "best" / "rank1.pt",
    )
    tracker.log_run("toto", {}, {"val_pct_mae": 0.9})
    tracker.log_run("kronos", {}, {"val_loss": 0.5, "test_loss": 0.1})
    tracker.log_run("naive", {}, {})
    monkeypatch.chdir(tmp_path)
    report = tracker.generate_report("reports/sweep_report.md")
    assert (tmp_path / "reports" / "sweep_report.md").read_text(encoding="utf-8") == report
    assert report.startswith("# Hyperparameter Sweep Report\n\nGenerated: 20")
    assert "\n\nTotal runs: 4\n\n## Best Models by Type (val_pct_mae)\n\n### KRONOS\n" in report
    toto = report.partition("### TOTO\n")[2]
    run_id = tracker.runs[0].run_id
    assert toto == (
        f"- Run ID: {run_id}\n"
        "- Val pct_MAE: 0.7208\n"
        "- Test pct_MAE: 2.2374\n"
        "- Val R²: -85.04\n"
        f"- Checkpoint: {tmp_path}/best/rank1.pt\n"
        "- Hyperparams: {\n"
        '    "learning_rate": 0.0003,\n'
        '    "patch_size": 32\n'
        "  }\n"
    )
    kronos = report.partition("### KRONOS\n")[2].partition("###")[0]
    assert "- Judged by: val_loss (no run has val_pct_mae)\n- Val loss: 0.5\n" in kronos
    naive = report.partition("### NAIVE\n")[2].partition("###")[0]
    assert naive.startswith("- None of its runs (1) has a metric with a known direction.")


def test_words_of_a_run_cannot_pose_as_a_heading_of_the_report(tracker):
    tracker.log_run("a", {"x\n# y": "\n# z"}, {"val_mae\n# x": 1.0, "val_mae": 2.0}, notes="n\n# F")
    headings = [line for line in tracker.generate_report().splitlines() if line.startswith("#")]
    assert headings == [
        "# Hyperparameter Sweep Report",
        "## Best Models by Type (val_mae)",
        "### A",
    ]


# The project's other runs, and its notes.


def test_a_dated_note_is_part_of_a_runs_notes(tracker, tmp_path):
    run_id = tracker.log_run("toto", {}, {"val_pct_mae": 1.0}, notes="as logged")
    tracker.close()
    with open_project(tmp_path) as project:
        note(project, run_id, "better than it looks")
    [run] = tracker.runs
    assert run.notes.startswith("as logged\n[20")
    assert run.notes.endswith("] better than it looks")
    assert tracker.get_best_model().notes == run.notes
    assert told(tmp_path)[0]["notes"] == run.notes


def test_logged_configs_count_for_the_slots_searches(tmp_path):
    root = projects.small_project(tmp_path / "small")
    with HyperparamTracker(root) as tracker:
        tracker.log_run("lstm", {"lstm_units": 64}, {"val_mse": 0.5})
    [row] = projects.query(root, "SELECT slot FROM study")
    assert row["slot"] == projects.SLOT


# Together and cut off.


@pytest.mark.slow
def test_four_processes_that_begin_with_nothing_and_log_at_once_lose_nothing(tmp_path):
    program = """
import sys
from podium import HyperparamTracker
path, worker = sys.argv[1:]
with HyperparamTracker(path) as tracker:
    for n in range(25):
        tracker.log_run(f"m{worker}", {"n": n}, {"val_pct_mae": n})
"""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path / FILE, str(worker)], stderr=subprocess.PIPE
        )
        for worker in range(4)
    ]
    said = b"".join(worker.communicate(timeout=120)[1] for worker in workers)
    assert [worker.returncode for worker in workers] == [0] * 4, said
    # One of them made the project, and only that one says so.
    assert said.count(b"\n") == 1, said
    tracker = HyperparamTracker(tmp_path / FILE)
    assert {(run.model_name, run.hyperparams["n"]) for run in tracker.runs} == {
        (f"m{worker}", n) for worker in range(4) for n in range(25)
    }
    assert len({run.run_id for run in tracker.runs}) == 100
    assert len(told(tmp_path)) == 100
    assert len(projects.query(tmp_path, "SELECT * FROM project")) == 1


def test_threads_share_a_tracker(tracker, tmp_path):
    ids = []

    def work(name):
        ids.extend(tracker.log_run(name, {"n": n}, {"val_pct_mae": n}) for n in range(20))

    threads = [threading.Thread(target=work, args=(f"m{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 80
    assert {run.run_id for run in tracker.runs} == set(ids)
    tracker.close()
    assert len(told(tmp_path)) == 80


@pytest.mark.slow
def test_a_forked_child_logs_on_a_connection_of_its_own(tracker, tmp_path):
    tracker.log_run("parent", {}, {})
    program = f"""
import os, sys
from podium import HyperparamTracker
tracker = HyperparamTracker({str(tmp_path / FILE)!r})
tracker.log_run("before", {{}}, {{}})
child = os.fork()
if child == 0:
    tracker.log_run("child", {{}}, {{}})
    tracker.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
tracker.log_run("after", {{}}, {{}})
"""
    tracker.close()
    python(program)
    names = [run.model_name for run in tracker.runs]
    assert names == ["parent", "before", "child", "after"]
    assert [run["model_name"] for run in told(tmp_path)] == names


def test_a_tracker_can_be_sent_to_another_process(tracker):
    tracker.log_run("toto", {}, {"val_pct_mae": 0.5})
    for other in (pickle.loads(pickle.dumps(tracker)), copy.deepcopy(tracker)):
        assert other.path == tracker.path
        assert len(other.runs) == 1


def test_the_file_is_up_to_date_when_a_program_ends(tmp_path):
    program = f"""
from podium import HyperparamTracker
tracker = HyperparamTracker({str(tmp_path / FILE)!r})
for n in range(50):
    tracker.log_run("toto", {{"n": n}}, {{"val_pct_mae": n}})
"""
    done = python(program)
    assert done.stderr.count("\n") == 1
    assert [run["hyperparams"]["n"] for run in told(tmp_path)] == list(range(50))


def test_a_kill_loses_no_run_and_the_next_look_brings_the_file_up_to_date(tmp_path):
    program = f"""
import os, signal
from podium import HyperparamTracker, tracker as module
module.SHARE = 10**9
tracker = HyperparamTracker({str(tmp_path / FILE)!r})
for n in range(50):
    tracker.log_run("toto", {{"n": n}}, {{"val_pct_mae": n}})
    print(n, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 50
    assert len(told(tmp_path)) == 1
    assert len(HyperparamTracker(tmp_path / FILE).runs) == 50
    assert len(told(tmp_path)) == 50


def test_rewriting_the_file_takes_a_small_part_of_a_programs_time(tracker, tmp_path, monkeypatch):
    from podium.ledger.projections import sweep_results

    real, spent = sweep_results.write, []

    def slow(*arguments, **how):
        started = time.monotonic()
        time.sleep(0.02)
        found = real(*arguments, **how)
        spent.append(time.monotonic() - started)
        return found

    monkeypatch.setattr(sweep_results, "write", slow)
    # The first call makes the project and imports what it needs.
    tracker.log_run("toto", {}, {})
    spent.clear()
    started = time.monotonic()
    for _ in range(100):
        tracker.log_run("toto", {}, {})
    took = time.monotonic() - started
    assert sum(spent) <= took / 20 + 2 * max(spent, default=0)
    assert len(spent) < 50
    monkeypatch.undo()
    tracker.close()
    assert len(told(tmp_path)) == 101


def test_a_run_counts_even_when_its_file_cannot_be_written(tracker, tmp_path, capsys):
    tracker.log_run("toto", {}, {})
    tracker.close()
    (tmp_path / FILE).unlink()
    (tmp_path / "hyperparams").rmdir()
    (tmp_path / "hyperparams").write_text("in the way")
    again = HyperparamTracker(tmp_path)
    run_id = again.log_run("toto", {}, {})
    assert run_id in [run.run_id for run in again.runs]
    again.close()
    assert (
        f"{tmp_path / FILE} cannot be written: file exists. Expected a folder hyperparams"
        in capsys.readouterr().err
    )


def test_a_damaged_file_in_a_project_is_a_warning_and_is_not_said_with_every_run(tmp_path, capsys):
    root = init.init(tmp_path / "mine")
    (root / "hyperparams").mkdir()
    (root / FILE).write_text("{")
    tracker = HyperparamTracker(root)
    said = capsys.readouterr().err
    assert "podium has no earlier version of it" in said
    for _ in range(20):
        tracker.log_run("toto", {}, {})
        time.sleep(0.01)
    assert len(tracker.runs) == 20
    assert capsys.readouterr().err.count("no earlier version") == 1
    tracker.close()
    assert (root / FILE).read_text() == "{"
    (root / FILE).unlink()
    HyperparamTracker(root).close()
    assert len(told(root)) == 20


def test_reading_imports_neither_database_library_nor_pandas(tracker, tmp_path):
    tracker.log_run("toto", {}, {"val_pct_mae": 0.5})
    tracker.close()
    program = f"""
import sys
from podium import HyperparamTracker
tracker = HyperparamTracker({str(tmp_path / FILE)!r})
assert len(tracker.runs) == 1
assert tracker.get_best_model().metrics["val_pct_mae"] == 0.5
assert tracker.get_top_k_models(3)
heavy = {{"sqlalchemy", "pandas", "scipy", "torch", "optuna", "mlflow"}} & {{*sys.modules}}
assert not heavy, heavy
"""
    python(program)


def test_it_is_a_public_name():
    assert podium.HyperparamTracker is HyperparamTracker
    assert isinstance(HyperparamTracker.compare_models.__doc__, str)
    assert pd.DataFrame is not None


@pytest.mark.slow
def test_a_tracker_on_a_server_answers_as_one_on_a_file_does(tmp_path, database):
    root = init.init(tmp_path / "mine")
    with (root / "podium.toml").open("a") as handle:
        handle.write(f'[ledger]\nurl = "{database}"\n')
    (root / "hyperparams").mkdir()
    (root / FILE).write_text(json.dumps({"runs": [RUN]}))
    with HyperparamTracker(root) as tracker:
        assert [run.run_id for run in tracker.runs] == [RUN["run_id"]]
        ids = logged(tracker, math.nan, 0.5, math.inf, 0.3, -math.inf)
        tracker.log_run("kronos", {"lr": 0.1, "nan": math.nan}, {"val_r2": 1.0})
        assert [run.run_id for run in tracker.get_top_k_models(9)] == [
            ids[3],
            ids[1],
            RUN["run_id"],
        ]
        assert len(tracker.compare_models()) == 7
        assert tracker.get_hyperparameter_impact("kronos", "lr", "val_r2")["lr"].tolist() == [0.1]
        with open_project(root) as project:
            note(project, ids[3], "good")
        assert tracker.get_best_model().notes.endswith("] good")
    assert told(root)[0] == RUN
    assert math.isnan(told(root)[1]["metrics"]["val_pct_mae"])
    assert len(told(root)) == 7
    before = (root / FILE).stat()
    HyperparamTracker(root).close()
    assert (root / FILE).stat() == before
