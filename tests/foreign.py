"""Small real files of other tools, as these tools write them."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

RUN: dict[str, Any] = {
    "run_id": "toto_20251112_030500",
    "model_name": "toto",
    "timestamp": "2025-11-12T03:05:00",
    "hyperparams": {"patch_size": 32, "learning_rate": 0.0003, "loss_type": "quantile"},
    "metrics": {"val_pct_mae": 0.721, "test_pct_mae": 2.237, "val_r2": -85.04},
    "checkpoint_path": "path/to/checkpoint.pt",
    "training_time_seconds": 1800.5,
    "notes": "Improved hyperparams aligned with Toto paper",
}
LINE: dict[str, Any] = {
    "phase": "grid_search_initial",
    "config": {"learning_rate": 0.0003, "lstm_units": 32, "batch_size": 64},
    "final_val_loss": 0.0123,
    "model_path": "models/registry/my_lstm_model_1.keras",
    "timestamp": "2025-03-04 05:06:07",
}
SUMMARY: dict[str, Any] = {
    "phase": "grid_search_initial_summary",
    "num_runs": 2,
    "best_final_val_loss": 0.01,
    "best_config": {},
    "best_model_path": "x",
}


def sweep(path: Path, *runs: dict[str, Any]) -> Path:
    """A tracker's file."""
    path.write_text(json.dumps({"runs": list(runs)}, indent=2))
    return path


def log(path: Path, *lines: Any) -> Path:
    """An append-only log; a text is a line as it is."""
    told = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{line}\n" for line in told))
    return path


def objective(trial: optuna.Trial) -> float:
    """Complete, pruned and failed trials, with curves and attributes."""
    x = trial.suggest_float("x", 1e-4, 1, log=True)
    n = trial.suggest_int("n", 1, 4)
    trial.suggest_categorical("kind", ["a", None])
    trial.set_user_attr("who", "ann")
    for step in range(3):
        trial.report(x + step, step)
    if n == 1:
        raise optuna.TrialPruned
    if n == 2:
        raise ValueError("boom")
    return x * n


def study(storage: Any, name: str = "one", trials: int = 12) -> optuna.Study:
    """A study with trials of every state, one of them still running."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = optuna.create_study(
        storage=storage, study_name=name, sampler=optuna.samplers.RandomSampler(seed=1)
    )
    found.optimize(objective, n_trials=trials, catch=ValueError)
    found.ask()
    return found


def two(storage: Any) -> optuna.Study:
    """A study of two objectives."""
    found = optuna.create_study(
        storage=storage, study_name="two", directions=["minimize", "maximize"]
    )
    found.optimize(lambda trial: (trial.suggest_float("y", 0, 1), 2.0), n_trials=2)
    return found


def journal(path: Path) -> Path:
    """A journal with two studies."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    study(storage)
    two(storage)
    return path


def database(path: Path) -> Path:
    """An SQLite storage with one study, nothing of it left open."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study(storage)
    storage.remove_session()
    storage.engine.dispose()
    return path


def pickled(path: Path) -> Path:
    """A study as notebooks dump it."""
    path.write_bytes(pickle.dumps(study(None)))
    return path


def tracked(path: Path) -> Path:
    """An MLflow database: two experiments; ended, failed and running runs; a NaN and an infinity.

    One run has a model file, one was written by podium about trial ``t-mine``.
    """
    with warnings.catch_warnings():
        # MLflow's own, about the SQLAlchemy it asks for.
        warnings.simplefilter("ignore")
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient

        client = MlflowClient(f"sqlite:///{path}")
        artifacts = path.parent / "artifacts"
        first = client.create_experiment("first", artifact_location=artifacts.as_uri())
        other = client.create_experiment("other", artifact_location=artifacts.as_uri())
        for number, (experiment, name, status) in enumerate(
            [
                (first, "val2025w48-l128-biLSTM-baseline-run1", "FINISHED"),
                (first, "with blanks", "FAILED"),
                (first, "still-at-it", "RUNNING"),
                (first, "mine", "FINISHED"),
                (other, "elsewhere", "FINISHED"),
            ]
        ):
            run = client.create_run(
                experiment, start_time=1_762_916_700_000 + number, run_name=name
            )
            last = [0.25, float("nan"), float("inf"), 0.5, 0.75][number]
            metrics = [Metric("val_loss", value, 1, step) for step, value in enumerate([1.0, last])]
            params = {
                "learning_rate": "0.001",
                "layers": "2",
                "bidirectional": "True",
                "act": "relu",
            }
            tags = {"model_tag": "biLSTM", "mlflow.note.content": "a note"}
            if name == "mine":
                tags["podium.trial_id"] = "t-mine"
            client.log_batch(
                run.info.run_id,
                metrics=metrics,
                params=[Param(key, value) for key, value in params.items()],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )
            if number == 0:
                folder = artifacts / run.info.run_id / "artifacts"
                folder.mkdir(parents=True)
                (folder / "best.pt").write_bytes(b"weights")
                (folder / "last.pt").write_bytes(b"weights")
            if status != "RUNNING":
                client.set_terminated(run.info.run_id, status, end_time=1_762_916_760_000 + number)
        client._tracking_client.store.engine.dispose()
    return path
