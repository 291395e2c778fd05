"""A real set of classes, from its files to a decision: sensor readings that come with a wheel.

Samples are of unlike length, days are groups, and two of the three classes are rare.
"""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

import classes
from podium.cli.main import run as podium
from podium.config import load
from podium.ledger import reads
from podium.steps.data import glucose
from podium.steps.data.sequences import class_data
from podium.steps.pipeline.run import explain, run
from podium.steps.search.extend import extension_left
from podium.steps.workspace import recorded
from podium.steps.workspace.session import open_project
from projects import query

FOLDS, SLOT = 2, classes.SLOT
SETTINGS = {
    # After three epochs a baseline is better.
    "analyze": {"choose": "searched"},
    "datasets": {"pumps": {"evaluation": "data/test.npz"}},
    "extend": {"folds": FOLDS, "top": 1, "epochs": 2},
    "finalize": {"epochs": 3},
    "tune": {"epochs": 3},
    "space": {"bilstm": {"batch_size": [64], "class_weights": ["effective_number"]}},
}


def shortened(arrays, rows):
    """Some samples, each with its newest 12 to 24 readings alone."""
    x = arrays["X"][rows]
    n, steps, _ = x.shape
    lengths = 12 + np.arange(n) % (steps - 11)
    at = np.minimum(np.arange(steps) + (steps - lengths)[:, None], steps - 1)
    kept = {name: arrays[name][rows] for name in ("y", "groups")}
    names = {name: arrays[name] for name in ("feature_names", "class_names")}
    return {"X": x[np.arange(n)[:, None], at], "lengths": lengths, **kept, **names}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The whole run of the slot."""
    place = classes.project(tmp_path_factory.mktemp("glucose") / "p", **SETTINGS)
    parts = glucose.sequences(glucose.readings())
    late = np.unique(parts["val"]["groups"])[30]
    is_late = parts["val"]["groups"] >= late
    for name, part, rows in (
        ("train", "train", np.arange(0, len(parts["train"]["y"]), 32)),
        ("val", "val", np.flatnonzero(~is_late)[::16]),
        ("test", "val", np.flatnonzero(is_late)[::16]),
    ):
        classes.write(place / "data" / f"{name}.npz", shortened(parts[part], rows))
    with open_project(place) as project:
        run(project)
    return place


def test_every_stage_is_done_and_nothing_is_left(root):
    with open_project(root) as project:
        plan = explain(project)
    assert [one.step for one in plan] == [
        "tune", "extend", "analyze", "finalize", "backtest", "promote",
    ]  # fmt: skip
    assert {one.state for one in plan} == {"up to date"}


def test_folds_share_no_day_and_each_has_every_class(root):
    data = class_data(load(root, environ={}), SLOT)
    assert len(np.unique(data.dataset.lengths)) == 13
    rare = np.bincount(data.dataset.y) / len(data.dataset)
    assert rare[1:].max() < 0.06
    with open_project(root) as project, extension_left(project, SLOT) as found:
        folds = found.split.folds
    assert len(folds) == FOLDS
    days = data.dataset.groups
    for fold in folds:
        assert not {*days[fold.train]} & {*days[fold.validation]}
        assert {*data.dataset.y[fold.validation]} == {0, 1, 2}
    every = np.concatenate([fold.validation for fold in folds])
    assert sorted(every) == list(range(len(data.dataset)))


def test_figures_of_each_class_are_those_of_scikit_learn(root):
    with open_project(root) as project, extension_left(project, SLOT) as found:
        data = found.tuned.data
        for config in found.configs:
            for n, row in enumerate(config.folds):
                fold = found.split.folds[row.fold]
                values = project.ledger.read(reads.array, row.prediction_hash)
                chosen = data.task.read(values, data.dataset, fold).chosen
                truth = data.dataset.y[fold.validation]
                for what, oracle in (("f1", f1_score), ("recall", recall_score)):
                    wanted = oracle(truth, chosen, labels=range(3), average=None, zero_division=0)
                    mine = [getattr(one, what)[n] for one in config.classes]
                    np.testing.assert_allclose(mine, wanted, atol=1e-12)
        best = found.configs[0].classes
    name = "extended_training_results"
    results = json.loads((root / name / f"{name}.json").read_text())
    assert results["configs"][0]["classes"] == {one.name: one.figures() for one in best}


def test_the_candidate_is_judged_on_the_sealed_file_alone(root):
    [row] = query(root, "SELECT id, artifact_hash FROM candidate")
    with open_project(root) as project:
        found = recorded.evidence(project, row["id"])
    sealed = np.load(root / "data" / "test.npz")
    assert found["evaluation"].scalar("samples") == len(sealed["y"])
    assert found["evaluation"].notes["data"] == "data/test.npz"
    assert set(found["validation"].series) >= {"trained_rows", "trained_groups"}
    assert found["validation"].scalar("f1_mean:falls below 70") >= 0
    # The served model saw all samples but the sealed ones.
    trained = len(np.load(root / "data" / "train.npz")["y"]) + len(
        np.load(root / "data" / "val.npz")["y"]
    )
    data = class_data(load(root, environ={}), SLOT)
    assert len(data.whole().train) == trained == len(data.dataset)


def test_a_baseline_that_is_better_is_named_by_the_gate_that_refuses(root, capsys):
    [row] = query(root, "SELECT id FROM candidate")
    place = ["--project", str(root)]
    assert podium(["sign", row["id"], "--reason", "seen", *place]) == 0
    # Trained for three epochs it knows less than the rule that draws the last step on.
    assert podium(["promote", row["id"], *place]) == 4
    told = capsys.readouterr()
    assert "of the baseline naive trend, which is not an improvement" in told.out
    assert "signed by" in told.out
    for verb in ("extend", "analyze", "finalize"):
        assert podium([verb, SLOT, *place]) == 0
        assert "next: podium" in capsys.readouterr().err
