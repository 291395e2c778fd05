"""A run of a network that is killed or out of disk goes on where it was and ends with the same."""

import json
import multiprocessing as mp
import os
import shutil
import signal

import pytest

import crash_rounds
import failpoints
import nursery
import projects
from crash_rounds import kill_all, show
from podium.ledger.record_reader import RecordReader
from podium.steps.search.tune import tune
from podium.steps.workspace.project import Silent
from podium.steps.workspace.session import open_project
from projects import SLOT, query, small_project

pytestmark = pytest.mark.slow

WORKERS = {"name": "local", "jobs": 2}
# How often each place is passed at most before the kill, and how many jobs the run has that is
# killed there and nowhere else: who trains must not live on, nor who waits for more to train.
MOMENTS = {
    ("tune", "inside an end"): (1, 1),
    ("tune", "in training"): (2, 2),
    ("extend", "in training"): (1, 2),
    ("finalize", "in training"): (9, 1),
    ("finalize", "in an artefact's rename"): (2, 1),
    ("finalize", "inside the evidence"): (1, 1),
    ("backtest", "inside the evidence"): (2, 1),
    ("promote", "before or after a decision"): (2, 2),
}


@pytest.fixture(scope="module")
def children():
    """Processes that have torch loaded, and whatever they start."""
    with nursery.Nursery(*failpoints.WITH_TORCH) as found:
        yield found


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    return crash_rounds.blank(tmp_path_factory.mktemp("blank"), policies=projects.LENIENT)


@pytest.fixture(scope="module")
def undisturbed(blank, children, tmp_path_factory):
    """What a run finds that nobody disturbs."""
    return Series(children, blank, tmp_path_factory.mktemp("undisturbed")).undisturbed()


class Series(crash_rounds.Series):
    """After each process nobody is left, the record is whole, and what had ended stays as it is."""

    program = "failpoints:whole_run"

    def __init__(self, *given, jobs=1):
        super().__init__(*given)
        self.jobs = jobs
        self.complete = []

    def arguments(self):
        return (self.jobs,)

    def look(self, child):
        assert self.children.left(within=20.0) == []
        if not (self.root / "podium.db").exists():
            return
        assert query(self.root, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        tables = query(self.root, "SELECT name FROM sqlite_master WHERE name = 'trial'")
        rows = query(self.root, "SELECT id, state, ended_at FROM trial") if tables else []
        assert all(row in rows for row in self.complete)
        self.complete = [row for row in rows if row["state"] == "complete"]

    def told(self):
        """The project is what it would be if it had never been disturbed, and nothing else."""
        projects.assert_clean(self.root)
        champions = RecordReader("sqlite:///podium.db", self.root, "p-small").champions()
        kept = json.loads((self.root / ".podium" / "champions.json").read_text())["champions"]
        assert {slot: row["candidate_id"] for slot, row in kept.items()} == {
            slot: champion.candidate_id for slot, champion in champions.items()
        }
        assert list(champions) == [SLOT]
        assert (self.root / "reports" / "run.html").read_text().rstrip().endswith("</html>")
        return projects.outcome(self.root)


def test_nobody_is_left_after_a_run_by_two_workers_that_ended_by_itself(
    blank, undisturbed, children, tmp_path
):
    Series(children, blank, tmp_path, jobs=2).finish(undisturbed[0])


@pytest.mark.parametrize(("step", "where"), MOMENTS)
def test_a_run_killed_at_any_stage_goes_on(blank, undisturbed, children, tmp_path, step, where):
    turns, jobs = MOMENTS[step, where]
    series = Series(children, blank, tmp_path, jobs=jobs)
    assert series.round(step, where, turns - 1)
    # Who trains does not change the result, and this process starts at once.
    series.jobs = 1
    series.finish(undisturbed[0])


def test_a_run_killed_at_one_stage_after_the_other_comes_to_its_end(
    blank, undisturbed, children, tmp_path, capsys
):
    kills = {place: (1, turns) for place, (turns, _) in MOMENTS.items()}
    had = kill_all(
        kills, lambda name: Series(children, blank, tmp_path / name), undisturbed, in_turn=True
    )
    show(capsys, "a run of a network", had)


def test_a_run_killed_before_any_of_its_writes_to_the_disk_goes_on(
    blank, undisturbed, children, tmp_path
):
    # Every file that is opened for writing, renamed or removed is a moment to die at.
    survived, rubbish = 0, []
    for place in range(100):
        series = Series(children, blank, tmp_path / str(place))
        if not series.round("", failpoints.WRITES, place):
            break
        series.finish(undisturbed[0])
        survived += 1
        rubbish += [f"{place}: {path}" for path in series.root.glob("models/registry/.*")]
        shutil.rmtree(series.root)
    assert 10 < survived < 100
    # A half-copied artefact of a dead process belongs to nobody; the next run may clear it.
    assert rubbish == []


def test_a_killed_worker_costs_one_trial_and_the_search_goes_on(tmp_path):
    class Killing(Silent):
        """Ends one of the workers when the first trial is done."""

        killed = 0

        def progress(self, label, done, total, note=""):
            if not self.killed and "tune lstm" in label:
                self.killed = mp.active_children()[0].pid
                os.kill(self.killed, signal.SIGKILL)

    root = small_project(
        tmp_path / "small", runner=WORKERS, tune={"trials": 8, "generation": 8, "epochs": 10}
    )
    reporter = Killing()
    with open_project(root, reporter=reporter) as project:
        found = tune(project, SLOT)
    assert reporter.killed
    states = [row.state.value for row in found.trials]
    assert len(states) == 8
    assert states.count("failed") == 1
    assert states.count("complete") == 7
    [reason] = [row.reason for row in found.trials if row.reason]
    assert "SIGKILL" in reason


# A full disk


@pytest.mark.parametrize(
    ("free", "jobs"),
    [(0, 1), (40, 1), (200, 2), (800, 1), (1400, 2), (1700, 1), (1800, 2), (1900, 1)],
)
def test_a_full_disk_is_told_in_a_sentence_and_the_run_goes_on_with_room(
    small_disk, blank, undisturbed, children, free, jobs
):
    series = Series(children, blank, small_disk, jobs=jobs)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - free * 1024))
    child = children.run("failpoints:or_say", "whole_run", series.root, jobs)
    assert (child.code, "Traceback" in child.error) == (0, False)
    stopped = [line for line in child.told if line.startswith("stopped ")]
    # How much a run needs changes with the code; that it needs more than this does not.
    assert stopped or free > 200
    assert all("space" in line.lower() for line in stopped)
    ballast.unlink()
    series.look(child)
    series.jobs = 1
    series.finish(undisturbed[0])
