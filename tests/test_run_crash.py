"""Thirty kills of a run, step by step, with one job and with two: it ends as if nobody had come."""

import json
import sys

import numpy as np
import pytest

import crash_rounds
import failpoints
import projects
import quick
from crash_rounds import ANY, kill_all, show
from podium.ledger.record_reader import RecordReader
from podium.steps.serving.predict import predict
from podium.steps.workspace.session import open_project
from projects import SLOT

pytestmark = pytest.mark.slow

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
def blank(tmp_path_factory):
    place = tmp_path_factory.mktemp("blank")
    return crash_rounds.blank(place, **failpoints.RUN, policies=projects.LENIENT)


@pytest.fixture(scope="module")
def undisturbed(blank, children, tmp_path_factory):
    """What a run leaves when nobody kills it, and how long it takes with one job and with two."""
    found = {
        jobs: Series(jobs, children, blank, tmp_path_factory.mktemp(f"whole{jobs}")).undisturbed()
        for jobs in (1, 2)
    }
    assert found[1][0] == found[2][0]
    return found


def told(root):
    """Config, metrics and forecasts of the champion, and the whole record, without clocks, ids."""
    items = json.loads((root / "reports" / "run.json").read_text())["items"]
    [champion] = RecordReader("sqlite:///podium.db", root, "p-small").champions().values()
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


class Series(crash_rounds.Series):
    """What had ended after one process has ended in the same way after the next."""

    program = "failpoints:whole_run"

    def __init__(self, jobs, *given):
        super().__init__(*given)
        self.jobs = jobs
        self.ended = {}

    def arguments(self):
        return (self.jobs,)

    def look(self, child):
        if (self.root / "podium.db").exists():
            projects.open_ledger(self.root, "p-small").close()
            rows = projects.query(
                self.root, "SELECT key, ended_at, score FROM trial WHERE state = 'complete'"
            )
            now = {row["key"]: (row["ended_at"], row["score"]) for row in rows}
            # What had ended was neither lost nor trained again.
            assert self.ended.items() <= now.items()
            self.ended = now

    def told(self):
        return told(self.root)

    def finish(self, expected):
        super().finish(expected)
        projects.assert_clean(self.root)
        assert list((self.root / ".podium").glob("work/*/*")) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_nobody_disturbed(
    blank, undisturbed, children, tmp_path, capsys, jobs
):
    kills = {place: (counts[jobs - 1], counts[2]) for place, counts in KILLS.items()}
    # In the order of the steps, so that one project is killed in many of them.
    had = kill_all(
        kills,
        lambda name: Series(jobs, children, blank, tmp_path / name),
        undisturbed[jobs],
        seed=jobs,
        in_turn=True,
    )
    show(capsys, f"podium run, {jobs} jobs", had)


def test_there_are_thirty_kills_and_each_step_that_writes_has_some():
    assert sum(one + two for one, two, _ in KILLS.values()) >= 30
    assert {step for step, _ in KILLS} == {"tune", "extend", "finalize", "backtest", "promote", ""}
