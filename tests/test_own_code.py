"""Own code as a trial: commands and functions that are searched over, and what is kept of them."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import podium
from podium.cli.main import run
from podium.errors import NotFoundError, UsageError
from podium.hashing import canonical
from podium.own import Code, rendered
from podium.reporting import Paused
from podium.runners._output import LOG_BYTES, OutputTail, ReportLines
from podium.runners.inline import InlineRunner
from podium.runners.local import LocalRunner
from podium.space import Choice, Float, Int
from podium.split import Fold
from podium.steps.archive import init
from podium.steps.data import own_code
from podium.steps.search.own import search, sweep_command
from podium.steps.workspace.session import open_project
from podium.trial import Job, State, Task
from projects import Interrupting, Saying, query

LR = {"lr": {"low": 0.001, "high": 0.1, "log": True}}
# What a training in a few milliseconds says: the last line counts.
ENDS = """
    import argparse, json
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    print(json.dumps({"val_loss": abs(parser.parse_args().lr - 0.02)}))
"""
REPORTS = """
    import argparse, podium
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    lr = parser.parse_args().lr
    for epoch, bend in enumerate((3, 1, 2), 1):
        podium.report(epoch, val_loss=lr * bend, accuracy=bend / 3)
"""


@pytest.fixture
def root(tmp_path):
    return init.init(tmp_path / "mine")


def script(root, text, name="train.py"):
    (root / name).write_text(textwrap.dedent(text), encoding="utf-8")


def swept(root, command=None, space=LR, *, metric="val_loss", trials=3, reporter=None, **more):
    flags = {"tune.trials": trials, "tune.generation": 2, "tune.search": "random"}
    flags["runner.name"] = more.pop("runner", "inline")
    flags["runner.jobs"] = more.pop("jobs", 1)
    command = command or f"{shlex.quote(sys.executable)} train.py {{args}}"
    with open_project(root, settings=flags, reporter=reporter) as project:
        return sweep_command(project, command, space, metric, **more)


def asked(text):
    """A command that runs a program of one line."""
    program = textwrap.dedent(text).replace("{", "{{").replace("}", "}}")
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {{args}}"


def curve(root, trial_id, metric, part="val"):
    rows = query(
        root,
        "SELECT epoch, value FROM score WHERE trial_id = ? AND part = ? AND metric = ? "
        "ORDER BY epoch",
        trial_id,
        part,
        metric,
    )
    return {row["epoch"]: row["value"] for row in rows}


def reason(root, text, *, metric="val_loss", **more):
    """Why the one trial of a program fails."""
    with pytest.raises(NotFoundError) as refused:
        swept(root, asked(text), {"x": 1}, metric=metric, trials=1, name="failing", **more)
    [row] = query(root, "SELECT reason, state, score FROM trial WHERE family = 'failing'")
    assert (row["state"], row["score"]) == ("failed", None)
    assert "podium show t-" in str(refused.value)
    return row["reason"]


# What a command is told


def test_a_command_is_told_its_config_in_every_way_there_is(root):
    script(
        root,
        """
        import json, os, sys
        told = dict(word.split("=", 1) for word in sys.argv[1:])
        told["file"] = json.load(open(told["config"]))
        told["env"] = {k: v for k, v in os.environ.items() if k.startswith("PODIUM_")}
        told["cwd"] = os.getcwd()
        open(os.path.join(os.environ["PODIUM_FOLDER"], "told.json"), "w").write(json.dumps(told))
        print('{"val_loss": 1}')
        """,
    )
    words = "config={config} lr={lr} seed={seed} trial={trial} folder={folder} brace={{}}"
    command = f"{shlex.quote(sys.executable)} train.py {words}"
    found = swept(root, command, {"lr": 0.5, "units": [16, 32]}, trials=1)
    [row] = found.trials
    told = json.loads((root / row.checkpoint).read_text())
    assert told["lr"] == "0.5"
    assert told["brace"] == "{}"
    assert told["file"] == row.config == json.loads(told["env"]["PODIUM_CONFIG"])
    assert told["seed"] == told["env"]["PODIUM_SEED"] == str(row.seed) == "7"
    assert told["trial"] == told["env"]["PODIUM_TRIAL"] == row.id
    assert told["folder"] == told["env"]["PODIUM_FOLDER"]
    assert Path(told["cwd"]) == root


def test_values_with_spaces_quotes_and_other_alphabets_arrive_as_they_are(root):
    values = ["a b", "it's", '"', "größe 大", "$HOME", "{x}", "-v"]
    program = """
        import json, os, sys
        assert sys.argv[1:3] == ["--word", json.loads(os.environ["PODIUM_CONFIG"])["word"]]
        print(sys.argv[2]); print('{"val_loss": 1}')
    """
    found = swept(root, asked(program), {"word": values}, trials=7)
    assert [row.state for row in found.trials] == [State.COMPLETE] * 7
    for row in found.trials:
        log = (root / row.checkpoint).read_text(encoding="utf-8")
        assert log == f'{row.config["word"]}\n{{"val_loss": 1}}\n'


@given(st.dictionaries(st.from_regex(r"[a-z]+", fullmatch=True), st.text() | st.integers()))
def test_a_config_is_put_into_a_command_word_by_word(config):
    words = rendered(["p", "{args}", *(f"={{{name}}}=" for name in config)], config, {})
    given_to = [str(v) for v in config.values()]
    pairs = zip((f"--{name}" for name in config), given_to, strict=True)
    assert words == ["p", *(w for pair in pairs for w in pair), *(f"={v}=" for v in given_to)]


def test_a_command_has_one_thread_unless_the_user_says_otherwise(root, monkeypatch):
    program = "import json, os; print(json.dumps({'val_loss': int(os.environ['OMP_NUM_THREADS'])}))"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert swept(root, asked(program), {"x": 1}, trials=1).best.score == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert swept(root, asked(program), {"x": 2}, trials=1).best.score == 3


def test_worker_processes_have_the_variables_of_their_caller(root, monkeypatch):
    program = "import json, os; print(json.dumps({'val_loss': float(os.environ['MARK'])}))"
    for mark in (1, 2):
        monkeypatch.setenv("MARK", str(mark))
        swept_now = swept(
            root, asked(program), {"x": [mark, -mark]}, trials=2, runner="local", jobs=2
        )
        assert [row.score for row in swept_now.trials] == [mark, mark]


# What it says


def test_reports_become_a_curve_and_the_best_of_them_the_score(root):
    script(root, REPORTS)
    found = swept(root)
    for row in found.trials:
        lr = row.config["lr"]
        assert row.score == lr
        assert curve(root, row.id, "loss") == {1: lr * 3, 2: lr, 3: lr * 2}
        assert curve(root, row.id, "accuracy", "") == {1: 1.0, 2: 1 / 3, 3: 2 / 3}
        assert found.epochs[row.id] == 2
    assert found.best.score == min(row.score for row in found.trials)
    [row] = query(root, "SELECT * FROM trial WHERE id = ?", found.best.id)
    assert (row["epochs"], row["best_epoch"], row["metric"]) == (3, 2, "val_loss")
    results = query(root, "SELECT metric, value FROM result WHERE trial_id = ?", found.best.id)
    assert {r["metric"]: r["value"] for r in results} == {
        "val_loss": found.best.score,
        "accuracy": 1 / 3,
    }


def test_a_metric_that_is_better_high_is_looked_for_upwards(root):
    program = """
        import sys
        for epoch, bend in enumerate((1, 3, 2)):
            print(f"podium: epoch={epoch} gain={float(sys.argv[2]) * bend} other=1e-3")
    """
    space = {"lr": [0.1, 0.5, 0.2]}
    found = swept(root, asked(program), space, metric="gain", direction="max", trials=3)
    assert (found.best.config["lr"], found.best.score) == (0.5, 1.5)
    assert found.epochs[found.best.id] == 1
    assert found.study.question["direction"] == "max"


def test_epochs_may_be_counted_from_nought(root):
    program = """
        for epoch, loss in enumerate((0.1, 0.3)):
            print(f"podium: epoch={epoch} val_loss={loss} other={epoch}")
    """
    found = swept(root, asked(program), {"x": 1}, trials=1)
    assert (found.best.score, found.epochs[found.best.id]) == (0.1, 0)
    results = query(root, "SELECT metric, value FROM result WHERE trial_id = ?", found.best.id)
    assert {r["metric"]: r["value"] for r in results} == {"val_loss": 0.1, "other": 0.0}


def test_what_is_said_at_the_end_stands_above_the_epochs(root):
    program = """
        print("podium: epoch=1 val_loss=0.1")
        print('{"val_loss": 0.4, "note": "kept out", "done": true, "f1": 0.5}')
    """
    found = swept(root, asked(program), {"x": 1}, trials=1)
    assert found.best.score == 0.4
    assert curve(root, found.best.id, "loss") == {1: 0.1}
    results = query(root, "SELECT metric, value FROM result WHERE trial_id = ?", found.best.id)
    assert {r["metric"]: r["value"] for r in results} == {"val_loss": 0.4, "f1": 0.5}


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(allow_nan=False))), st.randoms())
def test_printed_reports_are_heard_however_they_are_cut(told, random):
    lines = "".join(f"noise\npodium: epoch={epoch} loss={value}\r\n" for epoch, value in told)
    data = lines.encode() + b'{"loss": 1}'
    heard, at = ReportLines(), 0
    while at < len(data):
        step = random.randint(1, 40)
        heard.add(data[at : at + step])
        at += step
    first = {epoch: {"loss": value} for epoch, value in reversed(told)}
    assert heard.final() == {"loss": 1.0}
    assert heard.curve == first
    assert heard.unreadable == ""


def test_a_report_by_hand_does_nothing_and_is_light(tmp_path):
    program = "import podium, sys; podium.report(1, val_loss=0.3); print(*sys.modules)"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PODIUM_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=bare
    )
    assert done.returncode == 0
    assert done.stderr == ""
    heavy = {"numpy", "pandas", "torch", "sqlalchemy", "click", "optuna"}
    assert not heavy & {name.partition(".")[0] for name in done.stdout.split()}
    assert list(tmp_path.iterdir()) == []


def test_report_can_be_called_when_its_package_is_loaded():
    import podium.render.table

    assert podium.report(1, val_loss=0.5) is None


def test_a_report_that_is_none_is_refused_by_hand_too():
    with pytest.raises(UsageError) as refused:
        podium.report(0.5, val_loss="low", f1=1.0)
    told = str(refused.value)
    assert "epoch is 0.5" in told
    assert "val_loss is 'low'" in told
    with pytest.raises(UsageError, match="no metric"):
        podium.report(1)


# How it fails


def test_a_command_that_fails_leaves_its_reason_and_what_it_printed(root):
    told = reason(root, "import sys; print('größe'); sys.stderr.write('it broke\\n'); sys.exit(3)")
    head, printed = told.split("\n", 1)
    assert head == "the command ended with exit code 3; its output ended with:"
    assert sorted(printed.splitlines()) == ["größe", "it broke"]


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import os; os.kill(os.getpid(), 9)", "the command ended with signal SIGKILL"),
        ("print(1)", "it ended without reporting val_loss: podium.report(epoch, val_loss=...)"),
        ("print('{\"val_lost\": 1}')", "without reporting val_loss: did you mean 'val_lost'?"),
        ("print('{\"val_loss\": NaN}')", "val_loss was nan at its end"),
        ("print('podium: epoch=1 val_loss=nan')", "val_loss was nan in every epoch"),
        ("print('podium: epoch=1, val_loss=2')", "'podium: epoch=1, val_loss=2' is not a report"),
    ],
)
def test_a_trial_without_a_score_says_why(root, program, told):
    assert told in reason(root, program)


def test_the_search_goes_on_after_a_failure(root):
    program = """
        import sys
        assert sys.argv[2] != "2", "two is too many"
        print('{"val_loss": %s}' % sys.argv[2])
    """
    found = swept(root, asked(program), {"x": [1, 2, 3]}, trials=3)
    assert [row.config["x"] for row in found.failed] == [2]
    assert "AssertionError: two is too many" in found.failed[0].reason
    assert found.best.config == {"x": 1}


def test_an_output_without_end_is_neither_waited_for_nor_kept_whole(root):
    program = """
        import os
        for n in range(1000):
            os.write(1, b"to the one side\\n" * 1000)
            os.write(2, b"to the other\\n" * 1000)
        print('{"val_loss": 1}')
    """
    found = swept(root, asked(program), {"x": 1}, trials=1)
    log = (root / found.best.checkpoint).read_bytes()
    assert LOG_BYTES <= len(log) < LOG_BYTES + 200
    assert b"bytes before this are not kept]\n" in log[:80]
    assert b'{"val_loss": 1}\n' in log


def test_a_quoted_output_is_as_a_terminal_would_have_left_it():
    tail = OutputTail()
    tail.add(b"\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\n" + b"x\n" * 500 + b"nul \x00 bad \xff\n")
    lines = tail.quoted().split("\n")
    assert len(lines) == 200
    assert lines[-1] == "nul  bad �"
    short = OutputTail()
    short.add(b"\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\n")
    assert short.quoted() == "red\n100%"


def test_a_daemon_that_a_command_leaves_behind_is_ended_with_it(root):
    program = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print('{"val_loss": %d}' % child.pid)
    """
    started = time.monotonic()
    found = swept(root, asked(program), {"x": 1}, trials=1)
    assert time.monotonic() - started < 20
    assert gone(int(found.best.score))


# The record


def test_the_same_search_again_trains_nothing_and_a_longer_one_goes_on(root):
    script(root, ENDS)
    first = swept(root, trials=2)
    again = swept(root, trials=2)
    assert [row.id for row in again.trials] == [row.id for row in first.trials]
    longer = swept(root, trials=4)
    assert [row.id for row in longer.trials][:2] == [row.id for row in first.trials]
    assert longer.study.id == first.study.id
    assert query(root, "SELECT count(*) AS n FROM trial") == [{"n": 4}]


def test_a_config_on_record_is_found_whichever_search_asks_for_it(root):
    script(root, ENDS)
    swept(root, None, {"lr": [0.01, 0.02, 0.03]}, trials=3)
    wider = swept(root, None, {"lr": [0.02, 0.03, 0.04]}, trials=3)
    assert query(root, "SELECT count(*) AS n FROM trial") == [{"n": 4}]
    assert len(wider.trials) == 3


def test_a_version_other_data_and_another_command_are_other_trainings(root):
    script(root, ENDS)
    (root / "rows.csv").write_text("1\n")
    for more in ({}, {"version": 2}, {"files": ["rows.csv"]}):
        swept(root, trials=1, **more)
    (root / "rows.csv").write_text("2\n")
    swept(root, trials=1, files=["rows.csv"])
    swept(root, f"{shlex.quote(sys.executable)} train.py --lr {{lr}}", trials=1)
    assert query(root, "SELECT count(*) AS n FROM trial") == [{"n": 5}]
    names = query(root, "SELECT name, bars FROM dataset")
    assert names == [{"name": "rows.csv", "bars": 1}] * 2


def test_data_are_their_content_and_not_their_place(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / "x.csv").write_text("1")
    one, other = (own_code.files_of([folder], tmp_path) for folder in ("a", "b"))
    assert one.fingerprint == other.fingerprint != ""
    (tmp_path / "b" / "inner" / "x.csv").rename(tmp_path / "b" / "inner" / "y.csv")
    assert own_code.files_of(["b"], tmp_path).fingerprint != one.fingerprint
    with pytest.raises(NotFoundError) as refused:
        own_code.files_of(["a", "c", "d"], tmp_path)
    assert len(refused.value.problems) == 2


def test_another_metric_is_read_from_what_was_reported_and_trains_nothing(root):
    script(root, REPORTS)
    first = swept(root)
    other = swept(root, metric="accuracy")
    assert other.study.id != first.study.id
    assert {row.id for row in other.trials} == {row.id for row in first.trials}
    assert {row.score for row in other.trials} == {1.0}
    assert set(other.epochs.values()) == {1}


def test_a_changed_script_is_reported_and_retrains_nothing(root):
    script(root, ENDS)
    swept(root, trials=2)
    script(root, ENDS + "    # other\n")
    reporter = Saying()
    swept(root, trials=2, reporter=reporter)
    assert reporter.said == [
        "train.py has changed since 2 of the 2 trials on record were trained; these are used, "
        "--version 2 trains them again"
    ]
    assert query(root, "SELECT count(*) AS n FROM trial") == [{"n": 2}]


@pytest.mark.slow
def test_the_study_is_the_same_for_any_number_of_jobs(tmp_path):
    outcomes = []
    for name, more in {"one": {"runner": "inline"}, "two": {"runner": "local", "jobs": 2}}.items():
        root = init.init(tmp_path / name)
        script(root, REPORTS)
        found = swept(root, trials=4, **more)
        outcomes.append([(row.number, row.config, row.seed, row.score) for row in found.trials])
    assert outcomes[0] == outcomes[1]


def test_an_interrupted_search_goes_on_with_the_same_configs(tmp_path):
    whole, cut = init.init(tmp_path / "whole"), init.init(tmp_path / "cut")
    for root in (whole, cut):
        script(root, ENDS)
    expected = [row.config for row in swept(whole, trials=4).trials]
    with pytest.raises(KeyboardInterrupt):
        swept(cut, trials=4, reporter=Interrupting(after=0))
    assert {row["state"] for row in query(cut, "SELECT state FROM trial")} == {
        "complete",
        "interrupted",
    }
    found = swept(cut, trials=4)
    assert [row.config for row in found.trials] == expected
    assert {row.state for row in found.trials} == {State.COMPLETE}


# Processes


def gone(pid, patience=10.0):
    """Whether a process ends soon; one that nobody has taken note of yet has ended."""
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


# Starts a child, writes both process ids down, and stays while a file is there.
LINGERS = """
    import json, os, pathlib, subprocess, sys, time
    pathlib.Path("ran").mkdir(exist_ok=True)
    stay = pathlib.Path("stay")
    if stay.exists():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        path = pathlib.Path("ran", os.environ["PODIUM_TRIAL"])
        path.with_suffix(".new").write_text(json.dumps([os.getpid(), child.pid]))
        path.with_suffix(".new").rename(path)
        while stay.exists():
            time.sleep(0.02)
        child.kill()
    print(json.dumps({"val_loss": float(sys.argv[2])}))
"""


def started(root, count, patience=30.0):
    """Process ids of so many trials, once they have all begun."""
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        found = [p for p in root.glob("ran/*") if not p.suffix]
        if len(found) >= count:
            return [pid for path in found for pid in json.loads(path.read_text())]
        time.sleep(0.02)
    raise AssertionError("no trial has begun")


@pytest.mark.slow
def test_a_killed_driver_takes_its_commands_with_it_and_the_search_goes_on(root):
    script(root, LINGERS)
    (root / "stay").touch()
    words = [
        *(sys.executable, "-m", "podium", "sweep", "--jobs", "2", "--trials", "4", "--quiet"),
        *("--command", f"{shlex.quote(sys.executable)} train.py {{args}}"),
        *("--set", "lr=0.1..0.9", "--metric", "val_loss", "--search", "random"),
    ]
    driver = subprocess.Popen(words, cwd=root, stdout=subprocess.DEVNULL)
    try:
        pids = started(root, 2)
        assert not any(gone(pid, 0.05) for pid in pids)
    finally:
        driver.kill()
        driver.wait()
    assert all(gone(pid) for pid in pids)
    before = query(root, "SELECT id, config FROM trial ORDER BY seq")
    (root / "stay").unlink()
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = query(root, "SELECT id, config, state FROM trial ORDER BY seq")
    assert [{k: row[k] for k in ("id", "config")} for row in after][: len(before)] == before
    assert [row["state"] for row in after] == ["complete"] * 4


def job_of(tmp_path, text, *, pauses=True, **code):
    script(tmp_path, text)
    words = (sys.executable, "train.py")
    made = Code("min", str(tmp_path), **({"words": words} | code))
    places = {"save_to": str(tmp_path / "work")}
    if pauses:
        places["pause_to"] = str(tmp_path / "paused")
    none = np.empty(0, dtype=np.int64)
    return Job("own", "val_loss", made, {0: Fold(0, none, none)}, "own", **places)


def test_a_killed_worker_takes_its_command_with_it_and_costs_one_trial(tmp_path):
    job = job_of(tmp_path, LINGERS, words=(sys.executable, "train.py", "--lr", "{lr}"))
    (tmp_path / "stay").touch()
    tasks = [Task(f"t-{n}", {"lr": float(n)}, 0, 7) for n in range(2)]
    with LocalRunner(1) as runner:
        found = []
        ends = runner.run(job, tasks)

        def kill():
            found.extend(started(tmp_path, 1))
            runner._workers[0].process.kill()
            (tmp_path / "stay").unlink()

        killer = threading.Thread(target=kill)
        killer.start()
        ended = list(ends)
        killer.join()
    assert [e.state for e in ended] == [State.FAILED, State.COMPLETE]
    assert all(gone(pid) for pid in found)


# Pausing


def paused_then(job, until, *, end=0):
    """How a task ends first and when it goes on."""
    runner = InlineRunner(1)
    [first] = runner.run(job, [Task("t-1", {}, 0, 7, until=until)])
    [then] = runner.run(job, [Task("t-1", {}, 0, 7, until=end)])
    return first, then


def told(ended):
    return {epoch.epoch: epoch.scores["val_loss"] for epoch in ended.epochs}


def test_a_paused_trial_goes_on_from_the_checkpoint_it_left(tmp_path):
    job = job_of(
        tmp_path,
        """
        import os, pathlib, podium
        state = pathlib.Path(os.environ["PODIUM_FOLDER"], "epoch")
        done = int(state.read_text()) if state.exists() else 0
        for epoch in range(done + 1, 6):
            state.write_text(str(epoch))
            with open("trained", "a") as file:
                file.write(f"{epoch} ")
            podium.report(epoch, val_loss=1 / epoch)
        """,
    )
    first, then = paused_then(job, 2)
    assert (first.state, told(first)) == (State.PAUSED, {1: 1.0, 2: 0.5})
    assert (then.state, then.best_epoch) == (State.COMPLETE, 5)
    assert told(then) == {n: 1 / n for n in range(1, 6)}
    assert (tmp_path / "trained").read_text() == "1 2 3 4 5 "


def test_a_script_that_saves_nothing_starts_again_and_its_first_reports_count(tmp_path):
    job = job_of(
        tmp_path,
        """
        import pathlib, podium
        turn = len(list(pathlib.Path(".").glob("turn*")))
        pathlib.Path(f"turn{turn}").touch()
        for epoch in range(1, 5):
            podium.report(epoch, val_loss=turn + 1 / epoch)
        """,
    )
    first, then = paused_then(job, 2)
    assert told(first) == {1: 1.0, 2: 0.5}
    assert told(then) == {1: 1.0, 2: 0.5, 3: 1 + 1 / 3, 4: 1.25}
    assert (then.score, then.best_epoch) == (0.5, 2)


def test_a_trial_that_is_paused_already_is_not_started_again(tmp_path):
    job = job_of(
        tmp_path,
        """
        import podium
        open("starts", "a").write("x")
        podium.report(1, val_loss=0.5)
        """,
    )
    first, then = paused_then(job, 1, end=1)
    assert told(first) == told(then) == {1: 0.5}
    assert (first.state, then.state) == (State.PAUSED, State.PAUSED)
    assert (tmp_path / "starts").read_text() == "x"


@pytest.mark.parametrize("end", [3, 0])
def test_a_program_that_only_prints_is_ended_where_it_is_to_pause(tmp_path, end):
    job = job_of(
        tmp_path,
        """
        import time
        for epoch in range(1, 4):
            print(f"podium: epoch={epoch} val_loss={1 / epoch}")
            time.sleep(0.02)
        """,
    )
    first, then = paused_then(job, 2, end=end)
    assert (first.state, told(first)) == (State.PAUSED, {1: 1.0, 2: 0.5})
    assert then.state is (State.PAUSED if end else State.COMPLETE)
    assert told(then) == {1: 1.0, 2: 0.5, 3: 1 / 3}


def test_a_script_that_will_not_stop_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("podium.runners._own.GRACE_SECONDS", 0.3)
    job = job_of(
        tmp_path,
        """
        import podium, time
        for epoch in range(1, 100):
            try:
                podium.report(epoch, val_loss=1 / epoch)
            except BaseException:
                pass
            time.sleep(0.05)
        """,
    )
    [ended] = InlineRunner(1).run(job, [Task("t-1", {}, 0, 7, until=2)])
    assert (ended.state, told(ended)) == (State.PAUSED, {1: 1.0, 2: 0.5})


def test_a_function_is_paused_where_it_reports(tmp_path):
    def objective():
        kept = Path(os.environ["PODIUM_FOLDER"], "epoch")
        done = int(kept.read_text()) if kept.exists() else 0
        for epoch in range(done + 1, 4):
            kept.write_text(str(epoch))
            podium.report(epoch, val_loss=1 / epoch)

    job = job_of(tmp_path, "", words=(), here=objective)
    first, then = paused_then(job, 1)
    assert (first.state, told(first)) == (State.PAUSED, {1: 1.0})
    assert (then.state, told(then)) == (State.COMPLETE, {1: 1.0, 2: 0.5, 3: 1 / 3})
    assert issubclass(Paused, SystemExit)
    assert "PODIUM_FOLDER" not in os.environ


# Functions


MODULE = """
    import os, podium

    def objective(lr, units):
        print("trained by", os.getpid())
        os.system("echo past Python")
        for epoch in range(1, 3):
            podium.report(epoch, val_loss=lr * units / epoch)

    def broken(lr):
        raise RuntimeError(f"no such lr: {lr}")
"""


@pytest.fixture
def objectives(root, monkeypatch):
    script(root, MODULE, "own_objectives.py")
    monkeypatch.syspath_prepend(root)
    import own_objectives

    yield own_objectives
    del sys.modules["own_objectives"]


def test_a_function_is_trained_in_worker_processes(root, objectives, capfd):
    space = {"lr": (0.1, 0.9), "units": [1, 2]}
    found = search(
        objectives.objective, space, metric="val_loss", trials=3, jobs=2, project=root, search="qmc"
    )
    for row in found.trials:
        assert row.score == row.config["lr"] * row.config["units"] / 2
        log = (root / row.checkpoint).read_text()
        assert log.endswith("past Python\n")
        assert f"trained by {os.getpid()}" not in log
    assert found.data.slot == "own/objective"
    assert capfd.readouterr().err == ""


def test_a_function_that_raises_is_a_failed_trial_with_its_traceback(root, objectives):
    with pytest.raises(NotFoundError, match=r"RuntimeError: no such lr: 0\.5"):
        search(objectives.broken, {"lr": 0.5}, metric="val_loss", trials=1, jobs=1, project=root)
    [row] = query(root, "SELECT reason FROM trial")
    assert row["reason"].startswith("it raised RuntimeError; its output ended with:\nTraceback")
    assert "own_code.py" not in row["reason"]


def test_a_function_that_cannot_be_imported_runs_here_and_it_is_said(root, capsys):
    def local(x):
        print("x is", x)  # noqa: T201
        return {"score": (x - 0.5) ** 2, "twice": 2 * x}

    found = search(
        local, {"x": Float(0.0, 1.0)}, direction="min", trials=3, project=root, search="random"
    )
    told = capsys.readouterr()
    assert "local runs here, one trial after another: it cannot be imported" in told.err
    assert told.out.count("x is") == 3
    assert (root / found.best.checkpoint).read_text() == f"x is {found.best.config['x']}\n"
    best = query(root, "SELECT value FROM result WHERE metric = 'twice'")
    assert 2 * found.best.config["x"] in [row["value"] for row in best]


@pytest.mark.parametrize("answer", ["much", [1], {"score": "low"}])
def test_a_function_that_returns_no_number_fails(root, answer):
    with pytest.raises(NotFoundError, match="expected a number, a dict of numbers or None"):
        search(lambda x: answer, {"x": [1]}, direction="min", trials=1, project=root, name="odd")


def test_a_function_that_takes_other_parameters_is_refused_before_anything_runs(root):
    with pytest.raises(UsageError, match="the function takes x: "):
        search(lambda x: x, {"y": [1]}, direction="min", project=root, name="odd")
    assert not (root / "podium.db").exists()


# Spaces


def test_a_space_is_said_as_in_podium_toml_or_in_python():
    space = own_code.space_of(
        {
            "a": (1e-4, 1e-2, "log"),
            "b": (1, 8),
            "c": ["x", "y"],
            "d": Int(2, 4, log=True),
            "e": 0.5,
            "f": {"values": [1, 2], "when": {"c": "x"}},
            "g": Choice((True, False)),
        },
        "space",
    )
    assert space.parameters == {
        "a": Float(1e-4, 1e-2, log=True),
        "b": Int(1, 8),
        "c": Choice(("x", "y")),
        "d": Int(2, 4, log=True),
        "f": Choice((1, 2)),
        "g": Choice((True, False)),
    }
    assert space.constants == {"e": 0.5}
    assert space.conditions["f"].others == {"c": ("x",)}


@pytest.mark.parametrize(
    "space",
    [
        {},
        {"a": None},
        {"a": [1, [2]]},
        {"a": (2, 1)},
        {"a": (0, 1, "log")},
        {"a": []},
        {"a": ["x\0"]},
        {"a": "\ud800"},
    ],
)
def test_a_space_that_says_nothing_is_refused(space):
    with pytest.raises(UsageError):
        own_code.space_of(space, "space")


# The verb, and the others


def verb(*words):
    return run([str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--command", "true", "--set", "x=1"], 2, "--command needs --metric"),
        (["--metric", "val_loss"], 2, "--metric only with --command"),
        (["--command", "true", "--metric", "m", "--mode", "full"], 2, "--mode not with --command"),
        (["--command", "true", "--metric", "val_loss"], 2, "no parameter to search"),
        (["--command", "true {lrr}", "--metric", "val_loss", "--set", "lr=1"], 2, "mean 'lr'?"),
        (["--command", "true {lr", "--metric", "val_loss", "--set", "lr=1"], 2, "cannot be read"),
        (
            ["--command", "true {lr:.1f}", "--metric", "val_loss", "--set", "lr=1"],
            2,
            "the recorded one",
        ),
        (["--command", "true '", "--metric", "val_loss", "--set", "lr=1"], 2, "quotation"),
        (["--command", "true", "--metric", "val_loss", "--set", "seed=1"], 2, "another name"),
        (["--command", "truee", "--metric", "val_loss", "--set", "lr=1"], 3, "is not found"),
        (["--command", "./no.sh", "--metric", "val_loss", "--set", "lr=1"], 3, "is not found"),
        (["--command", "true", "--metric", "thing", "--set", "lr=1"], 2, "--direction min or"),
        (
            ["--command", "true", "--metric", "val_loss", "--set", "lr=1", "--name", "lstm"],
            2,
            "is a family",
        ),
        (
            ["--command", "true", "--metric", "val_loss", "--set", "lr=1", "--name", "a/b"],
            2,
            "letters, digits",
        ),
        (
            ["--command", "true", "--metric", "val_loss", "--set", "lr=1", "--search", "tpee"],
            2,
            "tpe",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_starts(root, capsys, words, code, told):
    assert verb("sweep", *words, "--project", root) == code
    assert told in capsys.readouterr().err
    if (root / "podium.db").exists():
        assert query(root, "SELECT count(*) AS n FROM trial") == [{"n": 0}]


def test_every_verb_that_reads_the_record_knows_own_code(root, capsys, tmp_path):
    script(root, REPORTS)
    words = ["--set", "lr=0.1..0.9", "--metric", "accuracy", "--trials", 3, "--jobs", 1]
    command = f"{shlex.quote(sys.executable)} train.py {{args}}"
    assert verb("sweep", "--command", command, *words, "--project", root, "--json") == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert {item["state"] for item in items} == {"complete"}
    assert {item["epoch"] for item in items} == {1}
    one, other = items[0]["trial"], items[1]["trial"]
    for read in (
        ["list", "trials", "--slot", "own/train"],
        ["list", "studies"],
        ["list", "slots"],
        ["list", "datasets"],
        ["show", one],
        ["show", "--lineage", one],
        ["compare", one, other],
        ["doctor"],
        ["gc"],
        ["gc", "--keep-best", "1", "--yes"],
        ["export"],
        ["export", "--bundle", tmp_path / "bundle.tar.gz"],
        ["backup", tmp_path / "backup.tar.gz"],
        ["sync"],
    ):
        assert verb(*read, "--project", root) == 0, (read, capsys.readouterr().err)
    capsys.readouterr()
    assert verb("list", "trials", "--slot", "own/trein", "--project", root) == 3
    assert "did you mean 'own/train'?" in capsys.readouterr().err.lower()
    assert verb("reproduce", one, "--project", root) == 2
    assert "was trained by own code" in capsys.readouterr().err


def test_compare_and_gc_take_the_direction_a_study_was_told(root, capsys):
    program = "import sys; print('{\"val_loss\": %s}' % sys.argv[2])"
    command = asked(program)
    found = swept(root, command, {"x": [1, 2]}, direction="max", trials=2, name="upwards")
    worse = next(row for row in found.trials if row.id != found.best.id)
    assert found.best.config == {"x": 2}
    assert verb("compare", found.best.id, worse.id, "--project", root) == 0
    [line] = [x for x in capsys.readouterr().out.splitlines() if x.startswith("score")]
    assert line.split() == ["score", "2", "*", "1"]
    assert verb("gc", "--keep-best", "1", "--yes", "--project", root) == 0
    assert (root / found.best.checkpoint).exists()
    assert not (root / worse.checkpoint).exists()


def test_mlflow_is_told_of_own_code(root):
    from podium.ledger.projections import _mlflow_runs

    script(root, REPORTS)
    found = swept(root, trials=1)
    with open_project(root) as project, project.ledger.reading() as tx:
        content = _mlflow_runs.trial(tx, found.best.id, "mine", "target")
    assert content.params["lr"] == repr(found.best.config["lr"])
    assert content.params["command"].endswith("train.py, {args}")
    assert content.tags["podium.slot"] == "own/train"
    values = {(p.name, p.step): p.value for p in content.points}
    assert values["val_loss", 2] == found.best.score


@pytest.mark.slow
def test_the_examples_of_the_page_run(root, capsys):
    page = (Path(__file__).parents[1] / "docs" / "own-code.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL):
        (root / block[0]).write_text(block[1], encoding="utf-8")
    [command] = re.findall(r"podium sweep (--command .*?)\n```", page, re.DOTALL)
    words = shlex.split(command.replace("\\\n", " "))
    words[1] = words[1].replace("python", shlex.quote(sys.executable), 1)
    assert verb("sweep", *words, "--project", root, "--json") == 0
    told = capsys.readouterr()
    items = json.loads(told.out)["items"]
    assert len(items) == 20
    assert {"complete", "failed"} == {item["state"] for item in items}
    assert "ValueError: diverged" in told.err
    done = subprocess.run(
        [sys.executable, "objective.py"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "'units': 16" in done.stdout
    # Which model the search takes, and nothing else.
    assert [line.partition(" is ")[0] for line in done.stderr.splitlines()] == [
        "podium: own/objective: objective"
    ]


def test_nothing_is_left_lying_about(root):
    script(root, REPORTS)
    swept(root, trials=2)
    assert list((root / ".podium" / "work").iterdir()) == []


def test_a_key_is_made_of_what_it_says(root):
    script(root, ENDS)
    found = swept(root, trials=1)
    [row] = query(root, "SELECT config, task_hash, dataset_fingerprint FROM trial")
    assert row["config"] == canonical(found.best.config)
    assert row["dataset_fingerprint"] == ""
    [task] = query(root, "SELECT spec FROM task WHERE hash = ?", row["task_hash"])
    command = [sys.executable, "train.py", "{args}"]
    assert json.loads(task["spec"]) == {"task": "own", "command": command}


SAVES = """
    import argparse, os, pathlib, podium
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    parser.add_argument("--max_epochs", type=int)
    given = parser.parse_args()
    state = pathlib.Path(os.environ["PODIUM_FOLDER"], "epoch")
    begun = int(state.read_text()) if state.exists() else 0
    for epoch in range(begun + 1, given.max_epochs + 1):
        with open("trained.txt", "a") as told:
            print(given.lr, epoch, file=told)
        state.write_text(str(epoch))
        podium.report(epoch, val_loss=given.lr + 1 / epoch)
"""
RATES = {"lr": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "max_epochs": 6}


def scheduled(root, **more):
    script(root, SAVES)
    return swept(root, space=RATES, trials=6, schedule="halving", **more)


@pytest.mark.slow
def test_a_schedule_gives_up_what_reports_little_and_goes_on_from_what_was_saved(root):
    found = scheduled(root)
    epochs = {row.config["lr"]: row.epochs for row in found.trials}
    kept = [row.config["lr"] for row in found.trials if row.state is State.COMPLETE]
    # Four are kept at least; two go after the first epoch.
    assert sorted(kept) == [0.1, 0.2, 0.3, 0.4]
    assert epochs == {0.1: 6, 0.2: 6, 0.3: 6, 0.4: 6, 0.5: 1, 0.6: 1}
    trained = (root / "trained.txt").read_text().splitlines()
    assert len(trained) == len(set(trained)) == sum(epochs.values())
    assert found.best.config["lr"] == 0.1
    # Whoever asks again trains nothing.
    assert scheduled(root).best.id == found.best.id
    assert len((root / "trained.txt").read_text().splitlines()) == len(trained)


@pytest.mark.slow
def test_a_schedule_decides_alike_for_any_number_of_jobs(root, tmp_path):
    other = init.init(tmp_path / "other")
    one, two = scheduled(root), scheduled(other, runner="local", jobs=2)
    assert [(r.number, r.config, r.state, r.epochs) for r in one.trials] == [
        (r.number, r.config, r.state, r.epochs) for r in two.trials
    ]


def test_a_schedule_needs_to_know_how_long_a_trial_is(root):
    script(root, REPORTS)
    with pytest.raises(UsageError, match="max_epochs"):
        swept(root, schedule="halving")
    assert verb("sweep", "--command", "true", "--metric", "a", "--finalists", 2) == 2
