"""Thirty kills of a run, step by step, with one job and with two: it ends as if nobody had come."""

import json
import random
import shutil
import sys
from collections import Counter

import numpy as np
import pytest

import failpoints
import nursery
import projects
import quick
from podium.ledger.door import Door
from podium.steps.serving.predict import predict
from podium.steps.workspace.session import open_project
from projects import SLOT

pytestmark = pytest.mark.slow

ANY = "at any moment"
# Kills in each step at each place, with one job and with two, and how often a place is passed at
# most before one.
KILLS = {
    ("tune", "before a start is written"): (1, 1, 4),
    ("tune", "in training"): (2, 2, 5),
    ("tune", "inside an end"): (2, 1, 24),
    ("tune", "while the results are written"): (1, 1, 6),
    ("extend", "before a start is written"): (1, 1, 2),
    ("extend", "in training"): (2, 2, 3),
    ("extend", "inside an end"): (2, 1, 16),
    ("finalize", "in an artefact's rename"): (1, 1, 1),
    ("finalize", "inside the evidence"): (1, 1, 3),
    ("backtest", "inside the evidence"): (1, 1, 5),
    ("backtest", "inside a receipt"): (1, 1, 2),
    ("promote", "before or after a decision"): (2, 1, 2),
    ("promote", "while the report is written"): (1, 1, 5),
    ("", ANY): (2, 2, 0),
}


@pytest.fixture(scope="module")
def children():
    with (
        quick.offered() as folder,
        nursery.Nursery("failpoints", "podium.steps.workspace.sync", path=[folder]) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    place = tmp_path_factory.mktemp("blank") / "small"
    root = projects.small_project(place, **failpoints.RUN, policies=projects.LENIENT)
    projects.keep_two_years(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(blank, children, tmp_path_factory):
    """What a run leaves when nobody kills it, and how long it takes with one job and with two."""
    found = []
    for jobs in (1, 2):
        root = shutil.copytree(blank, tmp_path_factory.mktemp(f"whole{jobs}") / "small")
        child = children.run("failpoints:whole_run", root, jobs)
        assert (child.code, child.error) == (0, "")
        found.append((told(root), child.seconds))
    assert found[0][0] == found[1][0]
    return found[0][0], {1: found[0][1], 2: found[1][1]}


def told(root):
    """Config, metrics and forecasts of the champion, and the whole record, without clocks, ids."""
    items = json.loads((root / "reports" / "run.json").read_text())["items"]
    [champion] = Door("sqlite:///podium.db", root, "p-small").champions().values()
    [page] = [
        {key: item[key] for key in ("family", "config", "validation", "test")} for item in items
    ]
    with quick.offered() as folder:
        sys.path.insert(0, folder)
        try:
            with open_project(root) as project:
                forecast = predict(project, SLOT, candidate=champion.candidate_id, bars=20)
        finally:
            sys.path.remove(folder)
    tuning = json.loads((root / "hyperparameter_tuning_results/trial_results.json").read_text())
    best = {one["trial"]: one["value"] for one in tuning["trials"]}
    numbers = np.asarray(forecast.prediction.mean).tobytes().hex()
    return projects.outcome(root), page, numbers, best


class Series:
    """One project, run by one process after the other, most of them killed."""

    def __init__(self, blank, place, children, jobs):
        self.root = shutil.copytree(blank, place / "small")
        self.children, self.jobs = children, jobs
        self.ended = {}

    def round(self, place=(), kill_after=None):
        """Let the run go on where it was; whether it was killed."""
        child = self.children.run(
            "failpoints:whole_run", self.root, self.jobs, *place, kill_after=kill_after
        )
        assert child.was_killed or (child.code, child.error) == (0, ""), (place, child)
        if (self.root / "podium.db").exists():
            projects.open_ledger(self.root, "p-small").close()
            rows = projects.query(
                self.root, "SELECT key, ended_at, score FROM trial WHERE state = 'complete'"
            )
            now = {row["key"]: (row["ended_at"], row["score"]) for row in rows}
            # What had ended was neither lost nor trained again.
            assert self.ended.items() <= now.items()
            self.ended = now
        return child.was_killed

    def finish(self, expected):
        assert not self.round()
        projects.assert_clean(self.root)
        assert told(self.root) == expected
        assert list((self.root / ".podium").glob("work/*/*")) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_nobody_disturbed(
    blank, undisturbed, children, tmp_path, capsys, jobs
):
    expected, seconds = undisturbed
    draw, had = random.Random(jobs), Counter()
    left = Counter({place: counts[jobs - 1] for place, counts in KILLS.items()})
    asked, count = left.copy(), 0
    while left.total():
        count += 1
        series = Series(blank, tmp_path / str(count), children, jobs)
        # In the order of the steps, so that one project is killed in many of them.
        for place in list(KILLS):
            if not left[place]:
                continue
            step, where = place
            turn = draw.randrange(KILLS[place][2] or 1)
            if where == ANY:
                killed = series.round(kill_after=draw.uniform(0.1, 0.9) * seconds[jobs])
            else:
                killed = series.round((step, where, turn))
            had[place] += killed
            left[place] -= killed
        series.finish(expected)
        assert count < 12, left
    assert had == asked
    lines = [f"  {n:3d}  {step or 'any step':9s} {where}" for (step, where), n in had.items()]
    with capsys.disabled():
        title = f"\nkill -9 of podium run, {jobs} jobs, {count} projects, by step and place:"
        sys.stdout.write("\n".join([title, *lines, f"  {had.total():3d}  in all", ""]))


def test_there_are_thirty_kills_and_each_step_that_writes_has_some():
    assert sum(one + two for one, two, _ in KILLS.values()) >= 30
    assert {step for step, _ in KILLS} == {"tune", "extend", "finalize", "backtest", "promote", ""}
