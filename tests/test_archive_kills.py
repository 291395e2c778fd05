"""A killed verb of the archive or of decisions loses nothing, and the same command finishes."""

import itertools
import json
import random
import shutil
import sys
import threading
from collections import Counter
from dataclasses import replace

import pytest

import ladder as ladders
import projects
import records
from nursery import Nursery
from podium import artifact
from podium.decision import Stage
from podium.errors import ConflictError
from podium.evidence import Scalar
from podium.files import UNFINISHED
from podium.ledger import decisions, writes
from podium.project_file import CACHE
from podium.steps.archive import bundle
from podium.steps.archive.backup import PACKING, backup
from podium.steps.archive.doctor import doctor
from podium.steps.archive.restore import restore
from podium.steps.archive.tar import check
from podium.steps.decisions.promote import promote
from podium.steps.evidence.evidence import evidence_about
from podium.steps.workspace.session import open_project
from projects import LENIENT, SLOT, query
from test_gc import keep

VERBS = ("backup", "export", "bundle", "restore", "gc")
DECISIONS = ("promote", "sign", "rollback")
SEED = 7


@pytest.fixture(scope="module")
def root(ladder, tmp_path_factory):
    """A project with a champion, and models that gc removes."""
    root = ladder.copy(tmp_path_factory.mktemp("kills") / "one", "finished", policies=LENIENT)
    with open_project(root) as project:
        for number in range(3):
            keep(project, number, score=number / 10)
    return root


@pytest.fixture(scope="module")
def contested(root, tmp_path_factory):
    """The project with a second judged candidate, and a copy where that one is champion."""
    before = ladders.copied(root, tmp_path_factory.mktemp("contested") / "before")
    policy = {stage: {"max_drawdown": {}} for stage in ("beta", "champion")}
    projects.configure(before, slots={SLOT: {"policy": "open"}}, policies={"open": policy})
    hash_, path = records.naive_artifact(before, 1.0)
    made = replace(projects.new_candidate("second"), artifact_hash=hash_, artifact_path=path)
    scalars = {"candidate:max_drawdown": Scalar(-0.1, "fraction", "max")}
    with open_project(before) as project, project.ledger.transaction(durable=True) as tx:
        made = decisions.register(tx, made, "tester")
        evidence = evidence_about(made, "backtest", "test", dataset="d" * 64, scalars=scalars)
        writes.put_evidence(tx, evidence)
    after = ladders.copied(before, before.with_name("after"))
    with open_project(after) as project:
        assert promote(project, made.id, reason="better").stage is Stage.CHAMPION
    return {"before": before, "after": after}


@pytest.fixture(scope="module")
def packed(root, tmp_path_factory):
    with open_project(root) as project:
        return backup(project, tmp_path_factory.mktemp("packed") / "small.tar").path


@pytest.fixture(scope="module")
def children():
    names = {*VERBS, *DECISIONS} - {"bundle"}
    verbs = [f"podium.cli.verbs.{verb}" for verb in sorted(names)]
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


class KilledDecision:
    """A verb that decides, in a copy of a project, killed and repeated."""

    def __init__(self, verb, contested, folder):
        folder.mkdir()
        source = contested["after" if verb == "rollback" else "before"]
        self.verb, self.folder, self.root = verb, folder, ladders.copied(source, folder / "one")
        first, second = query(source, "SELECT id, artifact_hash FROM candidate ORDER BY seq")
        self.words = {
            "promote": ["promote", second["id"], "--reason", "better"],
            "sign": ["sign", second["id"], "--approve", "--reason", "seen"],
            "rollback": ["rollback", SLOT, "--reason", "drifts"],
        }[verb]
        if verb == "rollback":
            # With the artefact named, the same command again rolls nothing back.
            self.words += ["--artifact", first["artifact_hash"]]
        self.words += ["--project", self.root]
        self.before, self.champion = recorded(source), self.holder()
        self.last = second["id"] if verb == "promote" else first["id"]
        self.further = {"promote": 2, "sign": 1, "rollback": 3}[verb]

    def run(self, children, kill_after):
        """Kill the verb once and repeat it; whether the kill came in time."""
        child = children.run("failpoints:archive", self.words, self.folder, kill_after=kill_after)
        made = self.decisions_made()
        assert (made, self.holder()) in [(0, self.champion), (self.further, self.last)]
        again = children.run("failpoints:archive", self.words, self.folder)
        assert [*again.told] == ["exit 0"], (self.verb, kill_after, again)
        assert "Traceback" not in again.error
        assert (self.decisions_made(), self.holder()) == (self.further, self.last)
        served = json.loads((self.root / CACHE).read_text())["champions"]
        assert {slot: one["candidate_id"] for slot, one in served.items()} == {SLOT: self.last}
        faults = [each for each in doctor(self.root) if not each.ok and each.check != "disk"]
        assert faults == [], (self.verb, kill_after)
        return child.was_killed

    def decisions_made(self):
        """Number of decisions of the verb; what was recorded before is unchanged."""
        trials, made, models = recorded(self.root)
        old = self.before[1]
        assert (trials, made[: len(old)], models) == (self.before[0], old, self.before[2])
        return len(made) - len(old)

    def holder(self):
        """The only champion."""
        [row] = query(self.root, "SELECT candidate_id FROM champion")
        return row["candidate_id"]


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


def test_a_decision_after_a_kill_is_whole_or_undone(contested, children, tmp_path):
    for verb in DECISIONS:
        KilledDecision(verb, contested, tmp_path / verb).run(children, 0.02)


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(root, packed, contested, children, tmp_path):
    draw, kills, number = random.Random(SEED), Counter(), itertools.count()

    def one(verb, *turn, **when):
        folder = tmp_path / str(next(number))
        if verb in DECISIONS:
            series = KilledDecision(verb, contested, folder)
        else:
            series = Killed(verb, root, packed, folder)
        sys.stdout.write(f"seed {SEED}, kill {folder.name}: {verb} {turn} {when}\n")
        killed = series.run(children, *turn, **when)
        kills[verb] += killed
        if verb == "gc" and when:
            assert all(each.ok for each in doctor(series.root) if each.check != "disk")
        shutil.rmtree(folder)
        return killed

    for verb in VERBS:
        # At each change of a file, then at any moment.
        for turn in itertools.count():
            if not one(verb, turn):
                break
    for verb in DECISIONS:
        while kills[verb] < 10:
            one(verb, kill_after=draw.uniform(0.005, 0.15))
    while kills.total() < 120:
        one(draw.choice([*VERBS, *DECISIONS]), kill_after=draw.uniform(0.01, 0.3))
    assert all(kills[verb] for verb in (*VERBS, *DECISIONS)), kills


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
