"""Fifty kills of a search, and some of its workers: each config is trained once."""

import json
import random
import shutil
import sys
from collections import Counter

import pytest

import failpoints
import nursery
import projects
import quick
from podium.hashing import canonical
from projects import query

pytestmark = pytest.mark.slow

ANY = "at any moment"
# Kills at each place, and how often a place is passed at most before one.
KILLS = {
    "before a start is written": (6, 3),
    "in training": (8, 6),
    "while a worker is busy": (10, 6),
    "inside an end": (8, 24),
    "between generations": (6, 3),
    "while a model is kept": (6, 4),
    "while the results are written": (6, 12),
    ANY: (6, 0),
}
SCHEDULED_KILLS = {
    "while a state is put away": (6, 8),
    "inside a pause": (6, 30),
    "inside a decision": (6, 8),
    "inside an end": (4, 24),
    "before a start is written": (4, 6),
    ANY: (4, 0),
}
# Two that train, and one that has ended and is not on record yet.
MOST_IN_FLIGHT = 3
FILES = "hyperparameter_tuning_results"


@pytest.fixture(scope="module")
def children():
    with (
        quick.offered() as folder,
        nursery.Nursery("failpoints", "podium.searches.three_phase", path=[folder]) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """The project before anything was searched in it."""
    place = tmp_path_factory.mktemp("blank") / "small"
    root = projects.small_project(place, **failpoints.SEARCH)
    projects.keep_two_years(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(blank, children, tmp_path_factory):
    """What a search leaves when nobody kills it, and how long it takes."""
    series = Series(blank, tmp_path_factory.mktemp("undisturbed"), children)
    assert not series.round("", 0)
    series.require_trained_once()
    assert len(series.ended_after[0]) == 12
    return told(series.root), series.seconds


class Series:
    """One project, searched by one process after the other, most of them killed."""

    def __init__(self, blank, place, children):
        self.root = shutil.copytree(blank, place / "small")
        self.trainings = place / "trainings"
        self.children = children
        # What has ended by the end of each round.
        self.ended_after = []
        self.seconds = 0.0

    def round(self, where, turn, kill_after=None):
        """Let the search go on where it was; whether it was killed."""
        place = [] if where in ("", ANY) else [where, turn]
        number = len(self.ended_after)
        child = self.children.run(
            "failpoints:search", self.root, self.trainings, number, *place, kill_after=kill_after
        )
        assert child.was_killed or (child.code, child.error) == (0, ""), (where, turn, child)
        assert "Traceback" not in child.error, (where, turn, child.error)
        self.seconds = child.seconds
        self.ended_after.append(ended(self.root))
        return child.was_killed

    def require_trained_once(self):
        """Only what was in flight at a kill was trained again, and nothing that had ended."""
        lines = self.trainings.read_text().splitlines()
        rounds = [(int(number), key) for number, key in (line.split(maxsplit=1) for line in lines)]
        assert len(set(rounds)) == len(rounds)
        lost = Counter()
        for number, key in rounds:
            assert number == 0 or key not in self.ended_after[number - 1]
            lost[number] += key not in self.ended_after[number]
        assert max(lost.values()) <= MOST_IN_FLIGHT
        kept = Counter(key for number, key in rounds if key in self.ended_after[number])
        assert kept == Counter(self.ended_after[-1])

    def finish(self, expected):
        """Undisturbed to the end, everything is as if nobody had ever been killed."""
        assert not self.round("", 0)
        self.require_trained_once()
        assert told(self.root) == expected
        projects.assert_clean(self.root)
        assert list((self.root / ".podium").glob("work/*")) == []
        left = [p.name for p in (self.root / FILES).rglob(".*")]
        assert left == []


def ended(root):
    """Configs, with their seeds, whose end is on record."""
    if not (root / "podium.db").exists():
        return set()
    projects.open_ledger(root, "p-small").close()
    rows = query(
        root, "SELECT config, seed FROM trial WHERE family = 'quick' AND state = 'complete'"
    )
    return {canonical([json.loads(row["config"]), row["seed"]]) for row in rows}


def told(root):
    """The record, and the files a search leaves, without clocks and ids."""
    results = json.loads((root / FILES / "trial_results.json").read_text())
    facts = ("trial", "phase", "state", "config", "value", "metrics", "epochs", "best_epoch")
    trials = [{name: one[name] for name in facts} for one in results["trials"]]
    kept = {one["trial"]: one["checkpoint"] for one in results["trials"] if one["checkpoint"]}
    models = {
        number: (root / FILES / name / "model.json").read_text() for number, name in kept.items()
    }
    there = {p.name for p in (root / FILES / "checkpoints").iterdir()}
    assert there == {name.rpartition("/")[2] for name in kept.values()}
    history = json.loads((root / FILES / "optimization_history.json").read_text())
    best = [one["best_value"] for one in history["trials"]]
    files = sorted(p.name for p in (root / FILES).iterdir())
    return projects.outcome(root), trials, models, best, files


def kill_all(kills, series_of, undisturbed, capsys):
    """Rounds until each place has had its kills, and what they came to each time."""
    expected, seconds = undisturbed
    draw, had = random.Random(7), Counter()
    left = Counter({name: count for name, (count, _) in kills.items()})
    projects_made = 0
    while left.total():
        projects_made += 1
        series, killed = series_of(str(projects_made)), True
        while killed and left.total():
            [where] = draw.sample(list(left), 1, counts=list(left.values()))
            turn = draw.randrange(kills[where][1] or 1)
            moment = draw.uniform(0.05, 0.9) * seconds if where == ANY else None
            killed = series.round(where, turn, moment)
            if killed:
                had[where] += 1
                left[where] -= 1
        series.finish(expected)
    assert had == Counter({name: n for name, (n, _) in kills.items()})
    lines = [f"  {n:3d}  {name}" for name, n in [*had.items(), ("in all", had.total())]]
    with capsys.disabled():
        title = f"\nkill -9 of a search, {projects_made} projects, by the place of the kill:"
        sys.stdout.write("\n".join([title, *lines, ""]))
    return had


def test_fifty_kills_of_a_search_train_every_config_once(
    blank, undisturbed, children, tmp_path, capsys
):
    had = kill_all(
        KILLS, lambda name: Series(blank, tmp_path / name, children), undisturbed, capsys
    )
    assert had.total() >= 50


class Scheduled(Series):
    """The same where trials pause, are given up, and the best have further seeds."""

    def finish(self, expected):
        assert not self.round("", 0)
        assert told(self.root) == expected
        assert query(self.root, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        twice = "SELECT key FROM trial GROUP BY key HAVING count(*) > 1"
        assert query(self.root, twice) == []
        states = query(self.root, "SELECT DISTINCT state FROM trial ORDER BY 1")
        assert [row["state"] for row in states] == ["complete", "pruned"]
        # What ended, or was given up, leaves no state to go on from.
        assert list((self.root / ".podium" / "work").glob("*/*")) == []


def test_kills_of_a_search_with_a_schedule_leave_the_same_study(blank, children, tmp_path, capsys):
    start = shutil.copytree(blank, tmp_path / "blank")
    projects.configure(start, **failpoints.SCHEDULED)
    whole = Scheduled(start, tmp_path / "whole", children)
    assert not whole.round("", 0)
    kill_all(
        SCHEDULED_KILLS,
        lambda name: Scheduled(start, tmp_path / name, children),
        (told(whole.root), whole.seconds),
        capsys,
    )


def drawn(series):
    """Every trial of a search whose draws do not depend on how others did."""
    settings = projects.merge(failpoints.SEARCH, {"tune": {"search": "random"}})
    projects.configure(series.root, **settings)
    return series


def trials(root):
    return query(
        root,
        "SELECT key, state, score, loss_hash FROM trial WHERE family = 'quick' ORDER BY key",
    )


@pytest.fixture(scope="module")
def whole(blank, children, tmp_path_factory):
    """All trials of such a search that nobody disturbs."""
    series = drawn(Series(blank, tmp_path_factory.mktemp("whole"), children))
    assert not series.round("", 0)
    return trials(series.root)


@pytest.mark.parametrize("moment", ["training", "saving", "judging"])
@pytest.mark.parametrize("number", [0, 7])
def test_a_killed_worker_is_one_failed_trial_that_is_not_trained_again(
    blank, whole, children, tmp_path, moment, number
):
    series = drawn(Series(blank, tmp_path, children))
    arguments = (series.root, series.trainings, moment, number)
    child = children.run("failpoints:search_with_a_worker_dying", *arguments)
    assert (child.code, child.error) == (0, "")
    lines = series.trainings.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 12
    found = trials(series.root)
    [wrong] = [row for row in found if row["state"] == "failed"]
    others = [row for row in whole if row["key"] != wrong["key"]]
    assert [row for row in found if row["state"] != "failed"] == others
    [row] = query(series.root, "SELECT reason FROM trial WHERE state = 'failed'")
    assert "signal SIGKILL" in row["reason"]
    assert not series.round("", 0)
    assert series.trainings.read_text().splitlines() == lines
