"""Grids and sweeps of a slot that classifies: the highest score is the best one everywhere."""

import json

import numpy as np
import pytest

import classes
import ladder as ladders
from podium.cli.main import run
from podium.errors import PodiumError
from podium.resolve import get_active_model_path, load_model
from podium.steps.decisions.backtest import backtest
from podium.steps.search.grid import grid
from podium.steps.search.sweep import sweep
from podium.steps.search.tune import tune
from podium.steps.serving.predict import classify
from podium.steps.workspace.session import open_project
from projects import query

pytest.importorskip("torch")

# With a step this small nothing is learned in two epochs.
VALUES = {"learning_rate": [0.0001, 0.05], "hidden_size": [4]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = classes.project(tmp_path_factory.mktemp("grid") / "small")
    with open_project(root) as project:
        return root, grid(project, classes.SLOT, VALUES)


def lines(root):
    text = (root / "experiments" / "experiments_log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_the_best_of_a_grid_has_the_highest_score(finished):
    _, found = finished
    scores = [row.score for row in found.trials]
    assert min(scores) < found.best.score == max(scores)
    assert found.best.config["learning_rate"] == 0.05
    assert found.reference.score == max(row.score for row in found.baselines)


def test_the_active_model_is_the_one_with_the_highest_score(finished):
    root, found = finished
    assert get_active_model_path(root) == root / str(found.best.checkpoint)
    told = json.loads((root / "experiments" / "best_config.json").read_text())
    assert told["id"] == found.best.id
    assert told["score"] == found.best.score
    [loss] = query(
        root,
        "SELECT value FROM result WHERE trial_id = ? AND metric = 'val_loss'",
        found.best.id,
    )
    assert told["final_val_loss"] == loss["value"]


def test_the_model_of_a_grid_classifies(finished):
    root, found = finished
    model = load_model(get_active_model_path(root))
    assert model.class_names == classes.CLASSES
    with open_project(root) as project:
        path = root / "data" / "val.npz"
        answer = classify(project, None, path, model_path=root / str(found.best.checkpoint))
    assert answer.prediction.probabilities.shape == (96, 3)
    truth = np.load(path)["y"]
    assert np.mean(answer.prediction.probabilities.argmax(1) == truth) > 0.5


def test_no_line_of_the_log_calls_a_score_that_is_to_be_high_a_loss(finished):
    root, found = finished
    rows = {row.id: row for row in found.trials}
    runs = [line for line in lines(root) if line["phase"] == "grid_search_initial"]
    assert {line["id"] for line in runs} == set(rows)
    for line in runs:
        assert line["score"] == rows[line["id"]].score
        assert line["final_val_loss"] > 0
    # Who sorts by the loss, as before, finds the same best one.
    assert min(runs, key=lambda line: line["final_val_loss"])["id"] == found.best.id
    # The first of them, since another grid in the same project writes one of its own.
    summary = next(line for line in lines(root) if line["phase"].endswith("summary"))
    assert summary["best"] == found.best.id
    assert summary["best_score"] == found.best.score


def test_the_same_grid_again_trains_nothing(finished, tmp_path):
    root, found = finished
    # A copy: the log of the grid grows by another summary.
    with open_project(ladders.copied(root, tmp_path / "small")) as project:
        again = grid(project, classes.SLOT, VALUES)
    assert again.trained == 0
    assert [row.id for row in again.trials] == [row.id for row in found.trials]


def test_grids_of_unlike_metrics_are_not_compared(tmp_path):
    root = classes.project(tmp_path / "small")
    with open_project(root) as project:
        grid(project, classes.SLOT, VALUES)
    slots = {classes.SLOT: {"metric": "log_loss"}}
    text = classes.projects.toml(classes.projects.merge(classes.SETTINGS, {"slots": slots}))
    (root / "podium.toml").write_text(text)
    with open_project(root) as project:
        found = grid(project, classes.SLOT, {"learning_rate": [0.0002], "hidden_size": [4]})
    # A low score by the old metric is no rival of a worse model by the new one.
    assert get_active_model_path(root) == root / str(found.best.checkpoint)
    told = json.loads((root / "experiments" / "best_config.json").read_text())
    assert (told["metric"], told["final_val_loss"]) == ("log_loss", found.best.score)
    assert "score" not in told


@pytest.mark.slow
def test_a_sweep_finds_what_a_grid_trained_and_its_best_is_the_highest(finished, tmp_path):
    root, _ = finished
    before = query(root, "SELECT count(*) AS n FROM trial")[0]["n"]
    space = {"learning_rate": [0.0001, 0.05], "hidden_size": 4}
    with open_project(root) as project:
        found = sweep(project, classes.SLOT, "quick", space=space, refine=True)
    assert found.best.score == max(row.score for row in found.trials)
    assert {row.phase for row in found.trials} == {"sweep/priority", "sweep/quick", "sweep/refine"}
    assert all((root / str(row.checkpoint)).exists() for row in found.trials)
    with open_project(root) as project:
        again = sweep(project, classes.SLOT, "quick", space=space, refine=True)
    assert [row.id for row in again.trials] == [row.id for row in found.trials]
    assert query(root, "SELECT count(*) AS n FROM trial")[0]["n"] > before


def test_a_search_of_classes_is_told_that_higher_is_better(tmp_path):
    root = classes.project(tmp_path / "small", tune={"trials": 4, "search": "tpe"})
    with open_project(root) as project:
        found = tune(project, classes.SLOT)
    assert found.best.score == max(row.score for row in found.trials)


def test_the_commands_tell_the_best_first_and_what_is_next(finished, monkeypatch, capsys):
    root, found = finished
    monkeypatch.chdir(root)
    words = ["--set", "learning_rate=0.0001,0.05", "--set", "hidden_size=4"]
    assert run(["grid", *words, "--json"]) == 0
    out, err = capsys.readouterr()
    items = json.loads(out)["items"]
    assert items[0]["trial"] == found.best.id
    assert items[0]["macro_f1"] == found.best.score
    assert items[-1]["family"] == "naive"
    assert "next: podium predict --data FILE.npz --model-path" in err
    assert run(["sweep", "--mode", "priority", "--max-runs", "2", "--json"]) == 0
    scores = [item["macro_f1"] for item in json.loads(capsys.readouterr().out)["items"]]
    assert scores[:2] == sorted(scores[:2], reverse=True)


def test_what_only_forecasts_have_refuses_a_model_of_classes_with_a_sentence(finished):
    root, found = finished
    with open_project(root) as project, pytest.raises(PodiumError, match="classif"):
        backtest(project, classes.SLOT)
    with open_project(root) as project, pytest.raises(PodiumError, match="classif"):
        backtest(project, model_path=root / str(found.best.checkpoint))
