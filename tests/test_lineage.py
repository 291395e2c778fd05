"""The tree of a thing: where it comes from, what came of it."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

import ladder as ladders
import projects
from podium.cli.main import run
from podium.errors import NotFoundError, UsageError
from podium.importers._base import Imported
from podium.ledger import decisions, foreign, models, writes
from podium.record import Record
from podium.render.tree import Branch, tree
from podium.steps.archive.lineage import lineage
from podium.steps.workspace.session import open_project
from projects import SLOT, query, small_project


@pytest.fixture(scope="module")
def finished(ladder):
    return ladder.project("finished")


@pytest.fixture
def copy(finished, tmp_path):
    """The finished project, to be changed."""
    return ladders.copied(finished, tmp_path / "copy")


def of(root, name):
    with open_project(root) as project:
        return lineage(project.reader, name, project.store)


def id_of(root, table, where="1"):
    return query(root, f"SELECT id FROM {table} WHERE {where} ORDER BY seq")[0]["id"]


def flat(node):
    return [node, *(inner for child in node.children for inner in flat(child))]


def kinds(node):
    return [each.kind for each in flat(node)]


def told(node):
    return tree(node.branch(), 80)


def test_a_candidate_stands_at_the_end_of_its_trials_study_and_data(finished):
    found = of(finished, id_of(finished, "candidate"))
    assert kinds(found) == ["dataset", "study", *["trial"] * 5, "candidate"]
    phases = [node.facts["phase"] for node in flat(found) if node.kind == "trial"]
    assert phases == ["tune", "extend", "extend", "finalize", "finalize"]
    candidate = flat(found)[-1]
    assert candidate.here
    assert [d["to_stage"] for d in candidate.facts["decisions"]] == [
        "development",
        "beta",
        "champion",
    ]
    words = told(found)
    assert "this candidate c-" in words
    assert "beta -> champion refused to " in words
    assert "by in_confidence_set, beats_baseline" in " ".join(words.split())
    assert "volatility, 5 bars ahead, from 8 bars of log_return," in words


def test_a_fold_and_a_study_are_in_the_same_tree(finished):
    candidate = of(finished, id_of(finished, "candidate"))
    [fold, *_] = [n.id for n in flat(candidate) if n.facts.get("phase") == "extend"]
    study = id_of(finished, "study")
    for name in (fold, study):
        found = of(finished, name)
        assert [node.id for node in flat(found)] == [node.id for node in flat(candidate)]
        assert [node.id for node in flat(found) if node.here] == [name]


def test_a_trial_nobody_chose_has_its_own_tree(finished):
    id_ = id_of(finished, "trial", "family = 'naive'")
    found = of(finished, id_)
    assert set(kinds(found)) == {"dataset", "study", "trial"}
    assert {node.facts["family"] for node in flat(found) if node.kind == "trial"} == {"naive"}


def test_a_study_without_a_candidate_shows_its_best_config(copy):
    best = query(copy, "SELECT id FROM trial WHERE run_id IS NOT NULL ORDER BY score")[0]["id"]
    with open_project(copy) as project, project.ledger.transaction() as tx:
        for table in ("stage", "latest", "candidate"):
            tx.connection.exec_driver_sql(f"DELETE FROM {table}")
    found = of(copy, id_of(copy, "study"))
    assert next(node.id for node in flat(found) if node.kind == "trial") == best


def test_code_and_environment_are_told_once_and_configs_by_what_differs(finished):
    words = told(of(finished, id_of(finished, "candidate")))
    assert words.count("environment  ") == 1
    assert words.count("lstm_units=4") == 1


def test_the_code_it_was_trained_with_is_told_with_what_was_not_committed(tmp_path):
    root = small_project(tmp_path / "small")
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "podium.toml"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    with open_project(root) as project:
        clean = _run(project, projects.new_study(project.ledger), 1)
    (root / "podium.toml").write_text((root / "podium.toml").read_text() + "# changed\n")
    with open_project(root) as project:
        dirty = _run(project, projects.new_study(project.ledger), 2)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout[:12]
    assert f"commit {commit}\n" in told(of(root, clean))
    words = told(of(root, dirty))
    assert f"commit {commit} with uncommitted changes " in words


def _run(project, study, number):
    environment = project.environment
    with project.ledger.transaction() as tx:
        trial = projects.new_trial(number)
        [id_] = writes.start_trials(tx, study, [trial], environment)
        writes.end_trial(tx, projects.ended(id_), metric="mse", index_hash=None)
    return id_


def test_children_grow_from_their_parent_and_share_its_tree(copy):
    with open_project(copy) as project, project.ledger.transaction() as tx:
        parent = query(copy, "SELECT * FROM candidate")[0]
        child = replace(
            projects.new_candidate("child", model_type="continued"),
            parent_id=parent["id"],
            root_id=parent["id"],
            study_id=parent["study_id"],
        )
        decisions.register(tx, child, "tester")
    for name in ("c-child", parent["id"]):
        found = of(copy, name)
        *_, old, young = flat(found)
        assert (old.id, young.id) == (parent["id"], "c-child")
        assert young in old.children
        assert [node.id for node in flat(found) if node.here] == [name]
    assert "MISSING" in told(found)


def test_grandchildren_grow_from_children_and_make_their_parents_old(copy):
    with open_project(copy) as project:
        [base] = models.models(project.reader, slot=SLOT)
        before = base["id"]
        for name, model_type in (("son", "continued"), ("grandson", "replay"), ("twin", "replay")):
            parent = {"twin": "c-son"}.get(name, before)
            child = replace(
                projects.new_candidate(name, model_type=model_type),
                parent_id=parent,
                root_id=base["id"],
                study_id=base["study_id"],
            )
            with project.ledger.transaction() as tx:
                decisions.register(tx, child, "tester")
            before = child.id
        rows = {row["id"]: row for row in models.models(project.reader, slot=SLOT)}
    assert {name: row["version_type"] for name, row in rows.items()} == {
        base["id"]: "old",
        "c-son": "old",
        "c-grandson": "old",
        "c-twin": "latest",
    }
    tree_ = of(copy, "c-grandson")
    [old] = [node for node in flat(tree_) if node.id == base["id"]]
    [son] = [node for node in old.children if node.kind == "candidate"]
    assert [node.id for node in son.children if node.kind == "candidate"] == [
        "c-grandson",
        "c-twin",
    ]
    assert [node.id for node in flat(tree_) if node.here] == ["c-grandson"]
    text = tree(tree_.branch(), 100)
    assert text.index(base["id"]) < text.index("c-son") < text.index("this candidate c-grandson")


def test_imported_runs_have_a_tree_without_data(copy):
    record = Record("toto_20250101_000000", "toto", "2025-01-01T00:00:00", {"lr": 0.1}, {"mae": 1})
    with open_project(copy) as project, project.ledger.transaction() as tx:
        foreign.put_imported(tx, Imported("old.json", [record]), SLOT)
    found = of(copy, "toto_20250101_000000")
    assert kinds(found) == ["study", "trial"]
    assert "old.json" in told(found)


def test_notes_are_told_where_they_belong(copy):
    id_ = id_of(copy, "candidate")
    with open_project(copy) as project, project.ledger.transaction() as tx:
        writes.put_note(tx, id_, "looks \x1b[31mtoo\n good", "ann")
    words = told(of(copy, id_))
    assert "ann] looks" in words
    assert "\x1b" not in words


def test_a_missing_artefact_is_told(copy):
    shutil.rmtree(copy / "models")
    assert "MISSING at" in told(of(copy, id_of(copy, "candidate")))


def test_what_has_no_lineage_and_what_is_not_there_are_refused(finished):
    with pytest.raises(UsageError, match="one of the decisions"):
        of(finished, id_of(finished, "decision"))
    with pytest.raises(NotFoundError):
        of(finished, "t-nobody")


@pytest.mark.parametrize("width", [80, 60])
def test_no_line_is_wider_than_the_terminal(finished, width):
    words = tree(of(finished, id_of(finished, "candidate")).branch(), width)
    assert max(map(len, words.splitlines())) <= width


def test_a_word_longer_than_the_line_is_broken():
    words = tree(Branch("a" * 100, [("b", "c" * 200)], [Branch("d")]), 40)
    assert max(map(len, words.splitlines())) <= 40
    assert words.count("c") == 200


def test_the_command_prints_a_tree_or_json_and_needs_no_framework(finished, capsys):
    id_ = id_of(finished, "candidate")
    assert run(["show", id_, "--lineage", "--project", str(finished)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("dataset us4  D, AAPL, IBM\n")
    assert max(map(len, out.splitlines())) <= 80
    assert run(["show", id_, "--lineage", "--json", "--project", str(finished)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["kind"] == "lineage"
    [node] = answer["items"]
    while node["children"]:
        node = node["children"][-1]
    assert (node["id"], node["here"], node["artifact_there"]) == (id_, True, True)
    program = (
        "import sys; from podium.cli.main import run; run(sys.argv[1:]); "
        "print(sorted(m for m in ('sqlalchemy', 'pandas', 'torch', 'scipy') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "show", id_, "--lineage", "--project", str(finished)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
