"""A killed backup, export, restore or gc loses nothing, and the same command finishes."""

import itertools
import random
import shutil
import threading

import pytest

import ladder as ladders
from nursery import Nursery
from podium import artifact
from podium.errors import ConflictError
from podium.files import UNFINISHED
from podium.steps.archive import bundle
from podium.steps.archive.backup import PACKING, backup
from podium.steps.archive.doctor import doctor
from podium.steps.archive.restore import restore
from podium.steps.archive.tar import check
from podium.steps.workspace.session import open_project
from projects import LENIENT, query
from test_gc import keep

VERBS = ("backup", "export", "bundle", "restore", "gc")


@pytest.fixture(scope="module")
def root(ladder, tmp_path_factory):
    """A project with a champion, and models that gc removes."""
    root = ladder.copy(tmp_path_factory.mktemp("kills") / "one", "finished", policies=LENIENT)
    with open_project(root) as project:
        for number in range(3):
            keep(project, number, score=number / 10)
    return root


@pytest.fixture(scope="module")
def packed(root, tmp_path_factory):
    with open_project(root) as project:
        return backup(project, tmp_path_factory.mktemp("packed") / "small.tar").path


@pytest.fixture(scope="module")
def children():
    verbs = [f"podium.cli.verbs.{verb}" for verb in ("backup", "export", "restore", "gc")]
    with Nursery("failpoints", *verbs, "podium.steps.archive.bundle") as nursery:
        yield nursery


class Killed:
    """One verb in its own folder, killed and repeated."""

    def __init__(self, verb, root, packed, folder):
        folder.mkdir()
        self.verb, self.folder = verb, folder
        self.root = ladders.copied(root, folder / "one") if verb == "gc" else root
        self.result = folder / {"export": "t.csv", "restore": "new", "gc": "one"}.get(verb, "b.tar")
        inside = ["--project", self.root]
        self.words = {
            "backup": ["backup", self.result, *inside],
            "export": ["export", "--format", "csv", "--to", self.result, *inside],
            "bundle": ["export", "--bundle", self.result, *inside],
            "restore": ["restore", packed, self.result],
            "gc": ["gc", "--keep-best", "1", "--yes", *inside],
        }[verb]
        self.before = recorded(root)

    def run(self, children, *turn, kill_after=None):
        """Kill the verb once and repeat it; whether the kill came in time."""
        call = "failpoints:archive"
        child = children.run(call, self.words, self.folder, *turn, kill_after=kill_after)
        self.check_nothing_lost()
        complete = self.verb in ("backup", "bundle") and self.result.exists()
        again = children.run(call, self.words, self.folder)
        # A finished file is named as such.
        assert [*again.told] == ["exit 6" if complete else "exit 0"], (self.verb, turn, again)
        assert "Traceback" not in again.error
        assert not complete or "exists: a complete " in again.error
        self.check_nothing_lost()
        assert [path.name for path in self.folder.iterdir()] == [self.result.name]
        assert not [*self.folder.rglob(f"*{UNFINISHED}")]
        return child.was_killed

    def check_nothing_lost(self):
        assert recorded(self.root)[:2] == self.before[:2]
        for row in recorded(self.root)[2]:
            artifact.verify(
                self.root / "models" / "registry" / artifact.folder_of(row["artifact_hash"]),
                row["artifact_hash"],
            )
        if not self.result.exists():
            return
        if self.verb in ("backup", "bundle"):
            check(self.result, PACKING if self.verb == "backup" else bundle.PACKING)
        elif self.verb == "restore":
            assert recorded(self.result) == self.before


def recorded(root):
    return (
        query(root, "SELECT id, state, score FROM trial ORDER BY seq"),
        query(root, "SELECT * FROM decision ORDER BY seq"),
        query(root, "SELECT artifact_hash FROM candidate")
        + query(root, "SELECT artifact_hash FROM trial WHERE checkpoint IS NOT NULL"),
    )


def test_the_same_command_after_a_kill_finishes_or_names_the_finished_file(
    root, packed, children, tmp_path
):
    for verb, turn in (("backup", 2), ("restore", 3)):
        assert Killed(verb, root, packed, tmp_path / verb).run(children, turn), verb


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(root, packed, children, tmp_path):
    draw, kills, number = random.Random(7), 0, itertools.count()

    def one(verb, *turn, **when):
        series = Killed(verb, root, packed, tmp_path / str(next(number)))
        killed = series.run(children, *turn, **when)
        return killed, series

    for verb in VERBS:
        # At each change of a file, then at any moment.
        for turn in itertools.count():
            killed, series = one(verb, turn)
            kills += killed
            shutil.rmtree(series.folder)
            if not killed:
                break
    while kills < 100:
        verb = draw.choice(VERBS)
        killed, series = one(verb, kill_after=draw.uniform(0.01, 0.3))
        kills += killed
        if verb == "gc":
            assert all(each.ok for each in doctor(series.root) if each.check != "disk")
        shutil.rmtree(series.folder)


@pytest.mark.parametrize("verb", ["backup", "bundle", "restore"])
def test_of_two_writers_of_one_name_one_succeeds_and_the_result_is_complete(
    verb, root, packed, tmp_path
):
    def write():
        barrier.wait()
        try:
            if verb == "restore":
                restore(packed, tmp_path / "new")
            else:
                with open_project(root) as project:
                    make = backup if verb == "backup" else bundle.write
                    make(project, tmp_path / "b.tar")
            done.append("written")
        except ConflictError:
            done.append("refused")

    done, barrier = [], threading.Barrier(3)
    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if verb == "restore":
        # The same files again are no conflict.
        assert "written" in done
        assert recorded(tmp_path / "new")[0]
    else:
        assert sorted(done) == ["refused", "refused", "written"]
        check(tmp_path / "b.tar", PACKING if verb == "backup" else bundle.PACKING)
    assert len([*tmp_path.iterdir()]) == 1
