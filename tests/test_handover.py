"""A verb works on what the verb before left, with the settings that one had."""

import json

import numpy as np
import pytest

import classes
import projects
from podium.cli.main import run as podium
from podium.errors import NotFoundError
from podium.steps.candidates.finalize import finalize
from podium.steps.decisions.backtest import backtest
from podium.steps.pipeline.run import explain
from podium.steps.pipeline.run import run as run_slots
from podium.steps.search.analyze import analyze
from podium.steps.search.extend import extend
from podium.steps.trials.once import differences, once
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying, query

pytest.importorskip("torch")

FOLDERS = {"paths": {"final": "final_model", "best_config": "best_config.json"}}


@pytest.fixture
def searched(ladder, tmp_path):
    """A project whose search of podium.toml's question is finished."""
    return ladder.copy(tmp_path / "p", "searched", **FOLDERS)


def verb(root, name, *words, code=0):
    """A command as people type it; the id of what it made where it says one."""
    assert podium([name, *words, "--project", str(root), "-q"]) == code


def trained(root):
    """Trials that a project has trained so far, by phase."""
    rows = query(root, "SELECT phase, count(*) AS n FROM study_trial GROUP BY phase")
    return {row["phase"]: row["n"] for row in rows}


def newest_study(root):
    return query(root, "SELECT id FROM study ORDER BY seq DESC LIMIT 1")[0]["id"]


def planned(root):
    with open_project(root) as project:
        return {one.step: (one.state, one.why) for one in explain(project, [SLOT])}


def test_extend_takes_the_search_that_tune_left_and_not_the_one_of_podium_toml(searched):
    first = newest_study(searched)
    verb(searched, "tune", SLOT, "--trials", "3", "--seed", "5")
    second = newest_study(searched)
    assert second != first
    said = Saying()
    with open_project(searched, reporter=said) as project:
        found = extend(project, SLOT)
    assert found.tuned.study.id == second
    assert any(f"search {second}, the newest finished one" in line for line in said.said)
    # The other one by its id.
    with open_project(searched) as project:
        assert extend(project, SLOT, study=first).tuned.study.id == first
        with pytest.raises(NotFoundError, match="has the id 's-none'") as caught:
            extend(project, SLOT, study="s-none")
    assert first in caught.value.problems[0].expected


@pytest.mark.slow
def test_a_search_that_is_repeated_is_the_newest_one_again(searched):
    first = newest_study(searched)
    verb(searched, "tune", SLOT, "--seed", "5")
    verb(searched, "tune", SLOT)
    with open_project(searched) as project:
        assert extend(project, SLOT).tuned.study.id == first


def test_what_set_narrowed_holds_for_the_next_verbs(searched):
    verb(searched, "tune", SLOT, "--set", "learning_rate=0.002", "--trials", "2")
    study = newest_study(searched)
    with open_project(searched) as project:
        found = extend(project, SLOT)
        chosen = analyze(project, SLOT).chosen
    assert found.tuned.study.id == study
    assert chosen.config["learning_rate"] == 0.002


def test_analyze_and_finalize_take_the_folds_that_extend_left_and_train_none(searched, capsys):
    verb(searched, "extend", SLOT, "--epochs", "4", "--folds", "3")
    before = trained(searched)
    said = Saying()
    with open_project(searched, reporter=said) as project:
        found = analyze(project, SLOT)
    assert len(found.chosen.folds) == 3
    assert found.chosen.config["max_epochs"] == 4
    assert trained(searched) == before
    assert any("extend.epochs 4 (podium.toml: 2)" in line for line in said.said)
    told = json.loads((searched / "best_config.json").read_text())
    assert told["config"]["max_epochs"] == 4
    with open_project(searched) as project:
        finalize(project, SLOT)
    after = trained(searched)
    assert {k: v for k, v in after.items() if k != "finalize"} == before
    # podium.toml asks another question, which is to be done.
    assert planned(searched)["extend"][0] == "to do"
    assert "extend.epochs was 4, is 2" in planned(searched)["extend"][1]


def test_backtest_judges_what_final_model_holds_and_trains_nothing(searched):
    verb(searched, "extend", SLOT)
    verb(searched, "analyze", SLOT)
    verb(searched, "finalize", SLOT)
    config = {"config": {"learning_rate": 0.004}, "family": "lstm"}
    (searched / "mine.json").write_text(json.dumps(config))
    verb(searched, "finalize", SLOT, "--config", str(searched / "mine.json"), "--epochs", "3")
    mine = query(searched, "SELECT id, made_by FROM candidate ORDER BY version DESC")[0]
    assert mine["made_by"] == "given"
    before = trained(searched)
    said = Saying()
    with open_project(searched, reporter=said) as project:
        judged = backtest(project, SLOT)
    assert judged.candidate.id == mine["id"]
    assert judged.rule == "the final model: final_model/"
    assert any(f"judging candidate {mine['id']} (version 2)" in line for line in said.said)
    assert trained(searched) == before
    assert [row["candidate_id"] for row in query(searched, "SELECT * FROM test_look")] == [
        mine["id"]
    ]
    assert (
        json.loads((searched / "final_model" / "config.json").read_text())["candidate"]
        == (mine["id"])
    )


@pytest.mark.slow
def test_promote_takes_the_newest_judged_candidate_of_a_slot(searched, capsys):
    for seeds in ("1", "2"):
        verb(searched, "extend", SLOT)
        verb(searched, "finalize", SLOT, "--seeds", seeds)
        if seeds == "1":
            verb(searched, "backtest", SLOT)
    first, second = query(searched, "SELECT id FROM candidate ORDER BY version")
    capsys.readouterr()
    assert podium(["promote", SLOT, "--project", str(searched), "--dry-run"]) in (0, 4)
    told = capsys.readouterr().err
    assert (
        f"candidate {first['id']} (version 1) is the newest judged one; version 2 is newer" in told
    )
    assert second["id"] not in told


def test_a_training_that_gives_the_model_there_is_is_no_new_candidate(searched, capsys):
    verb(searched, "extend", SLOT)
    verb(searched, "finalize", SLOT)
    # Its best epoch is the first, and the served model trains for as many as the folds say.
    capsys.readouterr()
    assert podium(["finalize", SLOT, "--epochs", "3", "--json", "--project", str(searched)]) == 0
    said = capsys.readouterr()
    [fact] = json.loads(said.out)["items"]
    assert fact["new"] is False
    assert (
        f"the trained model is identical to candidate {fact['candidate']} (version 1)" in said.err
    )
    assert len(query(searched, "SELECT id FROM candidate")) == 1


def test_an_input_that_is_there_no_more_is_named(searched):
    with open_project(searched) as project:
        before = {"a": 1, "b": "x"}
        once(project, SLOT, "kit", before, lambda: lambda tx: {})
        assert differences(project, SLOT, "kit", {"a": 1}) == ["b was x, is not set"]
        # Where an input is not known yet, others may follow from it.
        assert differences(project, SLOT, "kit", {"a": 1, "c": None}) == []


def test_fewer_configs_than_asked_for_is_a_line(searched):
    said = Saying()
    with open_project(searched, settings={"extend.top": 9}, reporter=said) as project:
        found = extend(project, SLOT)
    assert len(found.configs) < 9
    assert any(f"{len(found.configs)} configs are cross-validated, not 9" in s for s in said.said)


def test_a_verb_refuses_what_answers_another_question_by_now(searched):
    projects.configure(searched, **projects.merge(FOLDERS, {"slots": {SLOT: {"horizon": 4}}}))
    with (
        open_project(searched) as project,
        pytest.raises(NotFoundError, match="data and settings: horizon was 5, is 4"),
    ):
        extend(project, SLOT)


def test_analyze_names_what_differs_where_the_slot_asks_another_question(searched):
    verb(searched, "extend", SLOT)
    projects.configure(searched, **projects.merge(FOLDERS, {"slots": {SLOT: {"horizon": 4}}}))
    with (
        open_project(searched) as project,
        pytest.raises(NotFoundError, match="data and settings: horizon was 5, is 4"),
    ):
        analyze(project, SLOT)


def test_nothing_is_analyzed_before_it_is_extended(searched):
    with open_project(searched) as project, pytest.raises(NotFoundError) as caught:
        analyze(project, SLOT)
    assert caught.value.problems[0].fix == f"run: podium extend {SLOT}"
    assert "extend" not in trained(searched)


# Classifiers


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A project that classifies, taken to its decision by a run."""
    root = classes.project(
        tmp_path_factory.mktemp("classes") / "p",
        slots={classes.SLOT: {"families": ["bilstm"]}},
        datasets={"pumps": {"evaluation": "data/eval.npz"}},
        extend={"folds": 2, "top": 1, "epochs": 2},
    )
    classes.write(root / "data" / "eval.npz", classes.samples(96, 3, "c"))
    with open_project(root) as project:
        run_slots(project)
    return root


def test_the_hint_after_a_search_for_classes_works_on_that_search(tmp_path, capsys):
    root = classes.project(tmp_path / "p")
    place = ["--project", str(root)]
    assert podium(["tune", classes.SLOT, "--trials", "2", "--epochs", "1", *place]) == 0
    hint = capsys.readouterr().err.partition("next: ")[2].splitlines()[0]
    words = hint.removeprefix("podium ").split()
    assert words == ["extend", classes.SLOT]
    assert podium([*words, "--folds", "2", "--top-n", "1", "--epochs", "1", *place]) == 0
    assert "are those of search s-" in capsys.readouterr().err
    best = ["train", "bilstm", "--slot", classes.SLOT, "--best"]
    assert podium([*best, *place]) == 0
    assert "in search s-" in capsys.readouterr().err


def test_changed_evaluation_samples_are_to_be_evaluated_again(classifier):
    with open_project(classifier) as project:
        plan = {one.step: one for one in explain(project)}
    assert {one.state for one in plan.values()} == {"up to date"}
    path = classifier / "data" / "eval.npz"
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"X": arrays["X"] + np.float32(0.25)})
    decisions = len(query(classifier, "SELECT id FROM decision"))
    with open_project(classifier) as project:
        plan = {one.step: one for one in explain(project)}
    assert plan["backtest"].state == "to do"
    assert plan["backtest"].why.startswith("samples was ")
    assert plan["promote"].why.startswith("after backtest")
    assert len(query(classifier, "SELECT id FROM decision")) == decisions
    with open_project(classifier) as project:
        run_slots(project)
        plan = {one.step: one for one in explain(project)}
    assert {one.state for one in plan.values()} == {"up to date"}
