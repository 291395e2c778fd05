"""Ended trials with everything the record holds of them, read without SQLAlchemy."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from podium.ledger import runs
from podium.ledger.door import Door
from podium.ledger.pieces import PIECE, pieces
from podium.trial import State

SCHEMA = 1
_ENDED = tuple(state.value for state in State if state.ended)
_COLUMNS = (
    "t.id, t.run_id, t.origin, t.family, t.family_version, t.state, t.config, t.metric, t.score, "
    "t.dataset_fingerprint, t.task_hash, t.split_hash, t.fold, t.seed, t.epochs, t.best_epoch, "
    "t.seconds, t.reason, t.created_at, t.ended_at, t.checkpoint, t.artifact_hash, t.notes, "
    "t.said, e.git_commit, e.git_diff_hash, e.packages, e.machine"
)


def trials(door: Door, chosen: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Every ended trial with its config, results, curves, studies and notes; oldest first."""
    if chosen is not None:
        rows = list[dict[str, Any]]()
        for piece in pieces(sorted(chosen)):
            rows += _ended(door, f"t.id IN ({','.join('?' * len(piece))})", *piece)
        rows.sort(key=lambda row: row["seq"])
        for some in pieces(rows):
            yield from _told(door, some)
        return
    last = 0
    while rows := _ended(door, "t.seq > ?", last):
        last = rows[-1]["seq"]
        yield from _told(door, rows)


def _ended(door: Door, which: str, *parameters: object) -> list[dict[str, Any]]:
    """Rows of ended trials, the oldest that fit."""
    marks = ",".join("?" * len(_ENDED))
    return door.query(
        f"SELECT t.seq, {_COLUMNS} FROM trial t LEFT JOIN environment e "
        "ON e.project_id = t.project_id AND e.hash = t.environment_hash "
        f"WHERE t.project_id = ? AND t.state IN ({marks}) AND {which} "
        f"ORDER BY t.seq LIMIT {PIECE}",
        door.project_id,
        *_ENDED,
        *parameters,
    )


def _told(door: Door, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    ids = [row["id"] for row in rows]
    results = _of(door, "result", "metric, value", ids)
    scores = _of(door, "score", "part, fold, epoch, metric, value", ids)
    links = _of(door, "study_trial", "study_id, phase, number", ids)
    notes = runs.notes_of(door, ids)
    for row in rows:
        id_ = row["id"]
        curves: dict[str, list[float | None]] = {}
        for score in sorted(scores.get(id_, ()), key=lambda each: each["epoch"]):
            if score["part"] != "best":
                name = f"{score['part']}_{score['metric']}".removeprefix("_")
                curves.setdefault(name, []).append(score["value"])
        yield {
            "podium": SCHEMA,
            "id": id_,
            "run_id": row["run_id"],
            "origin": row["origin"],
            "model_name": row["family"],
            "state": row["state"],
            "config": json.loads(row["config"]),
            "metric": row["metric"] or None,
            "score": row["score"],
            "results": {each["metric"]: each["value"] for each in results.get(id_, ())},
            "curves": curves,
            "epochs": row["epochs"],
            "best_epoch": row["best_epoch"],
            "key": {
                "family_version": row["family_version"],
                "dataset": row["dataset_fingerprint"],
                "task": row["task_hash"],
                "split": row["split_hash"],
                "fold": row["fold"],
                "seed": row["seed"],
            },
            "studies": links.get(id_, []),
            "seconds": row["seconds"],
            "reason": row["reason"],
            "started_at": row["created_at"],
            "ended_at": row["ended_at"],
            "checkpoint": row["checkpoint"],
            "artifact": row["artifact_hash"],
            "notes": list(filter(None, [row["notes"], *map(runs.told_note, notes.get(id_, ()))])),
            "git_commit": row["git_commit"],
            "git_diff_hash": row["git_diff_hash"],
            "packages": json.loads(row["packages"] or "{}"),
            "machine": json.loads(row["machine"] or "{}"),
            "said": json.loads(row["said"] or "{}"),
        }


def _of(
    door: Door, table: str, columns: str, ids: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Rows of a table by their trial."""
    if not ids:
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in door.query(
        f"SELECT trial_id, {columns} FROM {table} WHERE project_id = ? "
        f"AND trial_id IN ({','.join('?' * len(ids))})",
        door.project_id,
        *ids,
    ):
        found.setdefault(row.pop("trial_id"), []).append(row)
    return found
