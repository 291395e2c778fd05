"""Runs as trackers see them: the best, the top, tables and impact, straight from the door."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium.ledger.door import Door
from podium.ledger.pieces import pieces
from podium.record import Record, finite

_COLUMNS = (
    "t.seq, t.id, t.run_id, t.family, t.created_at, t.config, t.seconds, t.notes, t.checkpoint, "
    "t.said, t.origin, t.state, t.reason, e.git_commit, e.git_diff_hash"
)
_FROM = (
    "FROM trial t LEFT JOIN environment e ON e.project_id = t.project_id "
    "AND e.hash = t.environment_hash"
)
# A run is a trial that was named and came to an end.
_IS_RUN = "t.project_id = ? AND t.run_id IS NOT NULL AND t.state = 'complete'"


def runs(door: Door, model_names: Sequence[str] | None = None) -> list[Record]:
    """Every complete run, oldest first."""
    where, values = _of_models(model_names)
    rows = door.query(
        f"SELECT {_COLUMNS} {_FROM} WHERE {_IS_RUN}{where} ORDER BY t.seq",
        door.project_id,
        *values,
    )
    return _records(door, rows)


def top(
    door: Door, metric: str, k: int, *, minimize: bool, model_names: Sequence[str] | None = None
) -> list[Record]:
    """The best runs by one metric, best first; NaN, infinite and missing values never win."""
    where, values = _of_models(model_names, "r")
    limits = "r.value > ? AND r.value < ?"
    way = "ASC" if minimize else "DESC"
    rows = door.query(
        f"SELECT {_COLUMNS} FROM result r JOIN trial t ON t.project_id = r.project_id "
        "AND t.id = r.trial_id LEFT JOIN environment e ON e.project_id = t.project_id "
        "AND e.hash = t.environment_hash WHERE r.project_id = ? AND r.metric = ? "
        f"AND {limits}{where} AND t.run_id IS NOT NULL AND t.state = 'complete' "
        f"ORDER BY r.value {way}, t.seq LIMIT {int(k)}",
        door.project_id,
        metric,
        -math.inf,
        math.inf,
        *values,
    )
    return _records(door, rows)


def table(
    door: Door, metrics: Sequence[str], model_names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Run, model and these metrics of every complete run, oldest first; missing ones are NaN."""
    where, values = _of_models(model_names)
    rows = door.query(
        f"SELECT t.id, t.run_id, t.family AS model_name FROM trial t WHERE {_IS_RUN}{where} "
        "ORDER BY t.seq",
        door.project_id,
        *values,
    )
    found = {row.pop("id"): {**row, **dict.fromkeys(metrics, math.nan)} for row in rows}
    for metric in metrics:
        for trial_id, value in _values(door, metric):
            if trial_id in found:
                found[trial_id][metric] = value
    return list(found.values())


def impact(door: Door, model_name: str, hyperparam: str, metric: str) -> list[dict[str, Any]]:
    """Value of a hyperparameter and of a metric in every complete run of a model that has it.

    Sorted by the hyperparameter, numbers before texts.
    """
    rows = door.query(
        f"SELECT t.id, t.run_id, t.config FROM trial t WHERE {_IS_RUN} AND t.family = ?",
        door.project_id,
        model_name,
    )
    measured = dict(_values(door, metric))
    found = []
    for row in rows:
        config = json.loads(row["config"])
        if hyperparam in config:
            value = measured.get(row["id"], math.nan)
            found.append({"run_id": row["run_id"], hyperparam: config[hyperparam], metric: value})
    return sorted(found, key=lambda row: orderly(row[hyperparam]))


@dataclass(frozen=True)
class Observation:
    """A complete run and one metric of it.

    Parameters
    ----------
    grounds : tuple of str
        Dataset, task and split; runs that differ in one are about different things.
    value : float
        NaN where it was not finite.
    """

    run_id: str
    family: str
    config: Mapping[str, Any]
    grounds: tuple[str, str, str]
    value: float


def observations(door: Door, metric: str) -> list[Observation]:
    """Every complete run that reported a metric, oldest first."""
    rows = door.query(
        "SELECT t.run_id, t.family, t.config, t.dataset_fingerprint, t.task_hash, t.split_hash, "
        "r.value FROM result r JOIN trial t ON t.project_id = r.project_id AND t.id = r.trial_id "
        f"WHERE r.metric = ? AND {_IS_RUN} ORDER BY t.seq",
        metric,
        door.project_id,
    )
    return [
        Observation(
            row["run_id"],
            row["family"],
            json.loads(row["config"]),
            (row["dataset_fingerprint"], row["task_hash"], row["split_hash"]),
            row["value"] if finite(row["value"]) else math.nan,
        )
        for row in rows
    ]


def orderly(value: Any) -> tuple[int, float, str]:
    """Key that sorts numbers by size, before everything else by its text."""
    if isinstance(value, int | float) and value == value:
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _values(door: Door, metric: str) -> Iterator[tuple[str, float]]:
    for row in door.query(
        "SELECT trial_id, value FROM result WHERE project_id = ? AND metric = ?",
        door.project_id,
        metric,
    ):
        yield row["trial_id"], math.nan if row["value"] is None else row["value"]


def _of_models(model_names: Sequence[str] | None, table: str = "t") -> tuple[str, tuple[str, ...]]:
    if model_names is None:
        return "", ()
    marks = ",".join("?" * len(model_names)) or "NULL"
    return f" AND {table}.family IN ({marks})", tuple(model_names)


def _records(door: Door, rows: Sequence[dict[str, Any]]) -> list[Record]:
    """Records of trial rows, with their results and notes."""
    metrics: dict[str, dict[str, float]] = {row["id"]: {} for row in rows}
    notes: dict[str, list[str]] = {}
    for ids in pieces([row["id"] for row in rows]):
        marks = ",".join("?" * len(ids))
        for row in door.query(
            f"SELECT trial_id, metric, value FROM result WHERE project_id = ? "
            f"AND trial_id IN ({marks})",
            door.project_id,
            *ids,
        ):
            value = math.nan if row["value"] is None else row["value"]
            metrics[row["trial_id"]][row["metric"]] = value
    for subject_id, said in notes_of(door, [row["id"] for row in rows]).items():
        notes[subject_id] = [told_note(note) for note in said]
    # A server returns rows in whatever order; the file is the same from every database.
    ordered = {id_: dict(sorted(mine.items())) for id_, mine in metrics.items()}
    return [_record(door, row, ordered[row["id"]], notes.get(row["id"], [])) for row in rows]


def notes_of(door: Door, subject_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Dated notes (created_at, actor, text) of each thing that has any, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for ids in pieces(subject_ids):
        marks = ",".join("?" * len(ids))
        for row in door.query(
            f"SELECT subject_id, created_at, actor, text FROM note WHERE project_id = ? "
            f"AND subject_id IN ({marks}) ORDER BY seq",
            door.project_id,
            *ids,
        ):
            found.setdefault(row.pop("subject_id"), []).append(row)
    return found


def told_note(note: dict[str, Any]) -> str:
    """A note in one line: when, who, what."""
    return f"[{note['created_at'][:10]} {note['actor']}] {note['text']}"


def _record(
    door: Door, row: dict[str, Any], metrics: dict[str, float], notes: Sequence[str]
) -> Record:
    said = json.loads(row["said"]) if row["said"] else {}
    commit, diff, checkpoint = row["git_commit"], row["git_diff_hash"], row["checkpoint"]
    imported = row["origin"].startswith("import:")
    dirty = None if commit is None or imported else diff is not None
    if checkpoint is not None and not imported and "://" not in checkpoint:
        # Kept relative to the project, so that it leads somewhere wherever the project is now.
        checkpoint = str(door.root / checkpoint)
    return Record(
        run_id=row["run_id"],
        model_name=row["family"],
        timestamp=row["created_at"],
        hyperparams=said.pop("hyperparams", None) or json.loads(row["config"]),
        metrics=metrics,
        checkpoint_path=checkpoint,
        training_time_seconds=row["seconds"],
        notes="\n".join([*filter(None, [row["notes"]]), *notes]),
        git_commit=commit,
        git_dirty=said.pop("git_dirty", dirty),
        git_diff_hash=said.pop("git_diff_hash", diff),
        trial_id=row["id"],
        said=said,
        state=row["state"],
        reason=row["reason"],
    )
