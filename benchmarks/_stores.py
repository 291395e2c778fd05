"""The same invented runs in a podium record and in an MLflow store, written outside all timings."""

from __future__ import annotations

import datetime as dt
import logging
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

MODELS = ("toto", "kronos", "chronos2", "lstm")
METRIC, PARAMETER, EXPERIMENT = "val_pct_mae", "learning_rate", "bench"
METRICS = (
    METRIC,
    "test_pct_mae",
    "val_price_mae",
    "test_price_mae",
    "val_r2",
    "naive_mae",
    "val_loss",
    "train_loss",
    "val_rmse",
    "dm_pvalue_vs_naive",
)
CHUNK = 1000
START = 1_735_689_600


@dataclass(frozen=True)
class Run:
    """One invented run: 20 parameters, 10 metrics."""

    number: int
    model: str
    parameters: dict[str, Any]
    metrics: dict[str, float]


def invented(count: int) -> Iterator[list[Run]]:
    """Yield the first runs in chunks, the same ones every time."""
    draw = random.Random(7)

    def run(number: int) -> Run:
        parameters: dict[str, Any] = {PARAMETER: round(10 ** draw.uniform(-5, -2), 7)}
        parameters |= {f"p{n}": draw.choice((16, 32, 64, 128)) for n in range(10)}
        parameters |= {f"q{n}": round(draw.random(), 4) for n in range(9)}
        metrics = {name: draw.lognormvariate(0, 0.5) for name in METRICS}
        return Run(number, draw.choice(MODELS), parameters, metrics)

    numbers = iter(range(count))
    while chunk := [run(number) for number in islice(numbers, CHUNK)]:
        yield chunk


def podium_store(place: Path, count: int) -> Path:
    """Project whose record has ``count`` runs; created once."""
    root = place / f"podium-{count}"
    if root.exists():
        return root
    from podium.config import load
    from podium.ledger import foreign, writes
    from podium.ledger.ledger import Ledger
    from podium.record import Record
    from podium.steps.archive.init import init

    beside = place / f"half-podium-{count}"
    shutil.rmtree(beside, ignore_errors=True)
    init(beside)
    config = load(beside)
    ledger = Ledger(config.ledger.url, beside, config.project.id, config.project.name)
    with ledger.transaction() as tx:
        study = writes.put_study(tx, "bench", {"tracker": "bench"})
        environment = writes.put_environment(tx, {"packages": {}, "machine": {}})
    for chunk in invented(count):
        records = [
            Record("", run.model, _moment(run), run.parameters, run.metrics) for run in chunk
        ]
        with ledger.transaction() as tx:
            foreign.put_records(
                tx, study, records, origin=foreign.TRACKER, environment_hash=environment
            )
    ledger.close()
    beside.rename(root)
    return root


def _moment(run: Run) -> str:
    return dt.datetime.fromtimestamp(START + run.number, dt.UTC).isoformat()


def mlflow_store(place: Path, count: int) -> str:
    """URI of an MLflow store with ``count`` runs; created once.

    The tables are MLflow's own, the rows are inserted as its client would have left them.
    """
    path = place / f"mlflow-{count}.db"
    if not path.exists():
        beside = place / f"half-mlflow-{count}.db"
        beside.unlink(missing_ok=True)
        experiment = mlflow_client(f"sqlite:///{beside}").create_experiment(
            EXPERIMENT, artifact_location=str(place / "artifacts")
        )
        with closing(sqlite3.connect(beside)) as connection, connection:
            for chunk in invented(count):
                _insert(connection, int(experiment), chunk)
        beside.rename(path)
    return f"sqlite:///{path}"


def _insert(connection: sqlite3.Connection, experiment: int, chunk: list[Run]) -> None:
    rows: dict[str, list[tuple[Any, ...]]] = {
        name: [] for name in ("runs", "params", "metrics", "latest_metrics", "tags")
    }
    for run in chunk:
        id_, moment = f"{run.number:032x}", 1000 * (START + run.number)
        name = f"{run.model}-{run.number}"
        state = ("FINISHED", moment, moment + 500, "", "active")
        rows["runs"].append(
            (id_, name, "UNKNOWN", "", "", "bench", *state, f"artifacts/{id_}", experiment, None)
        )
        rows["params"] += [(key, str(value), id_) for key, value in run.parameters.items()]
        for key, value in run.metrics.items():
            rows["metrics"].append((key, value, moment, id_, 0, False))
            rows["latest_metrics"].append((key, value, moment, 0, False, id_))
        tags = {"mlflow.runName": name, "mlflow.user": "bench", "model_name": run.model}
        rows["tags"] += [(key, value, id_) for key, value in tags.items()]
    for table, values in rows.items():
        marks = ",".join("?" * len(values[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)


def mlflow_client(uri: str) -> Any:
    """Client of a store, which is created on the first call."""
    from mlflow.tracking.client import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)

    return MlflowClient(uri)


def forget_statistics(uri: str) -> None:
    """Drop a store's statistics, since MLflow never gathers them."""
    with closing(sqlite3.connect(_file(uri))) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS sqlite_stat1")


def gather_statistics(uri: str) -> float:
    """Gather SQLite's statistics of a store; return the seconds."""
    started = time.perf_counter()
    with closing(sqlite3.connect(_file(uri))) as connection:
        connection.execute("ANALYZE")
    return time.perf_counter() - started


def _file(uri: str) -> str:
    return uri.removeprefix("sqlite:///")
