"""The same study from every search: whatever the jobs, the interruptions, the space, the families.

Runs over the folder of searches, so a new one is held to it too.
"""

import random
import subprocess

import pytest

import brisk
import ladder as ladders
import projects
import quick
from looped import rest_slow
from podium import registry
from podium.runners.local import LocalRunner
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project
from projects import SLOT, Interrupting, query

# The fast suite runs the first ones.
SEARCHES = sorted(registry.names("searches"), key=lambda name: name not in ("tpe", "three_phase"))
TRIALS, GENERATION = 9, 3
# One parameter that counts at some levels only, one on a scale of its own.
SPACE = {
    "factor": {"low": 0.6, "high": 1.4, "log": True, "when": {"level": [2, 3, 4]}},
    "level": [1, 2, 3, 4],
}
SETTINGS = {
    "slots": {SLOT: {"families": [quick.NAME, brisk.NAME]}},
    "tune": {"trials": TRIALS, "generation": GENERATION, "epochs": 3},
    "space": {quick.NAME: SPACE, brisk.NAME: {"level": [1, 3]}},
}


@pytest.fixture(scope="module", autouse=True)
def families():
    with quick.offered() as folder, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield


@pytest.fixture(scope="module")
def workers():
    """Warm workers, one to three of them; starting some for each test would take most of it."""
    made = {jobs: LocalRunner(jobs) for jobs in (1, 2, 3)}
    yield made
    for runner in made.values():
        runner.close()


@pytest.fixture(scope="module")
def blank(ladder):
    """The project before anything was searched in it."""
    return ladder.project("made", **SETTINGS)


def searched(root, name, runner=None, reporter=None):
    with open_project(root, settings={"tune.search": name}, reporter=reporter) as project:
        if runner is not None:
            project.runner = runner
        return tune(project, SLOT)


@pytest.fixture(scope="module")
def wholes(blank, tmp_path_factory):
    """Outcome of each search on one job, undisturbed; made when it is first asked for."""
    found = {}

    def whole(name):
        if name not in found:
            root = ladders.copied(blank, tmp_path_factory.mktemp(name) / "small")
            rows = searched(root, name).trials
            found[name] = projects.outcome(root), [(row.number, row.phase) for row in rows]
        return found[name]

    return whole


def test_the_study_that_is_compared_has_conditions_families_and_phases(wholes):
    outcome, places = wholes("three_phase")
    assert {phase for _, phase in places} == {"tune/start", "tune/model", "tune/refine"}
    assert sorted(number for number, _ in places) == list(range(2 * TRIALS))
    of_level_1 = [t["config"] for t in outcome["trials"] if '"level":1' in t["config"]]
    assert any('"factor":1.0' in config for config in of_level_1)


# Two jobs are those that are interrupted below.
@pytest.mark.parametrize(
    ("name", "jobs"),
    rest_slow([(name, jobs) for jobs in (3, 1) for name in SEARCHES], fast=1),
)
def test_any_number_of_jobs_gives_the_same_study(blank, tmp_path, wholes, workers, name, jobs):
    root = ladders.copied(blank, tmp_path / "small")
    searched(root, name, workers[jobs])
    assert projects.outcome(root) == wholes(name)[0]
    projects.assert_clean(root)


@pytest.mark.parametrize(
    ("name", "jobs"),
    rest_slow([(name, jobs) for name in SEARCHES for jobs in (0, 2)], fast=1),
)
def test_an_interruption_at_any_trial_changes_nothing(blank, tmp_path, wholes, workers, name, jobs):
    draw = random.Random(f"{name} {jobs}")
    root = ladders.copied(blank, tmp_path / "small")
    runner = workers.get(jobs)
    # Those that are on record are passed again, then some more; the shortest search has twelve.
    for stop in sorted(draw.sample(range(12), 3)):
        with pytest.raises(KeyboardInterrupt):
            searched(root, name, runner, Interrupting(stop))
    searched(root, name, runner)
    assert projects.outcome(root) == wholes(name)[0]
    projects.assert_clean(root)


# What is trained again, and what is not


def trained(root):
    rows = query(root, "SELECT count(*) AS n FROM trial WHERE family IN ('quick', 'brisk')")
    return rows[0]["n"]


def known(root):
    return query(root, "SELECT trial_id FROM study_trial WHERE phase = 'known'")


def git(root, *words):
    who = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


def test_a_new_commit_alone_retrains_nothing_and_is_on_record(blank, tmp_path):
    root = ladders.copied(blank, tmp_path / "small")
    git(root, "init", "--quiet")
    git(root, "add", "podium.toml")
    git(root, "commit", "--quiet", "-m", "one")
    first = searched(root, "tpe")
    (root / "notes.txt").write_text("nothing that matters")
    git(root, "add", "notes.txt")
    git(root, "commit", "--quiet", "-m", "two")
    again = searched(root, "tpe")
    assert [row.id for row in again.trials] == [row.id for row in first.trials]
    assert again.study.id == first.study.id
    assert trained(root) == 2 * TRIALS
    projects.configure(root, **projects.merge(SETTINGS, {"tune": {"trials": TRIALS + 1}}))
    searched(root, "tpe")
    assert trained(root) == 2 * TRIALS + 2
    commits = query(
        root,
        """SELECT DISTINCT e.git_commit FROM trial t JOIN environment e
           ON e.hash = t.environment_hash""",
    )
    assert len(commits) == 2


def a_bar(root, monkeypatch):
    path = next((root / "data" / "us4").glob("AAPL*.csv"))
    head, *bars = path.read_text().splitlines()
    place = next(n for n, bar in enumerate(bars) if bar.startswith("2001-06"))
    cells = bars[place].split(",")
    # Volume is no price, so nothing else about the bar is wrong.
    volume = head.lower().split(",").index("volume")
    cells[volume] = str(float(cells[volume]) + 1)
    bars[place] = ",".join(cells)
    path.write_text("\n".join([head, *bars]) + "\n")


def a_version(root, monkeypatch):
    for family in (quick.QuickFamily, brisk.BriskFamily):
        monkeypatch.setattr(family, "VERSION", 2, raising=False)


def a_split(root, monkeypatch):
    projects.configure(root, **projects.merge(SETTINGS, {"tune": {"validation_fraction": 0.3}}))


@pytest.mark.parametrize("change", rest_slow([a_bar, a_version, a_split], fast=1))
def test_what_makes_trials_incomparable_trains_all_of_them_anew(
    blank, tmp_path, monkeypatch, change
):
    root = ladders.copied(blank, tmp_path / "small")
    first = searched(root, "random")
    change(root, monkeypatch)
    again = searched(root, "random")
    assert again.study.id != first.study.id
    assert known(root) == []
    # The same configs by the same seeds, none of them taken for the other.
    assert [row.config for row in again.trials] == [row.config for row in first.trials]
    assert {row.id for row in again.trials}.isdisjoint(row.id for row in first.trials)
    assert trained(root) == 4 * TRIALS


@pytest.mark.parametrize("name", rest_slow(SEARCHES, fast=1))
def test_a_widened_space_keeps_every_trial_and_trains_none_again(blank, tmp_path, name):
    root = ladders.copied(blank, tmp_path / "small")
    few = projects.merge(SETTINGS, {"tune": {"trials": 5}})
    projects.configure(root, **few)
    first = searched(root, name)
    wider = {quick.NAME: {"factor": {"low": 0.5, "high": 1.5}}, brisk.NAME: {"level": [1, 2, 3]}}
    projects.configure(root, **projects.merge(few, {"space": wider}))
    after = searched(root, name)
    assert {row.id for row in first.trials} <= {row.id for row in after.trials}
    assert len(known(root)) == len(first.trials)
    assert after.best.score <= first.best.score
    projects.assert_clean(root)
    before = trained(root)
    searched(root, name)
    assert trained(root) == before
