"""Trials with all their recorded data, read without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from podium.ledger.columns import json_column
from podium.ledger.notes import note_line, notes_of
from podium.ledger.pieces import PIECE, pieces
from podium.ledger.record_reader import RecordReader, by

SCHEMA = 1
_COLUMNS = (
    "t.id, t.run_id, t.origin, t.family, t.family_version, t.state, t.config, t.metric, t.score, "
    "t.dataset_fingerprint, t.task_hash, t.split_hash, t.fold, t.seed, t.epochs, t.best_epoch, "
    "t.seconds, t.reason, t.created_at, t.ended_at, t.checkpoint, t.artifact_hash, t.notes, "
    "t.extras, e.git_commit, e.git_diff_hash, e.packages, e.machine"
)


def trials(reader: RecordReader, chosen: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Every ended trial with its config, results, curves, studies and notes; oldest first."""
    if chosen is not None:
        rows = list[dict[str, Any]]()
        for piece in pieces(sorted(chosen)):
            rows += _ended(reader, f"t.id IN ({','.join('?' * len(piece))})", *piece)
        rows.sort(key=lambda row: row["seq"])
        for some in pieces(rows):
            yield from _facts(reader, some)
        return
    last = 0
    while rows := _ended(reader, "t.seq > ?", last):
        last = rows[-1]["seq"]
        yield from _facts(reader, rows)


def _ended(reader: RecordReader, which: str, *parameters: object) -> list[dict[str, Any]]:
    """Rows of ended trials that meet a condition, oldest first, one piece."""
    # Imported late: other reads need no numpy.
    from podium.trial import State

    ended = [state.value for state in State if state.ended]
    marks = ",".join("?" * len(ended))
    sql = (
        f"SELECT t.seq, {_COLUMNS} FROM trial t LEFT JOIN environment e "
        "ON e.project_id = t.project_id AND e.hash = t.environment_hash "
        f"WHERE t.project_id = ? AND t.state IN ({marks}) AND {which} ORDER BY t.seq LIMIT {PIECE}"
    )
    return reader.query(sql, reader.project_id, *ended, *parameters)


def _facts(reader: RecordReader, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    ids = [row["id"] for row in rows]
    metrics, reported, notes = results(reader, ids), scores(reader, ids), notes_of(reader, ids)
    links = reader.select("study_trial", "trial_id, study_id, phase, number", trial_id=ids)
    studies = by("trial_id", ids, links)
    for row in rows:
        id_ = row["id"]
        curves: dict[str, list[float | None]] = {}
        for score in sorted(reported[id_], key=lambda each: each["epoch"]):
            curves.setdefault(score["name"], []).append(score["value"])
        yield {
            "podium": SCHEMA,
            "id": id_,
            "run_id": row["run_id"],
            "origin": row["origin"],
            "model_name": row["family"],
            "state": row["state"],
            "config": json_column(row, "config"),
            "metric": row["metric"] or None,
            "score": row["score"],
            "results": metrics[id_],
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
            "studies": studies[id_],
            "seconds": row["seconds"],
            "reason": row["reason"],
            "started_at": row["created_at"],
            "ended_at": row["ended_at"],
            "checkpoint": row["checkpoint"],
            "artifact": row["artifact_hash"],
            "notes": [*filter(None, [row["notes"]]), *map(note_line, notes.get(id_, ()))],
            "git_commit": row["git_commit"],
            "git_diff_hash": row["git_diff_hash"],
            **{name: json_column(row, name) for name in ("packages", "machine", "extras")},
        }


def results(reader: RecordReader, trial_ids: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Results of trials by metric, for each trial."""
    columns = "trial_id, metric, value"
    # Sorted below: with ORDER BY metric SQLite would read the index of all trials.
    rows = reader.select("result", columns, order="", trial_id=trial_ids)
    return {
        id_: {row["metric"]: row["value"] for row in sorted(own, key=lambda row: row["metric"])}
        for id_, own in by("trial_id", trial_ids, rows).items()
    }


def scores(reader: RecordReader, trial_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Reported values of trials: rows of name, metric, epoch and value, for each trial."""
    columns = "trial_id, part, metric, epoch, value"
    rows = reader.select("score", columns, order="part, metric, epoch", trial_id=trial_ids)
    named = [
        {**row, "name": f"{row['part']}_{row['metric']}".removeprefix("_")}
        for row in rows
        if row["part"] != "best"
    ]
    return by("trial_id", trial_ids, named)


def with_model(reader: RecordReader) -> list[dict[str, Any]]:
    """Trials with a stored model; a removed model has no checkpoint."""
    return reader.query(
        "SELECT * FROM trial WHERE project_id = ? AND artifact_hash IS NOT NULL "
        "AND checkpoint IS NOT NULL ORDER BY seq",
        reader.project_id,
    )


def artifacts_in_use(reader: RecordReader) -> tuple[set[str], set[str]]:
    """Hashes of artefacts in use by any project of the record, and folders of candidates."""
    rows = reader.query(
        "SELECT artifact_hash, artifact_path FROM candidate UNION "
        "SELECT artifact_hash, NULL FROM evidence UNION "
        "SELECT artifact_hash, NULL FROM trial "
        "WHERE project_id != ? AND artifact_hash IS NOT NULL",
        reader.project_id,
    )
    folders = {row["artifact_path"] for row in rows} - {None}
    return {row["artifact_hash"] for row in rows}, folders
