"""What garbage collection removes, and what it never does."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import projects
from looped import rest_slow
from podium import artifact
from podium.cli.main import run
from podium.errors import ConflictError
from podium.evidence import Evidence
from podium.files import UNFINISHED, lock
from podium.hashing import digest
from podium.ledger import decisions, outbox, writes
from podium.ledger.ledger import now
from podium.steps.archive import gc
from podium.steps.archive.doctor import doctor
from podium.steps.archive.gc import GcRules, TrialModel, choose, collect, plan
from podium.steps.workspace.session import open_project
from projects import SLOT, query, small_project

DAY = 86400.0


@pytest.fixture
def root(tmp_path):
    return small_project(tmp_path / "small")


@pytest.fixture
def project(root):
    with open_project(root) as opened:
        yield opened


def store(project, name, size=100):
    """An artefact of one file in the project's store; its hash and folder."""
    source = project.state / "made" / name
    source.mkdir(parents=True, exist_ok=True)
    (source / "model.pt").write_bytes(os.urandom(size))
    description = {"family": "lstm", "name": name}
    return artifact.store(project.store, {"best_model": source}, description, writer="f" * 16)


def keep(project, number, score, *, days=0.0, size=100, **key):
    """A trial that ended so many days ago and left a model; its id and folder."""
    ledger = project.ledger
    artifact_hash, folder = store(project, f"m{number}-{key}", size)
    study = projects.new_study(ledger)
    with ledger.transaction() as tx:
        trial = projects.new_trial(number, **key)
        [id_] = writes.start_trials(tx, study, [trial], "e" * 64)
        writes.end_trial(tx, projects.ended(id_, score), metric="mse", index_hash=None)
        path = f"models/registry/{folder}/best_model/model.pt"
        writes.set_artifact(tx, id_, artifact_hash, path)
        then = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
        tx.connection.exec_driver_sql(
            "UPDATE trial SET ended_at = ? WHERE id = ?", (then.isoformat(timespec="seconds"), id_)
        )
    return id_, folder


def folders(project):
    return {p.name for p in project.store.iterdir()}


def going(project, **rules):
    return {r.path.rpartition("/")[2] for r in plan(project, GcRules(**rules)).removals}


def trial(root, id_):
    [row] = query(root, "SELECT * FROM trial WHERE id = ?", id_)
    return row


def test_without_a_rule_every_model_stays(project):
    for n in range(3):
        keep(project, n, score=n)
    found = plan(project)
    assert found.removals == ()
    assert found.stay == 3


def test_the_best_of_each_group_stay_and_the_others_go(project):
    mine = [keep(project, n, score=n / 10)[1] for n in range(4)]
    other = [keep(project, n, score=n / 10, fold=1)[1] for n in range(2)]
    assert going(project, keep_best=2) == set(mine[2:])
    assert going(project, keep_best=1) == {*mine[1:], *other[1:]}


def test_a_trial_without_a_score_is_the_worst(project):
    keep(project, 0, score=5.0)
    _, folder = keep(project, 1, score=float("nan"))
    assert going(project, keep_best=1) == {folder}


def test_age_lets_only_older_ones_go_and_never_the_best(project):
    keep(project, 0, score=0.1, days=90)
    _, old = keep(project, 1, score=0.2, days=40)
    keep(project, 2, score=0.3, days=10)
    assert going(project, older_than=30 * DAY) == {old}


def test_rules_narrow_each_other(project):
    for n in range(4):
        keep(project, n, score=n, days=40 if n % 2 else 0)
    _, folder = keep(project, 5, score=5, days=40)
    assert going(project, keep_best=4, older_than=30 * DAY) == {folder}


def test_size_removes_the_worst_until_the_rest_fits(project):
    mine = [keep(project, n, score=n, size=1000)[1] for n in range(4)]
    each = plan(project).bytes / 4
    assert going(project, max_bytes=int(4 * each)) == set()
    assert going(project, max_bytes=int(2.5 * each)) == set(mine[2:])
    found = plan(project, GcRules(max_bytes=0))
    assert len(found.removals) == 3
    assert "bytes above the limit stay" in found.remarks[0]


def test_the_record_forgets_a_model_and_keeps_its_trial(root):
    with open_project(root) as project:
        good, kept = keep(project, 0, score=0.1)
        bad, gone = keep(project, 1, score=0.2)
        rules = GcRules(keep_best=1)
        done = collect(project, plan(project, rules), rules)
        assert [r.path for r in done.removals] == [f"models/registry/{gone}"]
        assert folders(project) == {kept}
        assert plan(project, rules).removals == ()
    assert trial(root, good)["checkpoint"].endswith("model.pt")
    row = trial(root, bad)
    assert row["checkpoint"] is None
    assert row["artifact_hash"].startswith(gone)
    assert row["score"] == 0.2
    [note] = query(root, "SELECT subject_id, text FROM note")
    assert note == {"subject_id": bad, "text": "model removed by podium gc (rank 2 of 2)"}


def test_candidates_of_any_stage_and_evidence_keep_their_models(project):
    ledger = project.ledger
    _, best = keep(project, 0, score=0.1)
    trial_id, chosen = keep(project, 1, score=0.2)
    _, looked_at = keep(project, 2, score=0.3)
    keep(project, 3, score=0.4)
    hashes = {
        p.name: artifact.digest_bytes((p / "manifest.json").read_bytes())
        for p in project.store.iterdir()
    }
    with ledger.transaction() as tx:
        candidate = replace(
            projects.new_candidate("x"),
            trial_id=trial_id,
            artifact_hash=hashes[chosen],
            artifact_path=chosen,
        )
        decisions.register(tx, candidate, "tester")
        evidence = Evidence(
            id="e-1",
            kind="test",
            candidate_id="c-x",
            artifact_hash=hashes[looked_at],
            dataset_fingerprint="d" * 64,
            split_hash="s" * 64,
            producer="t",
            producer_version="1",
            created_at=now(),
            scalars={},
            series={},
            notes={},
        )
        writes.put_evidence(tx, evidence)
    assert len(going(project, keep_best=1)) == 1
    assert not going(project, keep_best=1) & {best, chosen, looked_at}


@pytest.mark.parametrize("pointer", [p.replace("**", "us4/D") for p in gc.POINTERS])
def test_what_a_pointer_names_stays(project, pointer):
    keep(project, 0, score=0.1)
    _, named = keep(project, 1, score=0.2)
    path = project.root / pointer
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"{project.store}/{named}/best_model/model.pt"
    path.write_text(json.dumps({"model_path": text}) if pointer.endswith("json") else text)
    assert going(project, keep_best=1) == set()
    path.unlink()
    assert going(project, keep_best=1) == {named}


def test_an_active_model_file_elsewhere_and_podiums_own_mark_count_too(root):
    projects.configure(root, paths={"active_model": "serving/now.txt"})
    with open_project(root) as project:
        keep(project, 0, score=0.1)
        _, named = keep(project, 1, score=0.2)
        _, marked = keep(project, 2, score=0.3)
        (root / "serving").mkdir()
        (root / "serving" / "now.txt").write_text(f"{project.store / named}\n")
        with project.ledger.transaction() as tx:
            mark = json.dumps({"model": f"/elsewhere/{marked}/best_model/model.pt"})
            outbox.advance(tx, "active_model", 0, mark)
        assert going(project, keep_best=1) == set()


def test_a_model_of_two_trials_goes_only_when_both_can_spare_it(project):
    keep(project, 0, score=0.1)
    _, folder = keep(project, 1, score=0.2)
    id_, _ = keep(project, 2, score=0.05, fold=1)
    artifact_hash = artifact.digest_bytes((project.store / folder / "manifest.json").read_bytes())
    with project.ledger.transaction() as tx:
        writes.set_artifact(tx, id_, artifact_hash, "models/x")
    assert folder not in going(project, keep_best=1)


def test_a_model_of_two_trials_is_as_old_as_the_newer_one():
    old, new = (TrialModel(f"t-{n}", digest("b"), ("g",), 2.0, ended=n * DAY) for n in (0, 9))
    best = TrialModel("t-best", digest("a"), ("g",), 1.0, ended=0.0)
    sizes = {artifact.folder_of(one.artifact_hash): 1 for one in (old, best)}
    rules = GcRules(older_than=5 * DAY)
    assert list(choose([best, old], [], sizes, rules, 10 * DAY)) == [old.artifact_hash]
    assert choose([best, old, new], [], sizes, rules, 10 * DAY) == {}


def test_another_projects_models_in_the_same_record_stay(root, project):
    keep(project, 0, score=0.1)
    _, folder = keep(project, 1, score=0.2)
    with project.ledger.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE trial SET project_id = 'p-other' WHERE score = 0.2")
    assert folder not in going(project, keep_best=1)


def test_strays_and_leftovers_go_and_what_is_not_podiums_stays(project):
    _, kept = keep(project, 0, score=0.1)
    _, stray = store(project, "nobody's")
    names = {f".grid-{'b' * 16}.1234abcd{UNFINISHED}", f".{'c' * 20}"}
    for name in (*names, ".dvc", ".git", "mine", "a" * 12):
        (project.store / name / "sub").mkdir(parents=True)
    (project.store / "README.md").write_text("mine")
    left = {digest(SLOT)[:16], f"grid-{digest(SLOT)[:16]}", "import-b-old"}
    for name in (*left, "import-b-new"):
        (project.state / "work" / name / "sub").mkdir(parents=True)
    os.utime(project.state / "work" / "import-b-old", (0, 0))
    found = plan(project)
    assert {r.path.rpartition("/")[2] for r in found.removals} == {stray, *names, *left}
    collect(project, found)
    assert folders(project) == {kept, ".dvc", ".git", "mine", "a" * 12, "README.md"}
    # It may be somebody's who is at work on no slot yet.
    assert [p.name for p in (project.state / "work").iterdir()] == ["import-b-new"]


def test_a_record_that_knows_none_of_the_models_removes_none(project):
    assert project.ledger
    store(project, "a")
    store(project, "b")
    found = plan(project, GcRules(max_bytes=0))
    assert found.removals == ()
    assert "check ledger.url" in found.remarks[0]


def test_a_store_outside_the_project_is_left_alone(root, tmp_path):
    projects.configure(root, paths={"registry": str(tmp_path / "shared")})
    with open_project(root) as project:
        keep(project, 0, score=0.1)
        keep(project, 1, score=0.2)
        store(project, "nobody's")
        found = plan(project, GcRules(keep_best=1))
    assert found.removals == ()
    assert "outside the project" in found.remarks[0]


def test_a_step_at_work_is_not_disturbed(project):
    keep(project, 0, score=0.1)
    _, stray = store(project, "nobody's")
    agreed = plan(project)
    path = project.state / "locks" / f"{digest(SLOT)[:16]}.lock"
    with lock(path, "podium run"):
        # A lock is a process's own; this one stands for another process's.
        script = (
            "import sys; from pathlib import Path\n"
            "from podium.steps.workspace.session import open_project\n"
            "from podium.steps.archive.gc import collect, plan\n"
            "from podium.errors import ConflictError\n"
            "with open_project(Path(sys.argv[1])) as project:\n"
            "    try: collect(project, plan(project))\n"
            "    except ConflictError: sys.exit(6)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, str(project.root)])
        assert done.returncode == ConflictError.exit_code
        assert stray in folders(project)
    collect(project, agreed)
    assert stray not in folders(project)


def test_what_was_not_agreed_to_stays(project):
    keep(project, 0, score=0.1)
    _, second = keep(project, 1, score=0.2)
    rules = GcRules(keep_best=1)
    agreed = plan(project, rules)
    _, third = keep(project, 2, score=0.3)
    collect(project, agreed, rules)
    assert second not in folders(project)
    assert third in folders(project)


def test_what_became_a_candidate_meanwhile_stays(project):
    keep(project, 0, score=0.1)
    id_, folder = keep(project, 1, score=0.2)
    rules = GcRules(keep_best=1)
    agreed = plan(project, rules)
    artifact_hash = artifact.digest_bytes((project.store / folder / "manifest.json").read_bytes())
    with project.ledger.transaction() as tx:
        candidate = replace(
            projects.new_candidate("x"),
            trial_id=id_,
            artifact_hash=artifact_hash,
            artifact_path=folder,
        )
        decisions.register(tx, candidate, "tester")
    assert collect(project, agreed, rules).removals == ()
    assert folder in folders(project)


KILLED = """
import os, signal, sys
from pathlib import Path
from podium.steps.workspace.session import open_project
from podium.steps.archive.doctor import doctor
from podium.steps.archive import gc
place = int(sys.argv[2])
EVENTS = ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
def hear(event, arguments):
    global place
    if event in EVENTS and "registry" in str(arguments[0]):
        if place == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        place -= 1
with open_project(Path(sys.argv[1])) as project:
    rules = gc.GcRules(keep_best=1)
    agreed = gc.plan(project, rules)
    sys.addaudithook(hear)
    gc.collect(project, agreed, rules)
"""


@pytest.mark.parametrize("place", rest_slow([2, 0, 3], fast=1))
def test_a_kill_leaves_a_stray_and_never_a_record_that_points_at_nothing(root, place):
    with open_project(root) as project:
        keep(project, 0, score=0.1)
        keep(project, 1, score=0.2)
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), str(place)])
    assert done.returncode == -signal.SIGKILL
    for row in query(root, "SELECT checkpoint FROM trial WHERE checkpoint IS NOT NULL"):
        assert (root / row["checkpoint"]).is_file()
    with open_project(root) as project:
        found = plan(project)
        assert len(found.removals) == 1
        assert found.removals[0].what in ("stray model", "half-made model")
        collect(project, found)
        assert len(folders(project)) == 1


models = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(0, 2),
        st.one_of(st.none(), st.floats(-5, 5)),
        st.floats(0, 100 * DAY),
    ),
    max_size=14,
)
some_rules = st.builds(
    GcRules,
    keep_best=st.one_of(st.none(), st.integers(1, 4)),
    older_than=st.one_of(st.none(), st.floats(0, 100 * DAY)),
    max_bytes=st.one_of(st.none(), st.integers(0, 500)),
)


@given(
    models,
    st.sets(st.integers(0, 6)),
    st.lists(st.integers(1, 100), min_size=7, max_size=7),
    some_rules,
)
def test_whatever_the_rules_what_is_referred_to_and_the_best_stay(found, held, weights, rules):
    hashes = [digest(n) for n in range(7)]
    kept = [
        TrialModel(f"t-{n}", hashes[model], (group,), score, ended)
        for n, (model, group, score, ended) in enumerate(found)
    ]
    sizes = {artifact.folder_of(h): w for h, w in zip(hashes, weights, strict=True)}
    held_folders = {artifact.folder_of(hashes[n]) for n in held}
    clock = 100 * DAY
    gone = choose(kept, held_folders, sizes, rules, clock)
    assert not {artifact.folder_of(h) for h in gone} & held_folders
    assert set(gone) <= {one.artifact_hash for one in kept}
    for group in {one.group for one in kept}:
        members = sorted(
            (one for one in kept if one.group == group),
            key=lambda one: (one.score is None, one.score or 0.0, one.ended),
        )
        best = members[: max(rules.keep_best or 1, 1)]
        assert not {one.artifact_hash for one in best} & set(gone)
    if rules.older_than is not None:
        assert all(
            clock - one.ended > rules.older_than for one in kept if one.artifact_hash in gone
        )
    if rules.max_bytes is not None and gone:
        left = sum(sizes.values()) - sum(sizes[artifact.folder_of(h)] for h in gone)
        [*_, last] = gone
        assert left + sizes[artifact.folder_of(last)] > rules.max_bytes
    if rules == GcRules():
        assert gone == {}


def test_the_command_shows_then_removes_and_asks_nobody_who_is_not_there(root, capsys):
    with open_project(root) as project:
        keep(project, 0, score=0.1)
        _, folder = keep(project, 1, score=0.2, days=40)
    here = ["--project", str(root)]
    assert run(["gc", "--keep-best", "1", "--older-than", "30d", "--dry-run", *here]) == 0
    told = capsys.readouterr()
    assert f"models/registry/{folder}" in told.out
    assert "rank 2 of 2, 40 days old" in told.out
    assert "1 folders" in told.out
    assert run(["gc", "--keep-best", "1", *here]) == 2
    told = capsys.readouterr()
    assert "--yes" in told.err
    assert (root / "models" / "registry" / folder).is_dir()
    assert run(["gc", "--keep-best", "1", "--yes", "--json", *here]) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    assert [r["path"] for r in item["removals"]] == [f"models/registry/{folder}"]
    assert not (root / "models" / "registry" / folder).exists()
    assert run(["gc", "--keep-best", "1", *here]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["--older-than", "soon"], ["--max-size", "5 pounds"], ["--keep-best", "0"]]
)
def test_rules_that_say_nothing_are_refused(root, words, capsys):
    assert run(["gc", *words, "--project", str(root)]) == 2
    assert words[1] in capsys.readouterr().err


def test_doctor_finds_nothing_wrong_afterwards(root):
    with open_project(root) as project:
        keep(project, 0, score=0.1)
        keep(project, 1, score=0.2)
        rules = GcRules(keep_best=1)
        collect(project, plan(project, rules), rules)
    assert {check.check: check.finding for check in doctor(root)}["artefacts"].startswith(
        "1 artefacts match"
    )
