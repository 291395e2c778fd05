"""A classifier's training and evaluation in MLflow, read back by MLflow's own client."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import classes
import projects
from classes import evaluated
from mlflow_places import client, runs
from podium import load_model
from podium.cli.main import run as podium
from podium.steps.workspace.session import open_project
from podium.steps.workspace.sync import sync

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed"),
    pytest.mark.filterwarnings("default"),
]

FLAGS = {
    "--epochs": "3", "--hidden-size": "4", "--num-layers": "1", "--batch-size": "32",
    "--learning-rate": "0.05", "--data-version": "val2025w48", "--model-tag": "biLSTM-baseline",
    "--device": "cpu", "--notes": "the first one",
}  # fmt: skip


@pytest.fixture(scope="module")
def shown(empty_store, tmp_path_factory):
    """A project whose training was sent to MLflow, evaluated after that, and sent again."""
    root = classes.project(tmp_path_factory.mktemp("shown") / "p", mlflow={"enabled": True})
    shutil.copy(empty_store, root)
    flags = [part for pair in FLAGS.items() for part in pair]
    command = [
        "train", "bilstm", *flags, "--bidirectional", "--weighted-loss", "--quiet",
        "--train-npz", str(root / "data" / "train.npz"), "--output-dir", str(root / "out"),
        "--feature-stats", str(root / "stats.json"), "--project", str(root),
    ]  # fmt: skip
    assert podium(command) == 0
    [row] = projects.query(root, "SELECT * FROM candidate")
    done = evaluated(root, row["id"])
    with open_project(root) as project:
        project.feeds = False
        found = sync(project)
    assert found.is_whole, found
    return root, row, done


@pytest.fixture
def run_of(shown):
    root, row, _ = shown
    return runs(f"sqlite:///{root / 'mlflow.db'}")[row["trial_id"]]


def test_the_run_is_named_as_the_guide_says(run_of):
    assert run_of.info.run_name.startswith("val2025w48-l6-biLSTM-baseline-run")


def test_every_flag_is_a_parameter(shown, run_of):
    root, _, _ = shown
    params = run_of.data.params
    for flag, value in FLAGS.items():
        assert params[flag.removeprefix("--").replace("-", "_")] == value
    assert params["bidirectional"] == "True"
    assert params["weighted_loss"] == "True"
    assert params["class_weights"] == "inverse_frequency"
    assert params["train_npz"] == str(root / "data" / "train.npz")
    assert params["feature_stats"] == str(root / "stats.json")
    assert params["output_dir"] == str(root / "out")
    assert params["classes"] == "calm, rises, falls"
    assert params["features"] == "level, flow"


def test_every_epoch_of_every_metric_is_there(shown, run_of):
    root, row, _ = shown
    there = client(f"sqlite:///{root / 'mlflow.db'}")
    for name in (
        "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1",
        "learning_rate",
    ):  # fmt: skip
        part, _, metric = name.partition("_")
        part, metric = (part, metric) if part in ("train", "val") else ("", name)
        sql = "SELECT epoch, value FROM score WHERE trial_id = ? AND part = ? AND metric = ?"
        kept = projects.query(root, sql, row["trial_id"], part, metric)
        told = there.get_metric_history(run_of.info.run_id, name)
        curve = {p.step: p.value for p in told if p.step <= 3}
        assert curve == {r["epoch"]: r["value"] for r in kept}
        assert len(kept) == 3
        assert run_of.data.metrics[name] == run_of.data.metrics[f"best_epoch/{name}"]


def test_the_evaluations_figures_are_metrics_of_the_run(shown, run_of):
    _, _, done = shown
    for name in ("macro_f1", "weighted_f1", "accuracy", "naive_macro_f1"):
        told = run_of.data.metrics[f"evaluation/{name}"]
        assert told == pytest.approx(done.evidence.scalar(name))


def test_its_files_are_the_ones_that_were_left(shown, run_of, tmp_path):
    root, _, done = shown
    there = client(f"sqlite:///{root / 'mlflow.db'}")
    files = {file.path for file in there.list_artifacts(run_of.info.run_id)}
    assert files >= {"metrics.csv", "best.pt", "last.pt", "feature_stats.json", "evaluation"}
    for name in ("best.pt", "last.pt", "feature_stats.json", "metrics.csv"):
        got = there.download_artifacts(run_of.info.run_id, name, str(tmp_path))
        assert (root / "out" / name).read_bytes() == Path(got).read_bytes()
    inner = {file.path for file in there.list_artifacts(run_of.info.run_id, "evaluation")}
    assert inner == {f"evaluation/{path.name}" for path in done.folder.iterdir()} - {
        "evaluation/manifest.json"
    }


def test_notes_and_tags_are_there(shown, run_of):
    _, row, _ = shown
    tags = run_of.data.tags
    assert "the first one" in tags["mlflow.note.content"]
    assert tags["podium.candidate_id"] == row["id"]
    assert tags["promotion_stage"] == "development"
    assert tags["podium.phase"] == "train"


def test_the_registered_model_gives_the_probabilities_that_podium_gives(shown):
    import mlflow

    root, row, _ = shown
    before = mlflow.get_tracking_uri()
    # MLflow tells its URI to later processes through the environment, and podium listens there.
    with mock.patch.dict(os.environ):
        try:
            mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
            served = mlflow.pyfunc.load_model("models:/pumps.class/1")
        finally:
            mlflow.set_tracking_uri(before)
    samples = classes.samples(5, 3, "c")["X"]
    own = load_model(root / "models" / "registry" / row["artifact_path"])
    np.testing.assert_array_equal(served.predict(samples), own.predict(samples))
    assert served.predict(served.input_example).shape == (2, len(classes.CLASSES))
