"""What cleaning removes of intermediate results, and what it never does."""

import json
import os
import time
from dataclasses import fields, replace

import pytest

import projects
import quick
from podium import artifact
from podium.cli.main import run
from podium.errors import ConflictError
from podium.ledger import decisions, writes
from podium.sections import PathsSection
from podium.steps.archive import gc
from podium.steps.archive.clean import CleanRules, clean, plan
from podium.steps.decisions.promote import promote
from podium.steps.search.tune import tune
from podium.steps.workspace.project import Silent
from podium.steps.workspace.session import open_project
from projects import SLOT, query
from test_gc import keep
from test_promotion import register

pytestmark = pytest.mark.usefixtures("quick_family")

DAY = 86400.0
RESULTS = "hyperparameter_tuning_results"
SETTINGS = {
    "slots": {SLOT: {"families": [quick.NAME], "policy": "deep"}},
    "tune": {"trials": 8, "search": "random", "keep_checkpoints": 5},
    "paths": {field.name: field.default for field in fields(PathsSection)},
    "policies": {"deep": {"champion": {"max_drawdown": {}}}},
}


@pytest.fixture
def root(ladder, tmp_path):
    return ladder.copy(tmp_path / "small", "made", **SETTINGS)


@pytest.fixture
def searched(ladder, tmp_path):
    """The same after its search."""
    return ladder.copy(tmp_path / "small", "searched", **SETTINGS)


@pytest.fixture
def project(root):
    with open_project(root) as opened:
        yield opened


def search(root, **flags):
    flags = {name.replace("__", "."): value for name, value in flags.items()}
    with open_project(root, settings=flags) as project, project.locked(SLOT, "tune"):
        return tune(project, SLOT)


def cleaned(root, **rules):
    with open_project(root) as project:
        return clean(project, plan(project, CleanRules(**rules)), CleanRules(**rules))


def going(root, **rules):
    with open_project(root) as project:
        return {one.path: one for one in plan(project, CleanRules(**rules)).removals}


def listing(root):
    """Every file of a project but its record and logs, with its content."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and "podium.db" not in path.name
        and not path.is_relative_to(root / ".podium" / "logs")
        and not path.is_relative_to(root / ".podium" / "locks")
    }


def told(root):
    return json.loads((root / RESULTS / "trial_results.json").read_text())


def age(folder, days):
    then = time.time() - days * DAY
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then))


def earlier(root, slot_folder, name, id_, *, days, key="study"):
    """Results of an earlier owner, kept under its id."""
    folder = root / slot_folder / id_
    folder.mkdir(parents=True)
    (folder / name).write_text(json.dumps({"podium": 1, key: id_}))
    (folder / "model.bin").write_bytes(b"x" * 1000)
    age(folder, days)
    return f"{slot_folder}/{id_}"


def test_without_a_rule_results_stay_and_without_yes_everything_does(searched, capsys):
    before = listing(searched)
    assert going(searched) == {}
    assert run(["clean", "--keep-best", "2", "--project", str(searched)]) == 0
    out, err = capsys.readouterr()
    assert "rank 3 of 5 of quick" in out
    assert "would be removed" in out
    assert "--yes" in err
    assert run(["clean", "--keep-best", "2", "--yes", "--dry-run", "--project", str(searched)]) == 0
    assert "would be removed" in capsys.readouterr().out
    assert listing(searched) == before


def test_checkpoints_beyond_the_best_go_and_the_results_know_it(searched, capsys):
    found = search(searched)
    best = sorted(found.trials, key=lambda row: row.score)[:2]
    assert run(["clean", "--keep-best", "2", "--yes", "--json", "--project", str(searched)]) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    assert len(item["removals"]) == 3
    assert item["bytes"] == sum(removal["bytes"] for removal in item["removals"]) > 0
    left = {t["id"] for t in told(searched)["trials"] if t["checkpoint"]}
    assert left == {row.id for row in best}
    assert len(list((searched / RESULTS / "checkpoints").iterdir())) == 2
    # The search finds nothing to do, to train, or to write.
    before = listing(searched)
    quick.TRAINED.clear()
    search(searched)
    assert quick.TRAINED == []
    assert listing(searched) == before
    assert going(searched, keep_best=2) == {}


def test_the_chosen_trial_keeps_its_checkpoint_whatever_its_rank(searched):
    results = told(searched)
    ranked = sorted((t for t in results["trials"] if t["checkpoint"]), key=lambda t: t["value"])
    results["chosen"] = ranked[-1]["id"]
    (searched / RESULTS / "trial_results.json").write_text(json.dumps(results))
    paths = going(searched, keep_best=1)
    assert f"{RESULTS}/{ranked[-1]['checkpoint']}" not in paths
    assert len(paths) == 3


def test_what_a_pointer_names_stays(searched):
    worst = max((t for t in told(searched)["trials"] if t["checkpoint"]), key=lambda t: t["value"])
    place = searched / RESULTS / worst["checkpoint"]
    assert place.relative_to(searched).as_posix() in going(searched, keep_best=1)
    (searched / "models").mkdir(exist_ok=True)
    (searched / "models" / "active_model.txt").write_text(f"{place}/model.json\n")
    assert place.relative_to(searched).as_posix() not in going(searched, keep_best=1)


def test_earlier_results_go_by_age_and_the_present_ones_never(searched):
    search(searched, tune__seed=8)
    [kept] = [p for p in (searched / RESULTS).iterdir() if p.name.startswith("s-")]
    age(kept, 40)
    age(searched / RESULTS / "checkpoints", 90)
    assert going(searched, older_than=50 * DAY) == {}
    found = cleaned(searched, older_than=30 * DAY)
    assert [one.path for one in found.removals] == [f"{RESULTS}/{kept.name}"]
    assert found.removals[0].what == "earlier results"
    assert not kept.exists()
    assert (searched / RESULTS / "checkpoints").is_dir()


def test_what_podium_did_not_write_stays(searched):
    strange = searched / RESULTS / "s-0000000000000"
    strange.mkdir()
    (strange / "mine.json").write_text('{"study": "s-0000000000000"}')
    other = searched / RESULTS / "notes"
    other.mkdir()
    (other / "trial_results.json").write_text('{"podium": 1, "study": "notes"}')
    for folder in (strange, other):
        age(folder, 400)
    assert going(searched, older_than=DAY) == {}


def test_in_a_folder_of_somebody_elses_the_newest_results_are_no_earlier_ones(root):
    (root / "final_model").mkdir()
    (root / "final_model" / "README").write_text("mine")
    new = earlier(root, "final_model", "config.json", "c-1111111111111", days=40, key="candidate")
    old = earlier(root, "final_model", "config.json", "c-2222222222222", days=90, key="candidate")
    search(root)
    assert set(going(root, older_than=30 * DAY)) == {old}
    assert new not in going(root, older_than=30 * DAY)


def test_results_of_whoever_is_or_was_champion_stay(root):
    paths = {}
    for name in ("champion00one", "champion00two", "nobody0000000"):
        candidate = register(root, name)
        if name != "nobody0000000":
            with open_project(root) as project:
                assert promote(project, candidate.id).stage == "champion"
        paths[name] = earlier(
            root, "final_model", "config.json", candidate.id, days=90, key="candidate"
        )
    # The folder's present owner.
    (root / "final_model" / "config.json").write_text('{"podium": 1, "candidate": "c-present"}')
    assert set(going(root, older_than=30 * DAY)) == {paths["nobody0000000"]}


def extended(project, count):
    """Folders of extended models with artefacts of their own, the first the best."""
    hashes = []
    for rank in range(1, count + 1):
        id_, _ = keep(project, rank, rank / 10, phase="extend")
        [row] = query(project.root, "SELECT artifact_hash FROM trial WHERE id = ?", id_)
        folder = project.root / "extended_training_results" / f"extended_model_{rank}"
        folder.mkdir(parents=True)
        facts = {"podium": 1, "rank": rank, "trial": id_, "artifact_hash": row["artifact_hash"]}
        (folder / "config.json").write_text(json.dumps(facts))
        hashes.append(row["artifact_hash"])
    return hashes


def test_extended_models_beyond_the_best_go_with_what_the_store_has_of_them(project, root):
    hashes = extended(project, 4)
    found = clean(project, plan(project, CleanRules(keep_best=2)), CleanRules(keep_best=2))
    assert {one.what.partition(" of ")[0] for one in found.removals} == {"extended model", "model"}
    assert len(found.removals) == 4
    left = sorted(p.name for p in (root / "extended_training_results").iterdir())
    assert left == ["extended_model_1", "extended_model_2"]
    stored = {p.name for p in project.store.iterdir()}
    assert stored == {artifact.folder_of(hash_) for hash_ in hashes[:2]}
    rows = query(root, "SELECT artifact_hash, checkpoint FROM trial ORDER BY score")
    assert [row["checkpoint"] is None for row in rows] == [False, False, True, True]


def test_an_extended_model_that_became_a_candidate_stays_in_the_store(project, root):
    hashes = extended(project, 3)
    candidate = replace(
        projects.new_candidate("one"),
        artifact_hash=hashes[2],
        artifact_path=artifact.folder_of(hashes[2]),
    )
    with project.ledger.transaction(durable=True) as tx:
        decisions.register(tx, candidate, "trainer")
    clean(project, plan(project, CleanRules(keep_best=1)), CleanRules(keep_best=1))
    assert (project.store / artifact.folder_of(hashes[2])).is_dir()
    assert not (project.store / artifact.folder_of(hashes[1])).is_dir()


def test_states_of_trials_that_nobody_goes_on_with_go_and_others_stay(project, root):
    done, _ = keep(project, 1, 0.1)
    study = projects.new_study(project.ledger)
    with project.ledger.transaction() as tx:
        [waiting] = writes.start_trials(tx, study, [projects.new_trial(2)], "e" * 64)
    for id_ in (done, waiting):
        (project.paused / id_).mkdir(parents=True)
        (project.paused / id_ / "state").write_bytes(b"x" * 500)
    found = clean(project, plan(project))
    assert [one.path for one in found.removals] == [f".podium/work/paused/{done}"]
    assert (project.paused / waiting).is_dir()
    assert not (project.paused / done).exists()


def test_logs_beyond_the_rule_go(root):
    projects.configure(
        root, slots={SLOT: {"families": [quick.NAME]}}, logs={"keep": 100, "days": 1}
    )
    with open_project(root) as project, project.locked(SLOT, "tune"):
        pass
    [log] = (root / ".podium" / "logs").iterdir()
    age(log.parent, 3)
    assert set(going(root)) == {f".podium/logs/{log.name}"}
    found = cleaned(root)
    assert [one.what for one in found.removals] == ["log"]
    assert not log.exists()


def test_nothing_goes_while_a_step_is_at_work(searched):
    before = listing(searched)
    with (
        open_project(searched) as project,
        project.locked(SLOT, "tune"),
        pytest.raises(ConflictError),
    ):
        cleaned(searched, keep_best=1)
    assert listing(searched) == before


class Dying(Silent):
    """Fails once so many things were removed."""

    def progress(self, label, done, total, note=""):
        raise KeyboardInterrupt


def test_cut_off_in_the_middle_and_run_again_it_ends_the_same(searched):
    rules = CleanRules(keep_best=1)
    with pytest.raises(KeyboardInterrupt), open_project(searched, reporter=Dying()) as project:
        clean(project, plan(project, rules), rules)
    assert len(list((searched / RESULTS / "checkpoints").iterdir())) == 4
    cleaned(searched, keep_best=1)
    left = [t["checkpoint"] for t in told(searched)["trials"] if t["checkpoint"]]
    assert [f"checkpoints/{p.name}" for p in (searched / RESULTS / "checkpoints").iterdir()] == left


def test_a_project_without_a_record_has_nothing_to_remove(root, capsys):
    assert run(["clean", "--keep-best", "1", "--older-than", "1d", "--project", str(root)]) == 0
    assert "nothing to remove" in capsys.readouterr().out
    assert not (root / "podium.db").exists()


def test_the_rules_of_gc_stay_those_of_gc(searched):
    with open_project(searched) as project:
        assert gc.plan(project).removals == ()
