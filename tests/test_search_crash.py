"""Fifty kills of a search, and some of its workers: each config is trained once."""

import json
import shutil
from collections import Counter

import pytest

import crash_rounds
import failpoints
import projects
from crash_rounds import ANY, kill_all, show
from podium.hashing import canonical
from projects import query

pytestmark = pytest.mark.slow

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
def blank(tmp_path_factory):
    return crash_rounds.blank(tmp_path_factory.mktemp("blank"), **failpoints.SEARCH)


@pytest.fixture(scope="module")
def undisturbed(blank, children, tmp_path_factory):
    """What a search leaves when nobody kills it, and how long it takes."""
    series = Series(children, blank, tmp_path_factory.mktemp("undisturbed"))
    found = series.undisturbed()
    series.require_trained_once()
    assert len(series.ended_after[0]) == 12
    return found


class Series(crash_rounds.Series):
    """What was trained in each round, and what of it is on record."""

    program = "failpoints:search"

    def __init__(self, children, start, folder):
        super().__init__(children, start, folder)
        self.trainings = folder / "trainings"
        # What has ended by the end of each round.
        self.ended_after = []

    def arguments(self):
        return self.trainings, len(self.ended_after)

    def look(self, child):
        self.ended_after.append(ended(self.root))

    def told(self):
        return told(self.root)

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
        super().finish(expected)
        self.require_trained_once()
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


def test_fifty_kills_of_a_search_train_every_config_once(
    blank, undisturbed, children, tmp_path, capsys
):
    had = kill_all(KILLS, lambda name: Series(children, blank, tmp_path / name), undisturbed)
    show(capsys, "a search", had)
    assert had[0].total() >= 50


class Scheduled(Series):
    """The same where trials pause, are given up, and the best have further seeds."""

    def finish(self, expected):
        crash_rounds.Series.finish(self, expected)
        assert query(self.root, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        twice = "SELECT key FROM trial GROUP BY key HAVING count(*) > 1"
        assert query(self.root, twice) == []
        states = query(self.root, "SELECT DISTINCT state FROM trial ORDER BY 1")
        assert [row["state"] for row in states] == ["complete", "pruned"]
        # What ended, or was given up, leaves no state to go on from.
        assert list((self.root / ".podium").glob("work/*/*")) == []


def test_kills_of_a_search_with_a_schedule_leave_the_same_study(blank, children, tmp_path, capsys):
    start = shutil.copytree(blank, tmp_path / "blank")
    projects.configure(start, **failpoints.SCHEDULED)
    had = kill_all(
        SCHEDULED_KILLS,
        lambda name: Scheduled(children, start, tmp_path / name),
        Scheduled(children, start, tmp_path / "whole").undisturbed(),
    )
    show(capsys, "a search with a schedule", had)


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
    series = drawn(Series(children, blank, tmp_path_factory.mktemp("whole")))
    assert not series.round()
    return trials(series.root)


@pytest.mark.parametrize("moment", ["training", "saving", "judging"])
@pytest.mark.parametrize("number", [0, 7])
def test_a_killed_worker_is_one_failed_trial_that_is_not_trained_again(
    blank, whole, children, tmp_path, moment, number
):
    series = drawn(Series(children, blank, tmp_path))
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
    assert not series.round()
    assert series.trainings.read_text().splitlines() == lines
