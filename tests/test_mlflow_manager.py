"""Finding models by their tags, as the scripts of before did, from the record alone."""

import subprocess
import sys
from pathlib import Path

import pytest

import podium
import projects
from mlflow_models import another, moved
from podium import config
from podium.decision import Stage
from podium.errors import NotFoundError, UsageError
from podium.evidence import Scalar
from podium.ledger import outbox, reads, writes
from podium.ledger.projections import _mlflow_target
from podium.steps.evidence.evidence import evidence_about
from podium.steps.workspace.session import open_project

SLOT = projects.SLOT


@pytest.fixture(scope="module")
def made(ladder, tmp_path_factory):
    """A project whose base was enhanced three times; a slot beside it has no model yet."""
    place = tmp_path_factory.mktemp("made") / "small"
    root = ladder.copy(place, "finished", policies=projects.LENIENT)
    projects.configure(
        root,
        datasets={"hours": {"path": "data/us4", "tickers": ["AAPL"], "timeframe": "1H"}},
        slots={"us4/1H/volatility": {**projects.SMALL["slots"][SLOT], "dataset": "hours"}},
    )
    base = first(root)
    for number, reward in ((1, 2.0), (2, 5.0), (3, float("nan"))):
        child = another(root, f"child{number}", model_type="continued", parent=base)
        rewarded(root, child.id, reward)
    moved(root, child.id, Stage.DEVELOPMENT, Stage.BETA)
    # As the projection remembers what MLflow calls them.
    with open_project(root) as project:
        key = _mlflow_target.resolve(config.load(root)).key
        with project.ledger.transaction() as tx:
            for row in projects.query(root, "SELECT * FROM candidate"):
                ids = (row["trial_id"], f"run-{row['version']}"), (row["id"], str(row["version"]))
                for subject, remote in ids:
                    outbox.remember(tx, key, subject, remote, "us4.D.volatility")
    return root


def first(root):
    [row] = projects.query(root, "SELECT id FROM candidate WHERE version = 1")
    with open_project(root) as project, project.ledger.reading() as tx:
        return reads.candidate_by_id(tx, row["id"])


def rewarded(root, candidate_id, reward):
    with open_project(root) as project:
        with project.ledger.reading() as tx:
            candidate = reads.candidate_by_id(tx, candidate_id)
        scalars = {"best_mean_reward": Scalar(reward, "", "max")}
        found = evidence_about(
            candidate, "evaluation", "test", dataset="d" * 64, notes={}, scalars=scalars
        )
        with project.ledger.transaction() as tx:
            writes.put_evidence(tx, found)


@pytest.fixture
def mlflow_manager(made):
    return podium.mlflow_manager(slot=SLOT, root=made)


def path(version):
    return f"runs:/run-{version}/models/D/model.zip"


def test_the_scripts_of_before_run_word_for_word(mlflow_manager):
    base_run_id, model_path = mlflow_manager.find_latest_model(
        model_type="continued",  # Can be any model type: "base", "continued", etc.
        version_type="latest"
    )  # fmt: skip
    assert (base_run_id, model_path) == ("run-4", path(4))

    base_run_id, model_path = mlflow_manager.find_best_model(
        model_type="continued",  # Can be any model type: "base", "continued", etc.
        metric="evaluation/best_mean_reward"
    )  # fmt: skip
    assert (base_run_id, model_path) == ("run-3", path(3))

    models = mlflow_manager.find_models_by_stage(
        promotion_stage="champion",  # Can be any stage: "development", "beta", ...
        timeframe="1H"  # Optional timeframe filter
    )  # fmt: skip
    assert models == []


def test_a_type_that_has_none_falls_back_to_a_base_even_an_old_one_and_says_so(mlflow_manager):
    said = f"{SLOT} has no latest curriculum model; the base model version 1 .old. is returned"
    with pytest.warns(UserWarning, match=said):
        found = mlflow_manager.find_latest_model(model_type="curriculum", version_type="latest")
    assert found == ("run-1", path(1))


def test_a_best_one_without_the_metric_falls_back_to_a_base_that_has_it(mlflow_manager, made):
    assert mlflow_manager.find_best_model(model_type="adaptive") == (None, None)
    with pytest.warns(UserWarning, match="no adaptive model that has test/mae; the base"):
        found = mlflow_manager.find_best_model(model_type="adaptive", metric="test/mae")
    assert found == ("run-1", path(1))


def test_without_any_model_there_is_none_of_either(made):
    there = podium.mlflow_manager(timeframe="1H", root=made)
    assert there.slot == "us4/1H/volatility"
    assert there.find_latest_model(model_type="base") == (None, None)
    assert there.find_best_model(model_type="continued") == (None, None)


def test_models_of_a_stage_are_told_with_their_numbers(mlflow_manager):
    [model] = mlflow_manager.find_models_by_stage("beta")
    told = {
        "run_id": "run-4",
        "model_path": path(4),
        "slot": SLOT,
        "version": 4,
        "timeframe": "D",
        "model_type": "continued",
        "version_type": "latest",
        "promotion_stage": "beta",
        "registered_model": "us4.D.volatility",
        "mlflow_version": "4",
    }
    assert {name: model[name] for name in told} == told
    stage = mlflow_manager.find_models_by_stage
    assert [m["version"] for m in stage("development", timeframe="D")] == [3, 2]
    assert [m["version"] for m in stage("champion")] == [1]
    assert stage("archived") == []


def test_what_is_misspelt_is_refused_with_what_there_is(mlflow_manager, made):
    with pytest.raises(NotFoundError, match="champion"):
        mlflow_manager.find_models_by_stage("champoin")
    with pytest.raises(UsageError, match="latest or old"):
        mlflow_manager.find_latest_model(version_type="newest")
    with pytest.raises(UsageError, match="one of them"):
        podium.mlflow_manager(SLOT, "D", root=made)
    with pytest.raises(NotFoundError, match="timeframe 15M"):
        podium.mlflow_manager(timeframe="15M", root=made)


def test_a_model_that_mlflow_never_saw_is_found_where_it_lies(made, tmp_path):
    root = projects.small_project(tmp_path / "p", policies=projects.LENIENT)
    assert podium.mlflow_manager(root=root).find_latest_model() == (None, None)
    projects.run_project(root)
    [row] = projects.query(root, "SELECT * FROM candidate")
    trial_id, place = podium.mlflow_manager(root=root).find_latest_model()
    assert trial_id == row["trial_id"]
    assert podium.load_model(place).tickers == ("AAPL", "IBM")


def test_asking_imports_neither_mlflow_nor_a_framework(made):
    code = (
        "import sys, podium\n"
        f"print(podium.mlflow_manager(root={str(made)!r}).find_latest_model('continued'))\n"
        "heavy = {'mlflow', 'torch', 'pandas', 'numpy', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    settings = {"PYTHONPATH": str(Path(podium.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=settings
    )
    assert "run-4" in done.stdout
