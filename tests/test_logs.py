"""What a command on a slot did is in a log of its own: whole, by time, and without secrets."""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import projects
import quick
from podium.cli.group import podium
from podium.cli.main import run
from podium.cli.overview import verbs
from podium.errors import DataError, NotFoundError
from podium.steps.archive import logs
from podium.steps.search.tune import tune
from podium.steps.workspace import log as _log
from podium.steps.workspace.log import Log, LogLine
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying, query, small_project
from test_promotion import register

pytestmark = pytest.mark.usefixtures("quick_family")

PATIENCE = 60.0
# A family of the project's own whose every third config breaks deep inside.
BROKEN = '''
"""Breaks deep inside a library for some configs."""
from quick import QuickFamily

def level_four(text):
    raise ValueError(f"cannot connect to {text}")
def level_three(text): level_four(text)
def level_two(text): level_three(text)
def level_one(text): level_two(text)

class Broken(QuickFamily):
    name = "broken"
    def fit(self, config, train, validation, *, seed, report, keep=None):
        if config["level"] == 2:
            level_one("https://hub.example/weights?token=hunter2hunter2&v=1 for ann")
        return super().fit(config, train, validation, seed=seed, report=report, keep=keep)

FAMILY = Broken
'''


@pytest.fixture
def root(tmp_path):
    return project_in(tmp_path / "small")


def project_in(folder, **settings):
    mine = {"slots": {SLOT: {"families": [quick.NAME]}}, "tune": {"trials": 6, "search": "random"}}
    return projects.small_project(folder, **projects.merge(mine, settings))


def broken(folder, **settings):
    root = project_in(folder, slots={SLOT: {"families": ["broken"]}}, **settings)
    (root / "plugins" / "families").mkdir(parents=True)
    (root / "plugins" / "families" / "broken.py").write_text(BROKEN)
    return root


def searched(root, **flags):
    flags = {name.replace("__", "."): value for name, value in flags.items()}
    with open_project(root, settings=flags) as project, project.locked(SLOT, "tune"):
        return tune(project, SLOT)


def files(root):
    return sorted((root / ".podium" / "logs").glob("*"))


def lines(root, id_=logs.LAST, **more):
    return list(logs.read(logs.find(root, id_), **more))


def said(capsys, *words):
    code = run([*words])
    return code, *capsys.readouterr()


def test_a_command_on_a_slot_leaves_one_log_whose_lines_are_whole_by_themselves(root):
    began = dt.datetime.now(dt.UTC)
    found = searched(root)
    [path] = files(root)
    text = path.read_text()
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ \S+ \S+ .*"
    assert all(re.fullmatch(pattern, told) for told in text.splitlines())
    assert "\r" not in text
    head, *_, last = lines(root)
    assert 0 <= (dt.datetime.fromisoformat(head.at) - began).total_seconds() < PATIENCE
    assert head.text.startswith(_log.BEGAN)
    assert re.fullmatch(r"ended: done after [\d.]+ s", last.text)
    ended = {line.trial: line for line in lines(root) if line.text.startswith("complete")}
    assert {row.id for row in found.trials} <= set(ended)
    for row in found.trials:
        assert f"mse {row.score:.6g}" in ended[row.id].text
        assert ended[row.id].slot == SLOT
        assert ended[row.id].step.startswith("tune")


def test_a_command_that_touches_no_slot_leaves_none(root, capsys):
    for words in (["list", "slots"], ["show", "config"], ["status"], ["doctor"], ["logs"]):
        run([*words, "--project", str(root)])
    capsys.readouterr()
    assert files(root) == []


def test_what_was_asked_of_the_command_is_in_the_first_line(root):
    searched(root, tune__trials=2)
    [facts] = logs.logs(root)
    assert "tune.trials=2" in lines(root)[0].text
    assert facts.slots == (SLOT,)
    assert facts.command == "tune"


def test_a_failed_trial_of_a_worker_is_in_the_log_with_its_whole_traceback(tmp_path):
    root = broken(tmp_path / "p", runner={"name": "local", "jobs": 2})
    searched(root)
    failed = query(root, "SELECT id, reason FROM trial WHERE state = 'failed'")
    assert failed
    for row in failed:
        told = "\n".join(line.text for line in lines(root, trials=[row["id"]]))
        assert told.startswith("failed, number")
        for name in ("level_one", "level_two", "level_three", "level_four", "in fit"):
            assert name in told
        # The record keeps the end of it, as ever.
        assert "level_one" not in row["reason"]


def test_tokens_and_passwords_are_in_no_log(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "a-token-of-mine")
    hook = "https://hooks.example/services/T1/B2/s3cretpart"
    root = broken(tmp_path / "p", hooks={"failure": hook})
    found = searched(root)
    assert found.trials
    with open_project(root) as project, project.locked(SLOT, "tune"):
        project.reporter.say("postgresql+psycopg://ann:hunter2hunter2@db/podium is slow")
        project.reporter.say("the token is a-token-of-mine, the hook services/T1/B2/s3cretpart")
        project.reporter.say("Authorization: Bearer hunter2hunter2 https://hunter2hunter2@git/x")
    text = "".join(path.read_text() for path in files(root))
    assert "cannot connect to https://hub.example/weights?token=***&v=1 for ann" in text
    for secret in ("hunter2", "a-token-of-mine", "s3cretpart"):
        assert secret not in text
    assert "ann:***@db" in text


def test_the_password_of_the_record_is_taken_out_wherever_it_turns_up(root):
    with open_project(root) as project:
        ledger = replace(project.config.ledger, url="postgresql://ann:p%40ssword@db/x")
        config = replace(project.config, ledger=ledger)
        assert {"p%40ssword", "p@ssword"} <= set(_log.secrets_of(config, {}))


@pytest.mark.parametrize(
    "text",
    ["escape \x1b[31mred\x07", "carriage\rreturn", "two\u2028lines", "next\x85line", "", "\n"],
)
def test_nothing_that_is_logged_drives_a_terminal_or_breaks_a_line(tmp_path, root, text):
    log = begun(root)
    log.line(text, slot=SLOT)
    log.end(None)
    written = logs.find(root, log.id).read_text()
    assert written.isprintable() or set(written) - {"\n"} <= {c for c in written if c.isprintable()}
    assert all(LogLine.of(told) for told in written.splitlines())


def begun(root, verb="tune"):
    with open_project(root) as project:
        log = Log(root / ".podium", project.reporter.say)
        log.begin(verb, project.config, "tester")
    return log


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_what_was_logged_is_read_again(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("log")
    log = Log(folder, print)
    log.verb = "tune"
    log.folder.mkdir()
    log.id, log._file = _log._made(log.folder, "tune")
    for number, text in enumerate(texts):
        log.line(text, slot="a/b", trial=f"t-{number}")
    log.end(None)
    found = list(logs.read(log.folder / f"{log.id}.log"))
    for number, text in enumerate(texts):
        mine = [line for line in found if line.trial == f"t-{number}"]
        assert len(mine) == max(1, len(log.clean(text).splitlines()))
        assert {(line.step, line.slot) for line in mine} == {("tune", "a/b")}


def test_an_unexpected_error_is_told_in_a_sentence_and_logged_with_its_traceback(
    root, capsys, monkeypatch
):
    def fails(*arguments, **more):
        raise ZeroDivisionError("deep down")

    monkeypatch.setattr("podium.steps.search.tune.search_data", fails)
    code, _, err = said(capsys, "tune", "--project", str(root))
    assert code == 1
    assert "ZeroDivisionError: deep down" in err
    id_ = files(root)[0].stem
    assert err.rstrip().endswith(f"log: podium logs {id_} --project {root}")
    texts = [line.text for line in lines(root)]
    assert any("Traceback" in text for text in texts)
    assert any("in fails" in text for text in texts)
    assert texts[-1].startswith("ended: failed")


def test_an_expected_error_names_its_log_too_and_a_success_at_its_end(root, capsys, monkeypatch):
    monkeypatch.chdir(root)

    def fails(*arguments, **more):
        raise DataError("bars.csv is torn", "whole lines", "copy it again")

    with monkeypatch.context() as changed:
        changed.setattr("podium.steps.search.tune.search_data", fails)
        code, _, err = said(capsys, "tune")
    assert code == 7
    assert err.splitlines()[-1] == f"log: podium logs {files(root)[-1].stem}"
    texts = [line.text for line in lines(root)]
    assert "failed: bars.csv is torn. Expected whole lines. Copy it again." in texts
    assert any("in fails" in text for text in texts)
    code, _, err = said(capsys, "tune")
    assert code == 0
    assert err.rstrip().endswith(f"log: podium logs {files(root)[-1].stem}")
    code, _, err = said(capsys, "tune", "-q")
    assert (code, err) == (0, "")


def test_two_that_begin_at_once_have_logs_of_their_own_in_order(root):
    begun_ones = [begun(root) for _ in range(20)]
    ids = [log.id for log in begun_ones]
    assert ids == sorted(set(ids))
    for log in begun_ones:
        log.end(None)


def test_old_logs_go_when_a_new_one_begins_and_never_one_that_is_written(root):
    projects.configure(root, logs={"keep": 3, "days": 10}, slots={SLOT: {"families": ["quick"]}})
    first = begun(root)
    for _ in range(5):
        begun(root).end(None)
    aged = files(root)[-1]
    then = time.time() - 11 * 86400
    os.utime(aged, (then, then))
    newest = begun(root)
    names = [path.stem for path in files(root)]
    assert first.id in names
    assert aged.stem not in names
    assert len(names) == 3
    assert names[-1] == newest.id
    first.end(None)
    newest.end(None)


def test_a_log_that_cannot_be_written_stops_nothing(root, monkeypatch):
    heard = Saying()
    (root / ".podium").mkdir(exist_ok=True)
    (root / ".podium" / "logs").write_text("in the way")
    with open_project(root, reporter=heard) as project, project.locked(SLOT, "tune"):
        found = tune(project, SLOT)
    assert len(found.trials) == 6
    assert [text for text in heard.said if "no log is written" in text]


def test_a_full_disk_ends_the_log_and_not_the_step(root, monkeypatch):
    heard = Saying()
    real = os.write

    def full(descriptor, data):
        if b" at work" in data:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(_log.os, "write", full)
    with open_project(root, reporter=heard) as project, project.locked(SLOT, "tune"):
        assert tune(project, SLOT).trials
    assert heard.said[0] == "warning: the log ends here: No space left on device"


# Reading.


def test_logs_are_listed_newest_first_with_how_they_ended(root, capsys):
    searched(root)
    code, *_ = said(capsys, "promote", SLOT, "--project", str(root))
    assert code == 3
    with (
        pytest.raises(KeyboardInterrupt),
        open_project(root) as project,
        project.locked(SLOT, "grid"),
    ):
        raise KeyboardInterrupt
    listed = [(facts.command, facts.outcome) for facts in logs.logs(root)]
    assert listed == [("grid", "interrupted"), ("tune", "done")]
    code, out, _ = said(capsys, "logs", "--json", "--project", str(root))
    items = json.loads(out)["items"]
    assert [item["command"] for item in items] == ["grid", "tune"]
    assert {"id", "slots", "began", "seconds", "outcome", "bytes"} <= set(items[0])
    code, out, _ = said(capsys, "logs", "--project", str(root))
    [header] = [line for line in out.splitlines() if line.startswith("id ")]
    assert {"command", "outcome"} <= {*header.split()}


def test_a_refused_promotion_is_one_in_its_log(tmp_path, capsys):
    root = small_project(
        tmp_path / "p",
        slots={SLOT: {"policy": "deep"}},
        policies={"deep": {"champion": {"max_drawdown": {}}}},
    )
    candidate = register(root, "deep", fall=0.5)
    code, _, err = said(capsys, "promote", candidate.id, "--project", str(root))
    assert code == 4
    assert err.splitlines()[-1].startswith("log: podium logs ")
    assert logs.logs(root)[0].outcome == "refused"
    told = lines(root)
    assert any(line.text.startswith("refused: Version") for line in told)
    assert not any("Traceback" in line.text for line in told)


def test_an_id_is_found_by_its_beginning_and_a_wrong_one_suggests_near_ones(root, capsys):
    searched(root)
    id_ = files(root)[0].stem
    assert logs.find(root, id_[:11]) == files(root)[0]
    assert logs.find(root, "last") == files(root)[0]
    with pytest.raises(NotFoundError, match=f"Did you mean '{id_}'"):
        logs.find(root, id_.replace("tune", "tame"))
    code, _, err = said(capsys, "logs", "../../podium.toml", "--project", str(root))
    assert code == 3
    assert "no log" in err


def test_filters_leave_one_step_or_one_trial(root, capsys):
    found = searched(root)
    [row] = found.trials[:1]
    assert {line.trial for line in lines(root, trials=[row.id[:8]])} == {row.id}
    beside = lines(root, steps=["baseline"])
    assert beside
    assert all(line.step == "tune/baseline" for line in beside)
    assert len(lines(root, steps=["tune"])) == len(lines(root))
    _, out, _ = said(capsys, "logs", "last", "--trial", row.id, "--json", "--project", str(root))
    assert json.loads(out)["items"][0]["trial"] == row.id


SEARCH = """
import sys, quick
quick.NAP = float(sys.argv[2])
from podium.cli.main import run
sys.exit(run(["tune", "-q", "--project", sys.argv[1]]))
"""


def started(root, nap):
    """A search in a process of its own, once its log is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(root), str(nap)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    end = time.monotonic() + PATIENCE
    while not any("complete" in path.read_text() for path in files(root)):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_who_follows_reads_what_comes_until_the_command_ends(root):
    process = started(root, 0.1)
    try:
        told = [line.text for line in logs.read(logs.find(root, "last"), follow=True)]
    finally:
        process.wait(PATIENCE)
    assert told[-1].startswith("ended: done")
    assert sum(text.startswith("complete") for text in told) >= 6


@pytest.mark.slow
def test_who_follows_comes_to_an_end_when_the_writer_is_killed(root):
    process = started(root, 30.0)
    assert logs.logs(root)[0].outcome == "running"
    threading.Timer(0.5, process.send_signal, [signal.SIGKILL]).start()
    told = list(logs.read(logs.find(root, "last"), follow=True))
    process.wait(PATIENCE)
    assert told
    assert not told[-1].text.startswith("ended")
    [facts] = logs.logs(root)
    assert facts.outcome == "killed"


# More and less.


def test_verbose_tells_each_trials_end_and_each_file_that_is_written(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    projects.configure(
        root,
        slots={SLOT: {"families": [quick.NAME]}},
        tune={"trials": 6, "search": "random"},
        paths={"tuning": "results"},
    )
    code, _, usual = said(capsys, "tune", "--trials", "3")
    assert code == 0
    code, _, err = said(capsys, "tune", "-v")
    assert code == 0
    trials = [line for line in err.splitlines() if line.startswith(f"{SLOT}: trial t-")]
    assert len(trials) == 3
    assert err.count("wrote results/trial_results.json\n") == 1
    assert "wrote" not in usual
    assert "trial t-" not in usual


def commands(command):
    """A verb, or each of the commands it has."""
    inner = getattr(command, "commands", {})
    return [one for child in inner.values() for one in commands(child)] or [command]


def test_every_verb_takes_verbose_and_quiet_in_the_same_way():
    for name in verbs():
        for command in commands(podium.get_command(None, name)):
            flags = {flag for parameter in command.params for flag in parameter.opts}
            # What resolve answers is one path, and nothing else is ever said.
            wanted = set() if name == "resolve" else {"--verbose", "-v", "--quiet", "-q"}
            assert wanted <= flags, (name, command.name)


def test_more_and_less_at_once_is_refused(root, capsys):
    code, _, err = said(capsys, "status", "-q", "-v", "--project", str(root))
    assert code == 2
    assert "one of them" in err
