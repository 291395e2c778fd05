"""Searches that are stopped, timed or tried again: what was done is on record, the rest goes on."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import ladder as ladders
import nursery
import projects
import quick
from looped import rest_slow
from podium.cli.main import run
from podium.errors import ConflictError, NotFoundError, StoppedError, TimeOverError, UsageError
from podium.ledger import writes
from podium.searches.local import LocalSearch
from podium.steps.archive.status import status, stop
from podium.steps.search.extend import extend
from podium.steps.search.grid import grid
from podium.steps.search.sweep import sweep
from podium.steps.search.tune import tune, tuned
from podium.steps.trials import execute
from podium.steps.workspace import activity
from podium.steps.workspace.session import open_project
from podium.testing import fakes
from projects import SLOT, Saying, query

pytestmark = pytest.mark.usefixtures("quick_family")

PATIENCE = 60.0


class Noting(Saying):
    """Remembers what it was told, and does something at each progress."""

    def __init__(self, at_progress=lambda done: None):
        super().__init__()
        self.notes, self.at_progress = [], at_progress

    def progress(self, label, done, total, note=""):
        self.notes.append(note)
        self.at_progress(done)


@pytest.fixture
def root(tmp_path):
    return project_in(tmp_path / "small")


SETTINGS = {
    "slots": {SLOT: {"families": [quick.NAME]}},
    # Each config depends on how those before it did.
    "tune": {"trials": 8, "generation": 2, "epochs": 3, "search": "local"},
}


def project_in(folder, **settings):
    return projects.small_project(folder, **projects.merge(SETTINGS, settings))


@pytest.fixture(scope="module")
def undisturbed(ladder):
    """Such a project whose search nobody stopped."""
    return ladder.project("searched", **SETTINGS)


def asked(root):
    """Number, config, state and score of each trial of the search, in order."""
    rows = query(
        root,
        """SELECT l.number, t.config, t.state, t.score FROM study_trial l JOIN trial t
           ON t.id = l.trial_id WHERE l.phase LIKE 'tune%' ORDER BY l.number""",
    )
    return [tuple(row.values()) for row in rows]


def interrupt(done):
    """Ctrl-C once two naive and three other trials are done."""
    if done == 3:
        os.kill(os.getpid(), signal.SIGINT)


def searched(root, reporter=None, **flags):
    flags = {name.replace("__", "."): value for name, value in flags.items()}
    with (
        open_project(Path(root), settings=flags, reporter=reporter) as project,
        project.locked(SLOT, "tune"),
    ):
        return tune(project, SLOT)


# Ctrl-C ------------------------------------------------------------------------------------------


def test_ctrl_c_once_ends_with_everything_that_ran_on_record(root):
    reporter = Noting(interrupt)
    with pytest.raises(StoppedError, match="the trials that ran are on record") as stopped:
        searched(root, reporter)
    assert stopped.value.exit_code == 130
    assert "the same command continues" in str(stopped.value).lower()
    assert any("Ctrl-C again stops at once" in said for said in reporter.said)
    assert not running(root)
    assert [state for _, _, state, _ in asked(root)][:3] == ["complete"] * 3


def test_a_stopped_search_goes_on_as_if_nothing_had_happened(root, undisturbed):
    with pytest.raises(StoppedError):
        searched(root, Noting(interrupt))
    searched(root)
    assert asked(root) == asked(undisturbed)


def test_ctrl_c_twice_stops_at_once(root):
    def twice(done):
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        searched(root, Noting(twice))
    states = {state for _, _, state, _ in asked(root)}
    assert "interrupted" in states or len(asked(root)) < 8


def test_ctrl_c_while_trials_are_begun_is_heeded_like_any_other(root, monkeypatch):
    begin = writes.start_trials

    def interrupted(*args):
        ids = begin(*args)
        if args[2][0].number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return ids

    monkeypatch.setattr(writes, "start_trials", interrupted)
    with pytest.raises(StoppedError):
        searched(root)
    assert not running(root)
    assert [state for *_, state, _ in asked(root)] == ["complete"] * 2 + ["interrupted"] * 2


def test_ctrl_c_between_two_generations_waits_for_the_next_and_begins_nothing(root, monkeypatch):
    ask = LocalSearch.ask

    def interrupted(self, numbers):
        if numbers[0] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return ask(self, numbers)

    monkeypatch.setattr(LocalSearch, "ask", interrupted)
    with pytest.raises(StoppedError):
        searched(root)
    assert [state for *_, state, _ in asked(root)] == ["complete"] * 2


@pytest.mark.slow
def test_ctrl_c_twice_at_any_moment_leaves_nothing_running_and_nothing_locked(tmp_path):
    cut = 0
    with quick.offered() as folder, nursery.Nursery("test_stopping", path=[folder]) as children:
        whole = children.run("test_stopping:searched", project_in(tmp_path / "whole")).seconds
        for number in range(60):
            root = project_in(tmp_path / str(number))
            with open_project(root) as project:
                project.ledger.close()
            times = [random.Random(number + 60 * k).uniform(0, whole) for k in range(2)]
            children.run("test_stopping:searched_while_ctrl_c", root, times)
            cut += [state for _, _, state, _ in asked(root)] != ["complete"] * 8
            assert not running(root)
            with closing(sqlite3.connect(root / "podium.db", timeout=1)) as other:
                other.execute("BEGIN IMMEDIATE")
    assert cut > 20


def searched_while_ctrl_c(root, times):
    """A search during which somebody presses Ctrl-C after so many seconds."""
    for seconds in times:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
    searched(root)


def running(root):
    """Trials that the record says are at work."""
    return query(root, "SELECT id FROM trial WHERE state = 'running'")


def test_ctrl_c_is_as_it_was_when_the_search_is_over(root):
    searched(root)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_with_its_own_ctrl_c_keeps_it(root):
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        searched(root, Noting(interrupt))
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard
    assert len(asked(root)) == 8


def test_workers_finish_what_they_are_at_and_get_nothing_new(root):
    with pytest.raises(StoppedError):
        searched(root, Noting(interrupt), runner__name="local", runner__jobs=2)
    states = [state for _, _, state, _ in asked(root)]
    assert set(states) <= {"complete", "interrupted"}
    searched(root, runner__name="local", runner__jobs=2)
    assert {state for _, _, state, _ in asked(root)} == {"complete"}


# --max-time --------------------------------------------------------------------------------------


def cut(root, after=3, **flags):
    """A search whose time is over after so many trials."""
    with open_project(Path(root), settings=flags) as project:

        def over(done):
            if done == after:
                project.stop_request.within(0)

        reporter = project.reporter = Noting(over)
        return tune(project, SLOT), reporter


def test_a_search_whose_time_is_over_answers_with_what_there_is(root):
    found, reporter = cut(root)
    assert {row.state for row in found.trials} == {"complete"}
    assert 3 <= len(found.trials) < 8
    assert any(
        f"{len(found.trials)} of 8 trials, then the time given by --max-time was over" in said
        for said in reporter.said
    )


def test_what_follows_takes_what_a_cut_search_found_and_says_so(root):
    found, _ = cut(root)
    reporter = Noting()
    with open_project(root, reporter=reporter) as project:
        extension = extend(project, SLOT)
    assert extension.configs
    told = f"--max-time ended the search with {len(found.trials)} of 8 trials"
    assert any(told in said for said in reporter.said)


def test_a_search_that_was_stopped_otherwise_is_not_finished(root):
    with pytest.raises(StoppedError):
        searched(root, Noting(interrupt))
    with open_project(root) as project, pytest.raises(NotFoundError, match="of 8 trials"):
        tuned(project, SLOT)


def test_a_cut_search_goes_on_to_the_end_it_would_have_had(root, undisturbed):
    cut(root)
    searched(root)
    assert asked(root) == asked(undisturbed)
    reporter = Noting()
    with open_project(root, reporter=reporter) as project:
        assert len(tuned(project, SLOT).trials) == 8
    assert not any("--max-time" in said for said in reporter.said)


def test_a_search_on_record_needs_no_time(undisturbed, tmp_path):
    root = ladders.copied(undisturbed, tmp_path / "small")
    with open_project(root) as project:
        project.stop_request.within(0)
        assert len(tune(project, SLOT).trials) == 8


def test_time_that_is_over_before_anything_was_found_is_no_mistake(root, capsys):
    assert run(["tune", "--project", str(root), "--max-time", "0s"]) == 0
    told = capsys.readouterr()
    assert not told.out
    assert "the time limit of --max-time is over" in told.err
    assert issubclass(TimeOverError, Exception)
    assert TimeOverError.exit_code == 0


def test_a_time_that_is_none_is_refused(root, capsys):
    assert run(["tune", "--project", str(root), "--max-time", "4 parsecs"]) == 2
    assert "90s, 30m, 2h, 30d or 2w" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["grid", "sweep"])
def test_grids_and_sweeps_end_in_time_too(root, verb):
    with open_project(root) as project:

        def over(done):
            if done == 2:
                project.stop_request.within(0)

        project.reporter = Noting(over)
        values = {"factor": [0.8, 0.9, 1.0, 1.1], "level": [1, 2]}
        if verb == "grid":
            found = grid(project, SLOT, values)
        else:
            found = sweep(project, SLOT, "quick", space=values, refine=True)
        assert 2 <= len(found.trials) < 8
        assert any("--max-time" in said for said in project.reporter.said)


# --retry-failed ----------------------------------------------------------------------------------


@contextmanager
def failing(*numbers):
    """Let these trainings, counted from 1, raise; gives where all are counted."""
    fit, counted = quick.QuickFamily.fit, []

    def wrong(self, config, train, validation, *, seed, report):
        counted.append(config)
        if len(counted) in numbers:
            report(1, {"train_loss": 9.0})
            raise RuntimeError("the disk was full")
        return fit(self, config, train, validation, seed=seed, report=report)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quick.QuickFamily, "fit", wrong)
        yield counted


def retried(root, reporter=None):
    with open_project(root, reporter=reporter) as project:
        project.retry_failed = True
        return tune(project, SLOT)


def searched_badly(root, *numbers):
    """A search of which these trainings fail."""
    with failing(*numbers):
        return searched(root)


def test_failed_trials_are_trained_again_when_asked_for_and_others_never(root):
    searched_badly(root, 2, 5)
    before = asked(root)
    assert [state for _, _, state, _ in before].count("failed") == 2
    reporter = Noting()
    with failing() as trained:
        found = retried(root, reporter)
    assert len(trained) == 2
    assert any("2 failed trials are trained again" in said for said in reporter.said)
    after = asked(root)
    assert {state for _, _, state, _ in after} == {"complete"}
    # It asked for the later ones knowing that those two had failed, and does not ask for others.
    assert [row[:2] for row in after] == [row[:2] for row in before]
    assert len(found.trials) == 8


def test_after_a_retry_the_same_command_trains_nothing_and_asks_for_nothing_else(root):
    searched_badly(root, 2, 5)
    retried(root)
    before = asked(root)
    with failing() as trained:
        searched(root)
        retried(root)
    assert trained == []
    assert asked(root) == before


@pytest.mark.slow
def test_a_search_goes_on_after_a_retry_as_it_would_have_without(root, tmp_path):
    other, configs = project_in(tmp_path / "other"), []
    for folder, goes_on in ((root, retried), (other, searched)):
        with failing(2, 3):
            cut(folder, after=4)
        goes_on(folder)
        configs.append([row[:2] for row in asked(folder)])
    assert len(configs[0]) == 8
    assert configs[0] == configs[1]
    assert {state for _, _, state, _ in asked(root)} == {"complete"}


def test_a_trial_that_fails_again_is_tried_once_a_command(root):
    searched_badly(root, 2)
    with failing(1) as trained:
        retried(root)
    assert len(trained) == 1
    assert [state for _, _, state, _ in asked(root)].count("failed") == 1


def test_why_a_trial_had_failed_stays_on_record(root):
    searched_badly(root, 2)
    retried(root)
    notes = query(root, "SELECT text FROM note")
    assert len(notes) == 1
    assert "the disk was full" in notes[0]["text"]
    assert query(root, "SELECT count(*) AS n FROM trial WHERE reason != ''")[0]["n"] == 0
    assert query(root, "SELECT count(*) AS n FROM study_trial WHERE phase = 'retried'")[0]["n"] == 1


def test_a_retry_that_was_killed_goes_on_without_being_asked_for(root):
    searched_badly(root, 2, 5)
    with pytest.raises(KeyboardInterrupt):
        retried(root, projects.Interrupting(4))
    searched(root)
    assert {state for _, _, state, _ in asked(root)} == {"complete"}


@pytest.mark.parametrize("verb", rest_slow(["sweep", "tune", "grid"], fast=1))
def test_every_search_takes_the_flag(root, verb, capsys):
    words = [verb, "--project", str(root), "-q", *(["--mode", "quick"] * (verb == "sweep"))]
    with failing(1):
        assert run(words) == 0
    assert " failed " in capsys.readouterr().out
    with failing() as trained:
        assert run([*words, "--retry-failed"]) == 0
    assert len(trained) == 1
    assert " failed " not in capsys.readouterr().out


# Limits ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_whatever_a_trial_does_it_fails_with_its_reason_and_the_search_goes_on(root):
    does = [fakes.FITS, fakes.HANGS, fakes.RAISES, fakes.DIVERGES, fakes.DIES, fakes.SWELLS]
    with fakes.installed() as name:
        projects.configure(
            root,
            slots={SLOT: {"families": [name]}},
            tune={"trials": len(does), "generation": 6, "epochs": 3, "search": "grid"},
            space={name: {"does": does}},
            runner={"name": "local", "jobs": 2, "max_seconds": 2.0, "max_memory": "384MiB"},
        )
        reporter = Noting()
        found = searched(root, reporter)
        again = searched(root)
    reasons = {row.config["does"]: row.reason for row in found.trials}
    assert set(reasons) == set(does)
    assert reasons[fakes.FITS] == ""
    assert reasons[fakes.HANGS] == "took longer than 2 s (runner.max_seconds)"
    assert fakes.REASON in reasons[fakes.RAISES]
    assert fakes.REASON in reasons[fakes.DIVERGES]
    assert "SIGKILL" in reasons[fakes.DIES]
    assert "0.375 GiB allowed (runner.max_memory)" in reasons[fakes.SWELLS]
    assert any("5 failed" in note for note in reporter.notes)
    # What killed its worker is not tried again by itself.
    assert {row.config["does"]: row.reason for row in again.trials} == reasons


def test_limits_without_workers_are_refused_in_a_sentence(root):
    for limit in ({"runner__max_seconds": 1.0}, {"runner__max_memory": "4GiB"}):
        with pytest.raises(UsageError, match="supports neither limits of a trial nor devices"):
            searched(root, **limit)


def test_a_size_that_is_none_is_refused(root, capsys):
    words = ["tune", "--project", str(root), "--trial-memory", "much"]
    assert run(words) == 2
    assert "a size such as 4GiB" in capsys.readouterr().err


# Status and stop ---------------------------------------------------------------------------------


def test_nothing_runs_where_nothing_runs(root, capsys):
    assert status(root) == []
    assert run(["status", "--project", str(root)]) == 0
    assert capsys.readouterr().out == "nothing is running\n"
    assert run(["status", "--project", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == []


def test_stopping_where_nothing_runs_is_not_found(root, capsys):
    assert run(["stop", "--project", str(root)]) == 3
    assert "nothing is running" in capsys.readouterr().err
    with pytest.raises(NotFoundError, match=f"nothing is running on {SLOT}"):
        stop(root, SLOT, patience=1, say=print)


def test_what_runs_tells_how_far_it_is(root, monkeypatch):
    monkeypatch.setattr(activity, "WRITE_SECONDS", 0.0)
    seen = []
    searched(root, Noting(lambda done: seen.append(status(root))))
    [facts] = seen[2]
    assert (facts["slot"], facts["verb"], facts["pid"]) == (SLOT, "tune", os.getpid())
    assert (facts["done"], facts["total"], facts["failed"]) == (3, 8, 0)
    assert facts["best"] > 0
    assert facts["left"] >= 0
    assert status(root) == []


def test_no_time_left_is_guessed_before_a_trial_was_trained(root, monkeypatch):
    monkeypatch.setattr(activity, "WRITE_SECONDS", 0.0)
    searched(root)
    seen = []
    reporter = Noting(lambda done: seen.append(status(root)[0]["left"]))
    searched(root, reporter)
    assert seen == [None] * 8
    assert not any("left" in note for note in reporter.notes)


@pytest.mark.slow
def test_what_a_killed_driver_told_is_not_believed(root):
    driver = started(root)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    told = list((root / ".podium" / "running").glob("*.json"))
    assert told
    assert status(root) == []
    with pytest.raises(NotFoundError):
        stop(root, patience=1, say=print)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [False, True])
def test_a_search_is_stopped_from_another_terminal(root, at_once):
    driver, said = started(root), []
    assert stop(root, at_once=at_once, patience=PATIENCE, say=said.append) == []
    _, told = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 130, told
    assert b"continues" in told
    assert said[0].startswith(f"{SLOT}: podium tune is to stop")
    assert said[-1] == f"{SLOT}: podium tune has stopped"
    assert status(root) == []
    assert not running(root)


def started(root):
    """A search of very many trials that has begun to train."""
    words = [sys.executable, "-m", "podium", "tune", "--project", str(root), "-q"]
    words += ["--trials", "20000", "--search", "random"]
    driver = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    end = time.monotonic() + PATIENCE
    while not any(facts.get("done") for facts in status(root)):
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < end, "it does not begin"
        time.sleep(0.05)
    return driver


def test_a_step_that_does_not_stop_in_time_is_told(root, capsys):
    with open_project(root) as project:
        entered, leave = threading.Event(), threading.Event()

        def deaf():
            # Not in the main thread, so nobody can interrupt it.
            with project.locked(SLOT, "tune"):
                entered.set()
                leave.wait(PATIENCE)

        thread = threading.Thread(target=deaf)
        thread.start()
        entered.wait(PATIENCE)
        assert run(["stop", "--project", str(root), "--wait", "0.2"]) == 6
        assert "still runs after 0.2 s" in capsys.readouterr().err
        leave.set()
        thread.join()


def test_asking_what_runs_keeps_nobody_from_starting(root):
    done = threading.Event()

    def ask():
        while not done.is_set():
            status(root)

    with open_project(root) as project:
        with project.locked(SLOT, "tune"):
            pass
        thread = threading.Thread(target=ask)
        thread.start()
        try:
            for _ in range(50):
                with project.locked(SLOT, "tune"):
                    pass
        finally:
            done.set()
            thread.join()


def test_a_second_step_on_a_slot_is_refused_still(root):
    with (
        open_project(root) as project,
        project.locked(SLOT, "tune"),
        open_project(root) as other,
        pytest.raises(ConflictError, match="at work here"),
        other.locked(SLOT, "extend"),
    ):
        pass
    assert status(root) == []


def test_progress_tells_the_best_the_failed_and_the_time_left(root):
    reporter = Noting()
    with open_project(root, reporter=reporter) as project:
        heard = execute.Progress(project, f"{SLOT}: tune quick", 4)
        heard(0.5, execute.State.COMPLETE)
        heard(float("nan"), execute.State.FAILED, trained=True)
        heard(0.25, execute.State.PRUNED, trained=True)
        heard(0.75, execute.State.COMPLETE, trained=True)
    assert reporter.notes[0] == "best 0.5"
    assert reporter.notes[1].startswith("best 0.5, 1 failed")
    assert reporter.notes[2].startswith("best 0.25, 1 failed, 1 pruned")
    assert not reporter.notes[3].endswith("left")
