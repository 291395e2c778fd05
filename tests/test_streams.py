"""Commands under cron and on read-only mounts: one sentence, no traceback, no hang."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import foreign
from podium import resolve
from podium.cli.main import run
from podium.errors import DataError
from podium.ledger.champions import rows
from podium.render.sweep import sweep_markdown
from podium.resolve import CACHE, champions_in
from podium.steps.archive.doctor import doctor
from podium.tracker import HyperparamTracker
from projects import LENIENT, SLOT, query

COMMAND = f"{sys.executable} -m podium"


@pytest.fixture(scope="module")
def finished(ladder):
    return ladder.project("finished", policies=LENIENT)


@pytest.fixture
def root(ladder, tmp_path):
    return ladder.copy(tmp_path / "one", "finished", policies=LENIENT)


def shell(words, root):
    return subprocess.run(
        ["bash", "-c", f"{COMMAND} {words}"], capture_output=True, text=True, cwd=root, timeout=60
    )


def test_a_full_stdout_is_one_sentence_and_closed_streams_end_no_command(finished):
    full = shell(f"resolve {SLOT} >/dev/full", finished)
    assert (full.returncode, full.stderr.count("\n")) == (7, 1)
    assert "cannot write the answer to stdout: no space left" in full.stderr
    for closed in ("<&- >&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"):
        done = shell(f"resolve {SLOT} {closed}", finished)
        assert (done.returncode, done.stderr) == (0, ""), closed


@pytest.mark.slow
def test_every_read_verb_prints_one_sentence_on_a_full_stdout(finished):
    for verb in ("status", "list trials", f"show {SLOT}", "logs", "explain", "doctor", "--help"):
        full = shell(f"{verb} >/dev/full", finished)
        assert (full.returncode, full.stderr.count("\n")) == (7, 1), (verb, full.stderr)
        assert shell(f"{verb} <&- >&- 2>&-", finished).returncode == 0, verb


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
def test_read_verbs_work_on_a_read_only_mount(root):
    verbs = (
        "status", "list trials", f"show {SLOT}", f"resolve {SLOT}", "logs", "explain", "doctor",
        f"predict {SLOT}", f"signals {SLOT}", "gc --dry-run",
    )  # fmt: skip
    mount = f"mount --bind {root} {root} && mount -o remount,ro,bind {root}"
    loop = " && ".join(f"{COMMAND} {verb} --project {root}" for verb in verbs)
    words = ["unshare", "--mount", "bash", "-c", f"{mount} && echo mounted && {loop}"]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/")
    if "mounted" not in done.stdout:
        pytest.skip("this user cannot mount")
    assert done.returncode == 0, done.stderr
    assert "unable to open" not in done.stderr


def test_a_record_of_a_newer_podium_is_refused_by_readers(root, capsys):
    import sqlite3

    with sqlite3.connect(root / "podium.db") as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    (root / CACHE).unlink()
    for words in (["list", "trials"], ["show", SLOT], ["resolve", SLOT], ["gc", "--dry-run"]):
        assert run([*words, "--project", str(root)]) == 7, words
        assert "written by a newer podium" in capsys.readouterr().err
    assert run(["doctor", "--project", str(root)]) != 0
    assert "bug" not in capsys.readouterr().err


def test_a_record_whose_folder_is_read_only_is_read_unless_its_log_is_not_merged(root, monkeypatch):
    import sqlite3

    connect = sqlite3.connect

    def read_only(place, **how):
        if "mode=ro" in place:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(place, **how)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert rows(root / "podium.db", "SELECT * FROM candidate", ())
    (root / "podium.db-wal").write_bytes(b"x")
    with pytest.raises(DataError, match="writable"):
        rows(root / "podium.db", "SELECT * FROM candidate", ())


def test_champions_json_of_another_shape_is_a_fault_and_is_not_used(root, capsys):
    facts = json.loads((root / CACHE).read_text())["champions"][SLOT]
    odd = [
        [1], 3, None, {}, {"champions": None}, {"champions": [1]}, {"champions": {SLOT: None}},
        {"champions": {SLOT: 3}}, {"champions": {SLOT: []}}, {"champions": {SLOT: {"since": "1"}}},
        {"champions": {SLOT: {**facts, "artifact_path": 3}}},
        {"champions": {SLOT: {**facts, "more": 3}}},
    ]  # fmt: skip
    hidden = (root / "podium.db").rename(root / "hidden")
    resolve._last_answers.clear()
    for content in odd:
        (root / CACHE).write_text(json.dumps(content))
        assert run(["resolve", SLOT, "--project", str(root)]) in (3, 7), content
        assert "bug" not in capsys.readouterr().err
    hidden.rename(root / "podium.db")
    for content in odd:
        (root / CACHE).write_text(json.dumps(content))
        checks = {check.check: check.ok for check in doctor(root)}
        assert not checks["champions"], content
    assert champions_in({"champions": {SLOT: facts}})


def test_pipes_and_devices_are_no_input_files(finished, tmp_path, capsys):
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for path in (tmp_path / "fifo.json", tmp_path / "zero.json"):
        name = str(path)
        for words in (
            ["finalize", SLOT, "--config", name],
            ["import", name],
            ["check", name],
            ["restore", name, str(tmp_path / "new")],
            ["export", "--to", name],
        ):
            project = [] if words[0] in ("restore", "check") else ["--project", str(finished)]
            assert run([*words, *project]) in (2, 3, 6), words
            message = capsys.readouterr().err
            assert "Traceback" not in message
            assert "bug" not in message


HOSTILE = "seen\x1b[2J\x1b]0;title\x07 \u202egnp.exe\nrefused  champion\r\x9b31mred"


def test_notes_and_reasons_reach_terminal_and_markdown_as_one_line_of_text(root, capsys):
    project = ["--project", str(root)]
    [row] = query(root, "SELECT id, trial_id FROM candidate")
    candidate, trial = row["id"], row["trial_id"]
    named = {**foreign.RUN, "model_name": HOSTILE, "run_id": HOSTILE, "notes": HOSTILE}
    imported = foreign.sweep(root.parent / "sweep_results.json", named)
    for words in (
        ["import", str(imported)],
        ["list", "trials"],
        ["list", "trials", "--format", "ids"],
        ["note", candidate, HOSTILE],
        ["note", trial, HOSTILE],
        ["sign", candidate, "--approve", "--reason", HOSTILE],
        ["promote", candidate, "--to", "archived", "--reason", HOSTILE],
        ["promote", candidate, "--to", "champion", "--reason", HOSTILE],
        ["show", candidate],
        ["show", trial],
        ["show", candidate, "--lineage"],
        ["show", SLOT],
        ["show", SLOT, "--history"],
        ["list", "decisions"],
        ["list", "decisions", "--format", "md"],
        ["list", "trials", "--where", f"notes={HOSTILE}"],
        ["show", HOSTILE],
        ["logs"],
        ["run", HOSTILE],
    ):
        run([*words, *project])
        shown = "".join(capsys.readouterr())
        assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e"} & set(shown), words
        assert not any(line.startswith("refused  champion") for line in shown.split("\n")), words
    run(["run", *project])
    tracker = HyperparamTracker(root / "hyperparams" / "sweep_results.json")
    with tracker:
        tracker.log_run("toto", {"n": 1}, {"val_loss": 1.0}, notes=HOSTILE)
    capsys.readouterr()
    texts = [path.read_text() for path in root.rglob("*.md")]
    assert texts
    texts.append(sweep_markdown(tracker.runs, metric="val_loss", declared={}, generated=""))
    for text in texts:
        assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e"} & set(text)
        assert not any(line.startswith("refused  champion") for line in text.split("\n"))
