"""podium train: one watched training, its files, its record, and going on with one cut off."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import classes
import projects
from classes import SLOT, samples, trained, write
from podium.cli.main import run as podium
from podium.config import load
from podium.errors import DataError, NotFoundError, UsageError
from podium.feature_stats import FeatureStats
from podium.steps.candidates.train import Checkpoints
from podium.steps.data.sequences import class_data
from podium.steps.search.tune import tune
from podium.steps.workspace.session import open_project

REPORTED = {
    "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1", "learning_rate",
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project after one training, and what it answered."""
    root = classes.project(tmp_path_factory.mktemp("train") / "p")
    return root, trained(root, output=root / "out")


def curve(path):
    head, *rows = path.read_text().splitlines()
    return [dict(zip(head.split(","), map(float, row.split(",")), strict=True)) for row in rows]


def test_a_training_leaves_a_candidate_and_the_files_users_know(done):
    _, found = done
    assert found.fresh
    assert found.candidate.slot == SLOT
    names = {p.name for p in found.output.iterdir()}
    assert {"best.pt", "last.pt", "metrics.csv", "feature_stats.json", "config.json"} <= names
    for name in ("best.pt", "last.pt"):
        state = torch.load(found.output / name, weights_only=True)
        assert "model_state_dict" in state
    rows = curve(found.output / "metrics.csv")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert set(rows[0]) >= REPORTED


def test_its_score_is_the_best_epochs_and_stands_beside_the_naive_rules(done):
    _, found = done
    rows = curve(found.output / "metrics.csv")
    assert found.trial.score == pytest.approx(max(row["val_macro_f1"] for row in rows))
    validation = found.validation
    assert validation.scalar("macro_f1") == found.trial.score
    assert validation.scalar("naive_macro_f1") == found.reference.score
    assert validation.scalars["macro_f1"].direction == "max"


def test_the_same_training_again_trains_nothing_new(done):
    root, found = done
    again = trained(root, output=root / "elsewhere")
    assert not again.fresh
    assert again.candidate.id == found.candidate.id
    for name in ("best.pt", "last.pt", "metrics.csv", "feature_stats.json"):
        assert (again.output / name).read_bytes() == (found.output / name).read_bytes()


@pytest.mark.slow
def test_a_training_that_was_cut_off_goes_on_to_the_same_curve(done, tmp_path):
    _, whole = done
    root = classes.project(tmp_path / "p")
    with pytest.raises(KeyboardInterrupt):
        # The first epoch is told, the second one is cut off.
        trained(root, output=root / "out", reporter=projects.Interrupting(1))
    [row] = projects.query(root, "SELECT * FROM trial WHERE family = 'bilstm'")
    assert row["state"] == "interrupted"
    assert (root / "out" / "last.pt").is_file()
    resumed = trained(root, output=root / "out", resume=True)
    assert (resumed.output / "metrics.csv").read_text() == (
        whole.output / "metrics.csv"
    ).read_text()
    assert (resumed.output / "best.pt").read_bytes() == (whole.output / "best.pt").read_bytes()


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_to_the_same_curve(tmp_path):
    settings = {"max_epochs": 60}
    whole = trained(classes.project(tmp_path / "a"), settings=settings, output=tmp_path / "whole")
    root, out = classes.project(tmp_path / "b"), tmp_path / "out"
    command = [sys.executable, "-m", "podium", "train", "bilstm", "--output-dir", str(out)]
    for name, value in {**classes.QUICK, **settings}.items():
        command += ["--set", f"{name}={value}"]
    process = subprocess.Popen([*command, "--project", str(root), "--quiet"])
    give_up = time.monotonic() + 120
    while not (out / "metrics.csv").is_file() or len(curve(out / "metrics.csv")) < 3:
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < give_up
        time.sleep(0.01)
    process.kill()
    process.wait()
    [row] = projects.query(root, "SELECT * FROM trial WHERE family = 'bilstm'")
    assert row["state"] == "running"
    resumed = trained(root, settings=settings, output=out, resume=True)
    assert resumed.trial.id == row["id"]
    assert curve(out / "metrics.csv") == curve(whole.output / "metrics.csv")
    assert (out / "best.pt").read_bytes() == (whole.output / "best.pt").read_bytes()


@pytest.mark.slow
def test_an_interrupted_training_resumes_by_itself_unless_restarted(done, tmp_path, monkeypatch):
    _, whole = done
    expected = (whole.output / "metrics.csv").read_text()
    root = classes.project(tmp_path / "p")

    def interrupted():
        shutil.rmtree(root)
        classes.project(root)
        with pytest.raises(KeyboardInterrupt):
            trained(root, output=root / "out", reporter=projects.Interrupting(1))

    def epochs_trained(**how):
        written, put = [], Checkpoints.put

        def counted(self, epoch, state, *, best):
            written.append(epoch)
            put(self, epoch, state, best=best)

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "put", counted)
            made = trained(root, output=root / "out", **how)
        assert (made.output / "metrics.csv").read_text() == expected
        return written

    interrupted()
    assert epochs_trained() == [2]
    interrupted()
    assert epochs_trained(resume=False) == [1, 2]
    # A damaged state, or that of another training, is no reason to stop.
    interrupted()
    (root / "out" / "last.pt").write_bytes(b"half")
    assert epochs_trained() == [1, 2]


def test_going_on_needs_something_to_go_on_from(tmp_path):
    root = classes.project(tmp_path / "p")
    with pytest.raises(NotFoundError, match=r"no .*last.pt to resume"):
        trained(root, output=root / "out", resume=True)
    assert not projects.query(root, "SELECT * FROM trial WHERE family = 'bilstm'")


def test_feature_stats_are_written_from_training_samples_and_read_again(tmp_path):
    root = classes.project(tmp_path / "p")
    place = root / "stats" / "feature_stats.json"
    first = trained(root, stats=place)
    told = json.loads(place.read_text())
    arrays = samples(160, 1, "a")
    flat = arrays["X"].reshape(-1, 2).astype(np.float64)
    assert told["mean"] == pytest.approx(flat.mean(axis=0))
    assert told["std"] == pytest.approx(flat.std(axis=0))
    again = trained(root, stats=place)
    assert not again.fresh
    assert again.candidate.id == first.candidate.id
    told["mean"] = [value + 1 for value in told["mean"]]
    place.write_text(json.dumps(told))
    other = trained(root, stats=place)
    assert other.fresh
    assert json.loads((other.output / "feature_stats.json").read_text())["mean"] == told["mean"]


def test_feature_stats_of_other_features_are_refused(tmp_path):
    root = classes.project(tmp_path / "p")
    place = root / "stats.json"
    stats = FeatureStats(("flow", "level"), (0.0, 0.0), (1.0, 1.0))
    place.write_text(json.dumps(stats.spec()))
    with pytest.raises(DataError, match=r"flow, level.*level, flow"):
        trained(root, stats=place)


def test_an_unknown_setting_is_refused_before_anything_is_trained(tmp_path):
    root = classes.project(tmp_path / "p")
    with pytest.raises(UsageError, match="hiden_size") as caught:
        trained(root, settings={"hiden_size": 3})
    assert "hidden_size" in str(caught.value)
    assert not (root / "podium.db").exists() or not projects.query(root, "SELECT * FROM trial")


def test_files_become_a_dataset_and_a_slot_where_there_is_none(tmp_path, monkeypatch, capsys):
    root = classes.project(tmp_path / "p")
    (root / "podium.toml").write_text('[project]\nname = "bare"\nid = "p-bare"\n')
    monkeypatch.chdir(root)
    command = [
        "train", "bilstm", "--train-npz", "data/train.npz", "--val-npz", "data/val.npz",
        "--epochs", "1", "--hidden-size", "4", "--batch-size", "32", "--output-dir", "artifacts/a",
        "--weighted-loss", "--bidirectional", "--num-layers", "1", "--device", "cpu", "--json",
    ]  # fmt: skip
    assert podium(command) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    config = load(root, environ={})
    assert list(config.slots) == [item["slot"]] == ["train/class"]
    assert config.datasets["train"].path == "data/train.npz"
    assert item["config"]["class_weights"] == "inverse_frequency"
    assert (root / "artifacts" / "a" / "best.pt").is_file()
    assert podium([*command, "--quiet"]) == 0
    [again] = json.loads(capsys.readouterr().out)["items"]
    assert again["candidate"] == item["candidate"]


def test_other_files_than_the_slots_own_are_another_training(done, tmp_path):
    root, found = done
    other = write(tmp_path / "other.npz", samples(120, 7, "c"))
    again = trained(root, training=other, output=tmp_path / "out")
    assert again.fresh
    assert again.candidate.dataset_fingerprint != found.candidate.dataset_fingerprint


def test_samples_that_nothing_sets_apart_are_refused(tmp_path):
    root = classes.project(tmp_path / "p", datasets={"pumps": {"validation": ""}})
    arrays = samples(60, 3, "a")
    del arrays["groups"]
    write(root / "data" / "train.npz", arrays)
    with pytest.raises(DataError, match="neither a validation file nor groups"):
        class_data(load(root, environ={}), SLOT)


def test_without_a_second_file_whole_groups_validate(tmp_path):
    root = classes.project(tmp_path / "p", datasets={"pumps": {"validation": ""}})
    data = class_data(load(root, environ={}), SLOT)
    [fold] = data.split.folds
    groups = data.dataset.groups
    assert not set(groups[fold.train]) & set(groups[fold.validation])
    assert len(fold.train) + len(fold.validation) == len(data.dataset)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"horizon": 5}, "sets horizon"),
        ({"features": ["log_return"]}, "sets features"),
        ({"metric": "macro_f2"}, "macro_f1"),
        ({"task": "clasify"}, "one of classify, forecast"),
        ({"families": ["bilstn"]}, "bilstm"),
    ],
)
def test_a_classifying_slots_table_is_checked(tmp_path, settings, told):
    root = classes.project(tmp_path / "p", slots={SLOT: settings})
    with pytest.raises(UsageError, match=told):
        load(root, environ={})


def test_a_metric_of_forecasts_is_refused_for_classes(tmp_path):
    root = classes.project(tmp_path / "p", slots={SLOT: {"metric": "mse"}})
    with pytest.raises(UsageError, match="metric mse scores forecasts"):
        class_data(load(root, environ={}), SLOT)


def test_a_family_that_forecasts_cannot_classify(tmp_path, monkeypatch, capsys):
    root = classes.project(tmp_path / "p")
    monkeypatch.chdir(root)
    assert podium(["train", "lstm"]) == 2
    assert "family 'lstm' is for forecast" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_looks_for_the_highest_where_higher_is_better(tmp_path):
    root = classes.project(tmp_path / "p", tune={"trials": 4, "generation": 2})
    with open_project(root) as project:
        found = tune(project, SLOT)
        again = tune(project, SLOT)
    scores = [row.score for row in found.trials]
    assert found.best.score == max(scores)
    assert [row.id for row in again.trials] == [row.id for row in found.trials]
    assert found.reference.score == max(row.score for row in found.baselines)


def test_the_best_config_of_a_search_can_be_trained(tmp_path):
    root = classes.project(tmp_path / "p")
    with open_project(root) as project:
        best = tune(project, SLOT).best
    found = trained(root, settings={}, best=True)
    assert found.trial.config["learning_rate"] == classes.QUICK["learning_rate"]
    with open_project(root) as project:
        whole = classes.train(
            project, SLOT, "bilstm", classes.TrainingRequest(settings={}, best=True)
        )
    assert whole.trial.config == best.config


def test_a_backtest_refuses_a_slot_that_classifies(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(classes.project(tmp_path / "p"))
    assert podium(["backtest", SLOT]) == 2
    assert "is a classify slot" in capsys.readouterr().err


def test_a_classifiers_training_is_reproduced_to_the_bit(done):
    root, found = done
    assert podium(["reproduce", found.candidate.id, "--project", str(root), "--quiet"]) == 0


def test_a_candidates_lineage_names_its_samples_and_classes(done, capsys):
    root, found = done
    capsys.readouterr()
    assert podium(["show", found.candidate.id, "--lineage", "--project", str(root)]) == 0
    told = capsys.readouterr().out
    assert "classifies" in told
    assert "calm, rises, falls" in told
    assert "256" in told


def test_what_a_search_found_is_listed_best_first_with_what_to_do_next(tmp_path, capsys):
    root = classes.project(tmp_path / "p")
    capsys.readouterr()
    assert podium(["tune", "--project", str(root), "--json"]) == 0
    told = capsys.readouterr()
    *trials, naive = json.loads(told.out)["items"]
    scores = [item["macro_f1"] for item in trials]
    assert scores == sorted(scores, reverse=True)
    assert naive["family"] == "naive"
    assert naive["config"]["method"] == "trend"
    assert f"podium extend {SLOT}" in told.err
