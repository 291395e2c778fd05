"""Two hundred kills of a program that fills a record: what was acknowledged stays, all else too."""

import json
import random
import shutil
import sys
from collections import Counter
from contextlib import ExitStack

import pytest

import failpoints
import nursery
import projects
import quick
from projects import query

pytestmark = pytest.mark.slow

ANY = "at any moment"
# Kills at each place, and how often a place is passed at most before one.
KILLS = {
    "before a start is written": (25, 3),
    "in training": (25, 4),
    "while a worker is busy": (12, 2),
    "inside an end": (40, 24),
    "between commit and files": (40, 12),
    "in an artefact's rename": (30, 6),
    ANY: (28, 0),
}
# On a server a round takes longer, and what is above podium's tables is the same.
KILLS_ON_A_SERVER = {name: (3 if name != ANY else 2, turns) for name, (_, turns) in KILLS.items()}


@pytest.fixture(scope="module")
def children():
    with (
        quick.offered() as folder,
        nursery.Nursery("failpoints", "podium.steps.workspace.sync", path=[folder]) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """The project before anything was done in it."""
    place = tmp_path_factory.mktemp("blank") / "small"
    root = projects.small_project(place, **failpoints.SETTINGS)
    projects.keep_two_years(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(blank, children, tmp_path_factory):
    """What the program leaves when nobody kills it, and how long it takes."""
    root = shutil.copytree(blank, tmp_path_factory.mktemp("undisturbed") / "small")
    child = children.run("failpoints:work", root)
    assert (child.code, child.error) == (0, "")
    assert len(child.told) > 30
    return told(root), child.seconds


class Series:
    """One project, worked on by one process after the other, most of them killed."""

    def __init__(self, root, children):
        self.root, self.children = root, children
        self.ended: dict[str, str] = {}
        self.logged: set[str] = set()

    def round(self, where, turn, kill_after=None):
        """Let the program go on where it was; whether it was killed. Then look what is there."""
        place = [] if where == ANY else [where, turn]
        child = self.children.run("failpoints:work", self.root, *place, kill_after=kill_after)
        assert child.was_killed or child.code == 0, (where, turn, child)
        assert "Traceback" not in child.error, (where, turn, child.error)
        self.hear(child)
        return child.was_killed

    def hear(self, child):
        """Remember what was acknowledged, and look whether it is there."""
        for line in child.told:
            what, name, *score = line.split()
            if what == "ended":
                # One that ended does not end again.
                assert name not in self.ended
                self.ended[name] = score[0]
            elif what == "logged":
                assert name not in self.logged
                self.logged.add(name)
        if (self.root / "podium.db").exists() or not self.is_sqlite:
            self.look()

    @property
    def is_sqlite(self):
        return projects.url_of(self.root).startswith("sqlite")

    def look(self):
        """The record opens, is whole, has all that was acknowledged, and nothing twice."""
        projects.open_ledger(self.root, "p-small").close()
        if self.is_sqlite:
            assert query(self.root, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        rows = query(self.root, "SELECT id, run_id, state, score, origin FROM trial")
        complete = {row["id"]: repr(row["score"]) for row in rows if row["state"] == "complete"}
        assert self.ended.items() <= complete.items()
        names = [row["run_id"] for row in rows if row["run_id"]]
        assert self.logged <= set(names)
        assert len(set(names)) == len(names)
        # An end is there with all its epochs and results, or not at all.
        for table, of_quick, of_naive, of_logged in (("score", 7, 1, 0), ("result", 5, 3, 1)):
            counted = query(
                self.root,
                f"""SELECT t.family, t.state, count(r.trial_id) AS n FROM trial t
                    LEFT JOIN {table} r ON r.trial_id = t.id GROUP BY t.id, t.family, t.state""",
            )
            wanted = {quick.NAME: of_quick, "naive": of_naive, "toto": of_logged}
            for row in counted:
                whole = wanted[row["family"]] if row["state"] == "complete" else 0
                assert row["n"] == whole, (table, row)
        box = query(self.root, "SELECT subject_id FROM outbox WHERE kind = 'trial'")
        assert sorted(row["subject_id"] for row in box) == sorted(complete)
        ids = [line["id"] for line in log_of(self.root)]
        assert len(set(ids)) == len(ids)
        runs = [run["run_id"] for run in sweep_of(self.root)]
        assert len(set(runs)) == len(runs)
        active = self.root / "models" / "active_model.txt"
        assert not active.exists() or projects.Path(active.read_text().strip()).is_file()

    def finish(self, expected):
        """Undisturbed to the end, everything is as if nobody had ever been killed."""
        assert not self.round("", 0)
        assert told(self.root) == expected
        child = self.children.run("failpoints:examine", self.root)
        assert (child.code, child.error, child.told) == (0, "", [])
        assert list((self.root / ".podium").glob("work/*")) == []
        assert list((self.root / "models" / "registry").glob(".*")) == []


def log_of(root):
    """Lines of the users' log that can be read; the last one may be torn until the next time."""
    path = root / "experiments" / "experiments_log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = []
    for number, line in enumerate(lines):
        try:
            found += [json.loads(line)] if line.strip() else []
        except ValueError:
            assert number == len(lines) - 1, line
    return found


def sweep_of(root):
    path = root / "hyperparams" / "sweep_results.json"
    return json.loads(path.read_text())["runs"] if path.exists() else []


def told(root):
    """Everything the record and its files say that does not depend on clocks, ids and processes."""
    mine = "FROM trial t {} WHERE t.origin = ''"
    best = json.loads((root / "experiments" / "best_config.json").read_text())
    active = (root / "models" / "active_model.txt").read_text().strip()
    lines = [line for line in log_of(root) if not line["phase"].endswith("summary")]
    facts = ("phase", "config", "final_val_loss", "state", "best_epoch", "seed", "family", "metric")
    runs = [(r["model_name"], r["hyperparams"], r["metrics"]) for r in sweep_of(root)]
    return {
        "trials": query(
            root,
            "SELECT key, run_id IS NULL AS nameless, config, fold, seed, state, score, epochs, "
            "best_epoch, loss_hash, prediction_hash, artifact_hash, checkpoint "
            f"{mine.format('')} ORDER BY key",
        ),
        "epochs": query(
            root,
            "SELECT t.key, s.part, s.epoch, s.metric, s.value "
            f"{mine.format('JOIN score s ON s.trial_id = t.id')} ORDER BY 1, 2, 3, 4",
        ),
        "results": query(
            root,
            "SELECT t.key, r.metric, r.value "
            f"{mine.format('JOIN result r ON r.trial_id = t.id')} ORDER BY 1, 2",
        ),
        "asked": query(
            root,
            "SELECT s.key AS study, l.phase, l.number, t.key FROM study_trial l "
            "JOIN trial t ON t.id = l.trial_id JOIN study s ON s.id = l.study_id "
            "WHERE t.origin = '' ORDER BY 1, 2, 3",
        ),
        "logged": query(
            root,
            "SELECT t.config, r.metric, r.value FROM trial t JOIN result r ON r.trial_id = t.id "
            "WHERE t.origin = 'tracker' ORDER BY 1, 2",
        ),
        "log": sorted(json.dumps({name: line[name] for name in facts}) for line in lines),
        "sweep": sorted(json.dumps(run) for run in runs),
        "best": (best["config"], best["final_val_loss"]),
        "active": projects.Path(active).relative_to(root).as_posix(),
        "store": sorted(path.name for path in (root / "models" / "registry").iterdir()),
    }


def kill_all(kills, series_of, undisturbed):
    """Rounds until each place has had its kills; how many each had."""
    expected, seconds = undisturbed
    draw, had = random.Random(7), Counter()
    left = Counter({name: count for name, (count, _) in kills.items()})
    while left.total():
        with series_of() as series:
            killed = True
            while killed and left.total():
                [where] = draw.sample(list(left), 1, counts=list(left.values()))
                turn = draw.randrange(kills[where][1] or 1)
                moment = draw.uniform(0.05, 0.9) * seconds if where == ANY else None
                killed = series.round(where, turn, moment)
                if killed:
                    had[where] += 1
                    left[where] -= 1
            series.finish(expected)
    return had


def show(capsys, title, had):
    lines = [f"  {count:3d}  {name}" for name, count in [*had.items(), ("in all", had.total())]]
    with capsys.disabled():
        sys.stdout.write("\n".join([f"\n{title}, by the place of the kill:", *lines, ""]))


def test_two_hundred_kills_lose_nothing_that_was_acknowledged(
    blank, undisturbed, children, tmp_path, capsys
):
    count = 0

    class InAFile(Series):
        def __init__(self):
            nonlocal count
            count += 1
            super().__init__(shutil.copytree(blank, tmp_path / str(count)), children)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    had = kill_all(KILLS, InAFile, undisturbed)
    show(capsys, f"kill -9 of a writer, SQLite, {count} projects", had)
    assert had.total() >= 200
    assert min(had.values()) >= 10


def test_twenty_kills_lose_nothing_that_a_server_acknowledged(
    server, blank, undisturbed, children, tmp_path, capsys
):
    count = 0

    class OnAServer(Series):
        def __init__(self):
            nonlocal count
            count += 1
            self.stack = ExitStack()
            root = shutil.copytree(blank, tmp_path / str(count))
            url = self.stack.enter_context(server.database())
            projects.configure(root, **failpoints.SETTINGS, ledger={"url": url})
            super().__init__(root, children)

        def __enter__(self):
            projects.open_ledger(self.root, "p-small").close()
            return self

        def __exit__(self, *_):
            self.stack.close()

    had = kill_all(KILLS_ON_A_SERVER, OnAServer, undisturbed)
    show(capsys, f"kill -9 of a writer, PostgreSQL, {count} projects", had)
    assert had.total() >= 20


@pytest.mark.parametrize("free", [0, 16, 512, 768, 1024, 1280, 1536, 1664, 1792, 1920])
def test_a_disk_that_fills_up_stops_the_program_with_a_sentence_and_loses_nothing(
    small_disk, blank, undisturbed, children, free
):
    series = Series(shutil.copytree(blank, small_disk / "small"), children)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - free * 1024))
    child = children.run("failpoints:work_or_say", series.root)
    assert child.code == 0, child.error
    # Where only the files beside the record have no room, the work is done and that is said.
    assert all(line.startswith("podium: warning: ") for line in child.error.splitlines())
    stopped = [line for line in child.told if line.startswith("stopped")]
    # How much the work needs changes with the code; that it needs more than this does not.
    assert stopped or free > 256
    for line in stopped:
        _, code, sentence = line.split(maxsplit=2)
        assert code == "7"
        assert "space" in sentence
    ballast.unlink()
    series.hear(child)
    series.finish(undisturbed[0])
