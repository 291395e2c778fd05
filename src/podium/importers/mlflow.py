"""Runs of MLflow, from its SQLite database or a tracking server."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import nan
from pathlib import Path
from typing import Any

from podium.config import without_password
from podium.environ import variables
from podium.errors import DataError, MissingExtraError, NotFoundError, UsageError, suggest
from podium.importers._base import (
    Imported,
    as_file,
    checked,
    moment,
    skip_unusable,
    source_of,
    sqlite,
    sqlite_tables,
)
from podium.record import Record

OPTIONS = ("experiment", "own")
OWN_TAG = "podium.trial_id"
# Server databases are read through the server: opened directly, MLflow would create its tables.
SERVERS = ("http", "https")
# MLflow would retry an unreachable server for minutes.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
}
# Longer curves are logs of steps; only their last value is imported.
MAX_POINTS = 10_000
MODEL_FILES = (".pt", ".keras", ".zip", ".safetensors", ".ckpt", ".onnx")
_STATES = {"FINISHED": "complete", "FAILED": "failed", "KILLED": "failed"}
_NAMED = ("model_name", "model", "family", "model_tag", "model_type")
_COLUMNS = {
    "experiments": {"experiment_id", "name"},
    "runs": {"run_uuid", "experiment_id", "status", "start_time", "end_time", "lifecycle_stage"},
    "params": {"run_uuid", "key", "value"},
    "metrics": {"run_uuid", "key", "value", "timestamp", "step", "is_nan"},
    "tags": {"run_uuid", "key", "value"},
}
# Infinity in MLflow's database.
_LARGEST = 1.7976931348623157e308


@dataclass
class _Run:
    """A run of MLflow."""

    id: str
    name: str
    experiment: str
    status: str
    start: int | None
    end: int | None
    artifacts: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    # (step, value) of each metric, ordered by step.
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    # Number of values of the metrics of which only the last one is imported.
    cut: dict[str, int] = field(default_factory=dict)

    def add(self, key: str, points: Sequence[tuple[int, float]]) -> None:
        """Add a metric's values."""
        if len(points) > MAX_POINTS:
            self.cut[key] = len(points)
        points = points[-1:] if key in self.cut else points
        self.metrics[key] = [(step, _real(value)) for step, value in points]


def recognizes(place: str | Path) -> bool:
    """Return whether this is a store's database, a tracking server's URL, or a folder of runs."""
    path = as_file(place)
    if path is None:
        return str(place).partition(":")[0] in SERVERS
    return sqlite_tables(path) >= _COLUMNS.keys() or _is_file_store(path)


def read(
    place: str | Path, *, experiment: str | None = None, own: Container[str] = ()
) -> list[Imported]:
    """Import the finished runs of every experiment, or of one.

    Parameters
    ----------
    own : container of str
        Ids of this project's trials; runs that podium wrote about them are skipped.

    Raises
    ------
    NotFoundError
        The file or experiment does not exist.
    UsageError
        A folder of runs, which MLflow itself no longer reads.
    DataError
        The store is damaged, or has unknown tables.
    """
    path = as_file(place)
    if path is None:
        name = without_password(str(place))
        with variables(_SETTINGS):
            runs = list(_of_server(str(place), name, experiment))
    else:
        name = path.name
        if _is_file_store(path):
            what = f"{path} is a folder of runs, which MLflow no longer supports"
            fix = f"run: mlflow migrate-filestore --source {path} --target sqlite:///mlflow.db"
            raise UsageError(what, "its database", f"{fix}; then: podium import mlflow.db")
        if not path.is_file():
            raise NotFoundError(f"{path} does not exist", "an MLflow database")
        runs = list(_of_file(path, experiment))
    groups: dict[str, tuple[list[Record], list[str]]] = {}
    for run in runs:
        records, problems = groups.setdefault(run.experiment, ([], []))
        if run.tags.get(OWN_TAG, "") in own:
            continue
        label = run.name or run.id
        if run.status not in _STATES:
            problems.append(f"run {label} left out: it is {run.status.lower()}")
            continue
        with skip_unusable(problems, f"run {label} left out"):
            records.append(checked(_record(run)))
        problems += [
            f"run {label}: {metric} has {count} values, more than {MAX_POINTS}; "
            "only the last one was imported"
            for metric, count in run.cut.items()
        ]
    return [
        Imported(source_of(f"{name}/{group}", records), records, problems)
        for group, (records, problems) in groups.items()
    ]


def _is_file_store(path: Path) -> bool:
    return path.is_dir() and next(path.glob("*/meta.yaml"), None) is not None


def _of_file(path: Path, experiment: str | None) -> Iterator[_Run]:
    with sqlite(path) as connection:
        for table, needed in _COLUMNS.items():
            rows = connection.execute(f"PRAGMA table_info({table})")
            lacking = needed - {row["name"] for row in rows}
            if lacking:
                what = f"{path}: its table {table} has no {', '.join(sorted(lacking))}"
                fix = f"copy it, then run: mlflow db upgrade sqlite:///{path.name}"
                raise DataError(what, "a database of MLflow 1.8 or later", fix)
        rows = connection.execute("SELECT experiment_id, name FROM experiments")
        names: dict[int, str] = dict(rows.fetchall())
        _require_experiment(path.name, experiment, names.values())
        for id_, name in sorted(names.items()):
            if experiment in (None, name):
                yield from _of_experiment(connection, id_, name)


def _of_experiment(connection: sqlite3.Connection, id_: int, name: str) -> Iterator[_Run]:
    rows = connection.execute(
        "SELECT * FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active' "
        "ORDER BY start_time, run_uuid",
        (id_,),
    ).fetchall()
    for row in rows:
        run = _Run(
            id=row["run_uuid"],
            name="",
            experiment=name,
            status=row["status"],
            start=row["start_time"],
            end=row["end_time"],
            artifacts=row["artifact_uri"] or "",
        )
        for table, target in (("params", run.params), ("tags", run.tags)):
            query = f"SELECT key, value FROM {table} WHERE run_uuid = ? ORDER BY key"
            target.update(connection.execute(query, (run.id,)).fetchall())
        run.name = run.tags.get("mlflow.runName", "")
        points = connection.execute(
            "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? "
            "ORDER BY key, step, timestamp, value",
            (run.id,),
        )
        for key, some in groupby(points, lambda point: point["key"]):
            run.add(key, [(p["step"], nan if p["is_nan"] else p["value"]) for p in some])
        yield run


def _of_server(uri: str, name: str, experiment: str | None) -> Iterator[_Run]:
    try:
        from mlflow.entities import ViewType
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError:
        raise MissingExtraError(
            "an MLflow server needs the package 'mlflow', which is not installed",
            fix="run: pip install 'podium[mlflow]'; an mlflow.db file needs none",
        ) from None
    try:
        client = MlflowClient(uri)
        names = {
            each.experiment_id: each.name
            for each in _pages(client.search_experiments, view_type=ViewType.ACTIVE_ONLY)
        }
        _require_experiment(name, experiment, names.values())
        for id_, of in sorted(names.items(), key=lambda each: (len(each[0]), each[0])):
            if experiment not in (None, of):
                continue
            query = {"experiment_ids": [id_], "order_by": ["attributes.start_time ASC"]}
            for answer in _pages(client.search_runs, **query):
                run = _Run(
                    id=answer.info.run_id,
                    name=answer.info.run_name or "",
                    experiment=of,
                    status=answer.info.status,
                    start=answer.info.start_time,
                    end=answer.info.end_time,
                    artifacts=answer.info.artifact_uri or "",
                    params=dict(answer.data.params),
                    tags=dict(answer.data.tags),
                )
                for key in sorted(answer.data.metrics):
                    points = client.get_metric_history(run.id, key)
                    points.sort(key=lambda point: (point.step, point.timestamp))
                    run.add(key, [(point.step, point.value) for point in points])
                yield run
    except MlflowException as error:
        message = without_password(str(error))
        reason = re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", message)
        shown = reason[1] if reason else message.splitlines()[0][:200]
        fix = "start it, or import its database file"
        found = f"{name} does not answer: {shown}"
        raise DataError(found, "an MLflow tracking server", fix) from None


def _pages(search: Any, **query: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(**query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _require_experiment(name: str, experiment: str | None, names: Any) -> None:
    if experiment is not None and experiment not in names:
        what = f"{name} has no experiment '{experiment}'"
        raise NotFoundError(what, fix=suggest(experiment, names))


def _record(run: _Run) -> Record:
    last = {key: points[-1][1] for key, points in run.metrics.items() if points}
    several = {key: points for key, points in run.metrics.items() if len(points) > 1}
    curves = {key: [value for _, value in points] for key, points in several.items()}
    tags = {key: value for key, value in run.tags.items() if not key.startswith("mlflow.")}
    extra: dict[str, Any] = {
        "experiment": run.experiment,
        "run_id": run.id,
        "artifact_uri": without_password(run.artifacts),
        "tags": tags,
    }
    steps = {key: [step for step, _ in points] for key, points in several.items()}
    odd = {key: at for key, at in steps.items() if not _consecutive(at)}
    if odd:
        extra["steps"] = odd
    params = {key: _typed(value) for key, value in run.params.items()}
    named = [each.get(name) for name in _NAMED for each in (params, tags)]
    seconds = None if run.start is None or run.end is None else (run.end - run.start) / 1000
    return Record(
        run_id=run.name if re.fullmatch(r"[\w.@+-]{1,200}", run.name) else "",
        model_name=next((each for each in named if isinstance(each, str) and each), run.experiment),
        timestamp=moment(None if run.start is None else run.start / 1000),
        hyperparams=params,
        metrics=last,
        checkpoint_path=_model_file(run.artifacts),
        training_time_seconds=seconds,
        notes=run.tags.get("mlflow.note.content", ""),
        git_commit=run.tags.get("mlflow.source.git.commit"),
        extras={"id": run.id, "other": extra},
        curves=curves,
        state=_STATES[run.status],
        reason="" if run.status == "FINISHED" else f"MLflow says: {run.status.lower()}",
    )


def _consecutive(steps: Sequence[int]) -> bool:
    return steps[0] in (0, 1) and list(steps) == list(range(steps[0], steps[0] + len(steps)))


def _typed(text: str) -> Any:
    """Return the value of a parameter's text: MLflow stores texts only.

    Examples
    --------
    >>> [_typed(text) for text in ("0.001", "32", "True", "None", "relu", "007", "[1, 2]")]
    [0.001, 32, True, None, 'relu', '007', '[1, 2]']
    """
    known: Mapping[str, Any] = {"True": True, "False": False, "None": None}
    if text in known:
        return known[text]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return float(text) if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", text) else text
    return value if isinstance(value, int | float) else text


def _real(value: float) -> float:
    return float("inf") * (1 if value > 0 else -1) if abs(value) >= _LARGEST else float(value)


def _model_file(artifacts: str) -> str | None:
    """Return the only model file of a run's local artefacts, or ``best.*`` of several."""
    folder = as_file(artifacts) if artifacts else None
    if folder is None or not folder.is_dir():
        return None
    files = sorted(path for path in folder.rglob("*") if path.suffix in MODEL_FILES)
    best = [path for path in files if path.stem == "best"]
    chosen = files if len(files) == 1 else best
    return str(chosen[0]) if len(chosen) == 1 else None
