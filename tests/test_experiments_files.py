"""The users' files of grids: the log, the best config, the active model."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import projects
from looped import rest_slow
from mlflow_places import in_child
from podium.ledger import outbox, reads, writes
from podium.ledger.projections import experiments
from podium.resolve import get_active_model_path
from podium.steps.search.grid import grid
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from podium.trial import State
from projects import SLOT, configure, query, small_project

RETURN = "us4/D/return"
TWO_SLOTS = {RETURN: {**projects.SMALL["slots"][SLOT], "target": "log_return", "signal": "sign"}}
VALUES = {"learning_rate": [0.001, 0.01]}
# The snippet users have in their notebooks, word for word.
NOTEBOOK = """\
import json
import pandas as pd
from pathlib import Path

project_root = Path().resolve().parent
log_path = project_root / "experiments" / "experiments_log.jsonl"

records = []
with log_path.open("r", encoding="utf-8") as f:
    for line in f:
        if line.strip():
            records.append(json.loads(line))

df = pd.DataFrame(records)
df_grid = df[df["phase"] == "grid_search_initial"]

# Show best few configs by validation loss
cols = ["final_val_loss", "timestamp", "model_path", "config"]
print(df_grid[cols].sort_values("final_val_loss").head(10))
"""
# What the older system appended.
OLD = {
    "phase": "grid_search_initial",
    "timestamp": "2025-11-12T03:05:00",
    "config": {"learning_rate": 0.0003, "lstm_units": 64, "batch_size": 32},
    "final_val_loss": 0.0125,
    "model_path": "models/registry/my_lstm_model_20251112.keras",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project after one grid of two configs, with a second slot that nobody looked at."""
    root = small_project(tmp_path_factory.mktemp("files") / "small", slots=TWO_SLOTS)
    run_grid(root)
    return root


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied")


def run_grid(root, values=None, slot=SLOT):
    with open_project(root) as project:
        return grid(project, slot, values or VALUES)


def log_of(root):
    return root / "experiments" / "experiments_log.jsonl"


def lines_of(root):
    """The log as a strict reader sees it: every line that is not blank must be one object."""
    lines = log_of(root).read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_constant=pytest.fail) for line in lines if line.strip()]


def ids(root):
    return [line.get("id") for line in lines_of(root)]


def catch_up(root):
    """What every step does when it ends; returns what was said."""
    said = []
    with open_project(root) as project:
        experiments.write(project.ledger, root, SLOT, say=said.append)
    return said


def best_config(root, place="experiments"):
    return json.loads((root / place / "best_config.json").read_text())


def pointer(root):
    return (root / "models" / "active_model.txt").read_text()


def append(root, *lines, end="\n"):
    log_of(root).parent.mkdir(exist_ok=True)
    with log_of(root).open("a", encoding="utf-8") as handle:
        handle.write("\n".join(json.dumps(line) for line in lines) + end)


def end_trials(root, count, **how):
    """Let trials nobody trained end in the record, without what a step does afterwards."""
    ledger = projects.open_ledger(root, "p-small")
    with ledger.transaction() as tx:
        study = writes.put_study(tx, SLOT, {"question": 1})
        keys = [projects.new_trial(number).key for number in range(count)]
        new = [writes.NewTrial(key, "grid", n, "mse", named=True) for n, key in enumerate(keys)]
        names = writes.start_trials(tx, study, new, "e" * 64)
    for name in names:
        with ledger.transaction(durable=True) as tx:
            ended = projects.ended(name, **how)
            writes.end_trial(tx, ended, metric="mse", index_hash=None)
    ledger.close()
    return names


def old_model(root, name="my_lstm_model_20251112.keras"):
    path = root / "models" / "registry" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not podium's")
    return path


# What is in the log


def test_each_run_and_each_grid_is_one_line_with_the_fields_users_read(finished):
    *runs, summary = lines_of(finished)
    assert [line["phase"] for line in runs] == ["grid_search_initial"] * 2
    for line in runs:
        assert {"learning_rate", "lstm_units", "batch_size"} <= line["config"].keys()
        assert math.isfinite(line["final_val_loss"])
        assert Path(line["model_path"]).is_file()
        assert line["timestamp"].endswith("Z")
        assert line["podium"] == 1
        [row] = query(finished, "SELECT * FROM trial WHERE id = ?", line["id"])
        assert row["score"] == line["final_val_loss"]
        assert row["run_id"] == line["run_id"]
    best = min(runs, key=lambda line: line["final_val_loss"])
    assert summary["phase"] == "grid_search_initial_summary"
    assert (summary["num_runs"], summary["num_trained"]) == (2, 2)
    assert summary["best_final_val_loss"] == best["final_val_loss"]
    assert summary["best_config"] == best["config"]
    assert summary["best_model_path"] == best["model_path"]


def test_the_users_notebook_runs_unchanged_from_its_folder(finished):
    folder = finished / "notebooks"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], cwd=folder, capture_output=True, text=True, check=True
    )
    shown = done.stdout.splitlines()
    assert "final_val_loss" in shown[0]
    assert "[2 rows x 4 columns]" in shown
    losses = sorted(line["final_val_loss"] for line in lines_of(finished)[:2])
    assert [float(row.split()[1]) for row in shown[1:3]] == pytest.approx(losses, abs=1e-6)


def test_the_same_grid_again_adds_a_summary_and_nothing_else(copied):
    before = lines_of(copied)
    run_grid(copied)
    *same, summary = lines_of(copied)
    assert same == before
    assert summary["phase"] == "grid_search_initial_summary"
    assert (summary["num_runs"], summary["num_trained"]) == (2, 0)


def test_trials_of_a_search_are_logged_under_their_own_phase_and_folds_are_not(copied):
    with open_project(copied) as project:
        tune(project, SLOT)
    found = lines_of(copied)[3:]
    assert [line["phase"] for line in found] == ["tune"] * 4
    assert all(line["model_path"] is None for line in found)
    assert "phase" not in {line["family"] for line in found}
    assert {line["family"] for line in found} == {"lstm"}


def test_a_failed_run_is_logged_without_a_loss(copied):
    [id_] = end_trials(copied, 1, state=State.FAILED, score=math.inf, reason="diverged")
    catch_up(copied)
    line = lines_of(copied)[-1]
    assert line["id"] == id_
    assert (line["state"], line["final_val_loss"]) == ("failed", None)


# Crashes and others' hands


def test_a_deleted_log_is_written_again_from_the_record(finished, copied):
    before = log_of(copied).read_bytes()
    append(copied, OLD)
    catch_up(copied)
    run_grid(copied, {"learning_rate": [0.02]})
    whole = log_of(copied).read_bytes()
    assert whole.startswith(before)
    log_of(copied).unlink()
    catch_up(copied)
    # Two of its models were at another place when their lines were first written.
    models, elsewhere = str(copied / "models").encode(), str(finished / "models").encode()
    assert log_of(copied).read_bytes() == whole.replace(elsewhere, models)


def test_a_truncated_log_gets_back_what_it_lost(copied):
    whole = lines_of(copied)
    text = log_of(copied).read_bytes()
    log_of(copied).write_bytes(text[: len(text) // 2])
    catch_up(copied)
    assert sorted(ids(copied)) == sorted(line["id"] for line in whole)


def test_a_moved_project_doubles_no_line(finished, tmp_path):
    root = shutil.copytree(finished, tmp_path / "moved")
    before = log_of(root).read_bytes()
    catch_up(root)
    assert log_of(root).read_bytes() == before


def killed_at(root, how):
    """A forked process that is killed when it wrote so many bytes, or all of them."""
    real, calls = os.write, []

    def die(*arguments, **named):
        os.kill(os.getpid(), signal.SIGKILL)

    def torn(descriptor, data):
        calls.append(data)
        if len(calls) < 2:
            return real(descriptor, data)
        real(descriptor, data[: int(how)])
        return die()

    def work():
        if how.isdigit():
            experiments.os.write = torn
        else:
            experiments.outbox.advance = die
        with open_project(root) as project:
            assert project.ledger

    return in_child(work)


@pytest.mark.parametrize("how", rest_slow(["40", "before it was noted", "1", "200"], fast=2))
def test_a_log_whose_writer_was_killed_has_every_line_whole_and_once(copied, how):
    before = log_of(copied).read_bytes()
    names = end_trials(copied, 3)
    assert killed_at(copied, how) == -signal.SIGKILL
    torn = log_of(copied).read_bytes()
    assert torn.endswith(b"\n") == (not how.isdigit())
    said = catch_up(copied)
    assert log_of(copied).read_bytes().startswith(before)
    assert ids(copied)[3:] == names
    # What can be told to be podium's own is in the record, and is not kept aside.
    assert log_of(copied).with_suffix(".torn").exists() == bool(said) == (how == "1")


def test_a_torn_line_of_somebody_else_is_kept_aside_and_hides_nothing(copied):
    before = lines_of(copied)
    append(copied, OLD, end="\n")
    with log_of(copied).open("a") as handle:
        handle.write('{"phase": "grid_search_initial", "config": {"learning_ra')
    os.utime(log_of(copied), (1, 1))
    [told, *_] = catch_up(copied)
    assert "kept in experiments/experiments_log.torn" in told
    assert "learning_ra" in log_of(copied).with_suffix(".torn").read_text()
    run_grid(copied, {"learning_rate": [0.02]})
    found = lines_of(copied)
    assert found[: len(before) + 1] == [*before, OLD]
    assert [line["phase"] for line in found[len(before) + 1 :]] == [
        "grid_search_initial",
        "grid_search_initial_summary",
    ]


def test_a_whole_line_after_a_torn_one_is_found(copied):
    before = lines_of(copied)
    with log_of(copied).open("a") as handle:
        handle.write('{"phase": "grid_search_ini' + json.dumps(OLD) + "\n")
    catch_up(copied)
    assert lines_of(copied) == [*before, OLD]
    assert len(query(copied, "SELECT id FROM trial WHERE origin LIKE 'import:%'")) == 1


def test_words_that_are_no_line_of_a_log_are_left_alone_and_told(copied):
    text = log_of(copied).read_text()
    log_of(copied).write_text(text + "# cleaned up on Friday\n")
    [told] = catch_up(copied)
    assert "line 4" in told
    assert log_of(copied).read_text() == text + "# cleaned up on Friday\n"


def test_a_line_that_is_being_written_is_waited_for(copied):
    text = json.dumps(OLD) + "\n"
    with log_of(copied).open("a") as handle:
        handle.write(text[:30])
        handle.flush()
        finish = threading.Timer(0.1, lambda: (handle.write(text[30:]), handle.flush()))
        finish.start()
        said = catch_up(copied)
        finish.join()
    catch_up(copied)
    assert said == []
    assert lines_of(copied)[-1] == OLD


def test_what_others_logged_is_imported_before_anything_is_appended_and_stays_in_place(tmp_path):
    root = small_project(tmp_path / "small")
    other = {**OLD, "final_val_loss": 0.5, "note": "übung"}
    append(root, OLD, {"phase": "grid_search_initial_summary", "num_runs": 1}, other)
    before = log_of(root).read_bytes()
    run_grid(root)
    assert log_of(root).read_bytes().startswith(before)
    found = query(root, "SELECT * FROM trial WHERE origin LIKE 'import:%' ORDER BY seq")
    assert [json.loads(row["config"]) for row in found] == [OLD["config"]] * 2
    assert {row["dataset_fingerprint"] for row in found} == {""}
    append(root, {**OLD, "final_val_loss": 0.7})
    catch_up(root)
    again = query(root, "SELECT DISTINCT origin FROM trial WHERE origin LIKE 'import:%'")
    assert len(again) == 1
    assert len(query(root, "SELECT id FROM trial WHERE origin LIKE 'import:%'")) == 3
    catch_up(root)
    assert len(lines_of(root)) == 3 + 3 + 1


def test_a_line_without_its_line_end_is_closed_and_not_run_into(copied):
    append(copied, OLD, end="")
    run_grid(copied, {"learning_rate": [0.02]})
    found = lines_of(copied)
    assert OLD in found
    assert len(found) == 3 + 1 + 2


def test_a_file_in_the_way_fails_no_step(tmp_path):
    root = small_project(tmp_path / "small")
    (root / "experiments").write_text("a file, not a folder")
    reporter = projects.Interrupting(1000)
    with open_project(root, reporter=reporter) as project:
        assert grid(project, SLOT, {"learning_rate": [0.01]}).trained == 1
    assert any("experiments" in text for text in reporter.said)
    (root / "experiments").unlink()
    catch_up(root)
    assert len(lines_of(root)) == 2


GRID = "import sys; from podium.cli.main import run; sys.exit(run(sys.argv[1:]))"


@pytest.mark.slow
def test_two_grids_at_once_leave_every_line_whole_and_once(tmp_path):
    root = small_project(tmp_path / "small", slots=TWO_SLOTS)
    open_project(root).__enter__().ledger.close()
    words = ["grid", "--set", "learning_rate=0.001,0.002,0.005,0.01", "--quiet"]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", GRID, *words, slot], cwd=root, stdout=subprocess.DEVNULL
        )
        for slot in (SLOT, RETURN)
    ]
    assert [process.wait() for process in started] == [0, 0]
    found = lines_of(root)
    assert len(found) == len(set(ids(root))) == 2 * (4 + 1)
    for slot in (SLOT, RETURN):
        assert sum(line["slot"] == slot for line in found) == 5
    assert best_config(root)["slot"] == SLOT
    assert best_config(root, f"slots/{RETURN}/experiments")["slot"] == RETURN
    assert get_active_model_path(root, slot=RETURN).is_file()


@pytest.mark.slow
def test_a_record_on_a_server_gives_the_same_files(tmp_path, database):
    root = small_project(tmp_path / "small", ledger={"url": database})
    append(root, OLD)
    found = run_grid(root)
    assert [line["phase"] for line in lines_of(root)] == [
        *["grid_search_initial"] * 3,
        "grid_search_initial_summary",
    ]
    assert best_config(root)["id"] == found.best.id
    log_of(root).unlink()
    (root / "models" / "active_model.txt").unlink()
    assert catch_up(root) == []
    assert lines_of(root)[0] == OLD
    assert len(set(ids(root))) == 4
    assert pointer(root).strip().endswith(found.best.checkpoint)


# The best config and the active model


def test_the_best_config_has_the_form_users_know(finished):
    best = min(lines_of(finished)[:2], key=lambda line: line["final_val_loss"])
    told = best_config(finished)
    assert list(told)[:3] == ["final_val_loss", "config", "model_path"]
    assert all(told[name] == best[name] for name in list(told)[:3])
    assert told["podium"] == 1
    assert pointer(finished) == told["model_path"] + "\n"


def test_a_worse_grid_leaves_both_files_as_they_are(copied):
    catch_up(copied)
    files = [copied / "experiments" / "best_config.json", copied / "models" / "active_model.txt"]
    before = [(path.read_bytes(), path.stat().st_ino) for path in files]
    run_grid(copied, {"learning_rate": [1e-6]})
    # Not even written again.
    assert [(path.read_bytes(), path.stat().st_ino) for path in files] == before


def test_a_grid_on_other_data_starts_a_new_comparison(copied):
    before = best_config(copied)
    configure(copied, slots=TWO_SLOTS, datasets={"us4": {"adjust": False}})
    found = run_grid(copied, {"learning_rate": [1e-6]})
    assert found.best.score > before["final_val_loss"]
    assert best_config(copied)["id"] == found.best.id


def test_when_new_data_leave_nothing_comparable_the_old_pointer_stays_with_a_warning(copied):
    catch_up(copied)
    before = pointer(copied)
    configure(copied, slots=TWO_SLOTS, datasets={"us4": {"adjust": False}})
    reporter = projects.Interrupting(1000)
    with open_project(copied, reporter=reporter, settings={"tune.trials": 1}) as project:
        tune(project, SLOT)
    assert pointer(copied) == before
    [told] = [text for text in reporter.said if text.startswith("warning")]
    assert f"podium grid {SLOT}" in told
    assert catch_up(copied) == []


def test_a_run_whose_model_is_gone_never_wins(copied):
    catch_up(copied)
    runs = sorted(lines_of(copied)[:2], key=lambda line: line["final_val_loss"])
    gone = Path(best_config(copied)["model_path"])
    shutil.rmtree(gone.parents[1])
    catch_up(copied)
    assert best_config(copied)["id"] == runs[1]["id"]
    kept = pointer(copied)
    shutil.rmtree(Path(best_config(copied)["model_path"]).parents[1])
    [told] = catch_up(copied)
    assert "no run of its last grid has a model" in told
    assert pointer(copied) == kept
    assert catch_up(copied) == []


@pytest.mark.parametrize("score", rest_slow([math.nan, -math.inf], fast=1))
def test_a_loss_that_is_not_finite_never_wins(copied, score):
    found = run_grid(copied, {"learning_rate": [1e-6]})
    with open_project(copied) as project, project.ledger.transaction() as tx:
        tx.connection.exec_driver_sql(
            "UPDATE trial SET score = ? WHERE id = ?",
            (None if math.isnan(score) else score, found.best.id),
        )
        outbox.advance(tx, "active_model", 0, "")
    (copied / "models" / "active_model.txt").unlink()
    append(copied, {"phase": "a note"})
    catch_up(copied)
    assert best_config(copied)["id"] != found.best.id


def test_files_of_a_moved_project_name_the_new_place(finished, tmp_path):
    root = shutil.copytree(finished, tmp_path / "moved")
    # Before any step, the old path is read for what it means here.
    assert get_active_model_path(root).is_relative_to(root)
    catch_up(root)
    assert Path(pointer(root).strip()).is_relative_to(root)
    assert Path(best_config(root)["model_path"]).is_file()


def test_a_pointer_changed_by_hand_stays_until_a_grid_has_a_new_best(copied):
    catch_up(copied)
    other = max(lines_of(copied)[:2], key=lambda line: line["final_val_loss"])["model_path"]
    mine = str(copied / other.partition("/small/")[2])
    (copied / "models" / "active_model.txt").write_text(mine + "\n")
    run_grid(copied, {"learning_rate": [1e-6]})
    assert pointer(copied) == mine + "\n"
    found = run_grid(copied, {"learning_rate": [0.02], "lstm_units": [16]})
    assert pointer(copied).strip().endswith(found.best.checkpoint)


def test_a_lost_pointer_is_written_again(copied):
    catch_up(copied)
    before = pointer(copied)
    (copied / "models" / "active_model.txt").unlink()
    (copied / "experiments" / "best_config.json").unlink()
    catch_up(copied)
    assert pointer(copied) == before
    assert best_config(copied)["model_path"] == before.strip()


def test_imported_runs_lead_until_there_is_a_grid_of_podiums_own(tmp_path):
    root = small_project(tmp_path / "small")
    gone = {**OLD, "final_val_loss": 0.001, "model_path": "models/registry/lost.keras"}
    append(root, {**OLD, "final_val_loss": float("nan")}, gone, OLD)
    path = old_model(root)
    with open_project(root, settings={"tune.trials": 1}) as project:
        tune(project, SLOT)
    assert best_config(root)["final_val_loss"] == OLD["final_val_loss"]
    assert best_config(root)["config"] == OLD["config"]
    assert pointer(root) == f"{path}\n"
    # Its loss is far lower, but nobody knows on what data.
    found = run_grid(root)
    assert found.best.score > OLD["final_val_loss"]
    assert best_config(root)["id"] == found.best.id


def test_an_older_systems_pointer_is_replaced_only_by_a_grid(tmp_path):
    root = small_project(tmp_path / "small")
    append(root, OLD)
    old_model(root)
    (root / "models" / "active_model.txt").write_text("models/registry/chosen.keras\n")
    with open_project(root, settings={"tune.trials": 1}) as project:
        tune(project, SLOT)
    assert pointer(root) == "models/registry/chosen.keras\n"
    reporter = projects.Interrupting(1000)
    with open_project(root, reporter=reporter) as project:
        found = grid(project, SLOT, VALUES)
    assert pointer(root).strip().endswith(found.best.checkpoint)
    assert any("chosen.keras" in text for text in reporter.said)


def test_old_environment_names_say_where_models_and_the_pointer_are(tmp_path, monkeypatch):
    root = small_project(tmp_path / "small")
    monkeypatch.setenv("MODEL_REGISTRY_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("ACTIVE_MODEL_PATH_FILE", "state/active.txt")
    found = run_grid(root)
    assert Path(found.best.checkpoint).is_relative_to(tmp_path / "elsewhere")
    assert (root / "state" / "active.txt").read_text().strip() == found.best.checkpoint
    assert get_active_model_path(root) == Path(found.best.checkpoint)
    assert not (root / "models" / "active_model.txt").exists()


def test_writing_what_is_up_to_date_changes_nothing(copied):
    catch_up(copied)

    def state():
        files = [p for p in copied.rglob("*") if p.is_file() and "podium.db" not in p.name]
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in files}, projects.query(
            copied, "SELECT * FROM projection ORDER BY target"
        )

    before = state()
    catch_up(copied)
    assert state() == before
    with open_project(copied) as project, project.ledger.reading() as tx:
        assert len(reads.trials_by_id(tx, ids(copied))) == 2
