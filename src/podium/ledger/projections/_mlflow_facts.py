"""Everything the record knows of a trial or a study that MLflow shows, read at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from podium.ledger import reads, schema
from podium.ledger.ledger import Ledger
from podium.ledger.notes import told_note
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections._mlflow_candidates import CandidateState
from podium.ledger.statements import beside, first, select, value
from podium.record import nan_if_null

# What a trial and a study's question hold the hash of.
_HASHED = {
    "dataset": schema.dataset.c.fingerprint,
    "task": schema.task.c.hash,
    "split": schema.split.c.hash,
}


@dataclass(frozen=True)
class Facts:
    """Everything of one trial, read at one moment."""

    row: Mapping[str, Any]
    link: Mapping[str, Any]
    epochs: Mapping[int, Mapping[str, float]]
    results: Mapping[str, float]
    candidate: CandidateState | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def task(self) -> dict[str, Any]:
        """What turned bars into samples; empty where the record does not say."""
        spec: dict[str, Any] = json.loads(self.row["task"].get("spec", "{}"))
        return spec


def run_of(ledger: Ledger, tx: sa.Connection, subject_id: str) -> str | None:
    """Trial or study whose run shows a thing: of a candidate, the trial that trained it."""
    for table in (schema.trial, schema.study):
        if first(ledger, tx, table.c.id, id=subject_id):
            return subject_id
    decided = value(ledger, tx, schema.decision.c.candidate_id, id=subject_id)
    return candidates.trial_of(ledger, tx, decided or subject_id)


def of_study(ledger: Ledger, tx: sa.Connection, study_id: str) -> dict[str, Any] | None:
    """A study, and when the last of its trials ended; None when the record has no such study."""
    link, trial = schema.study_trial.c, schema.trial.c
    row = first(ledger, tx, schema.study, id=study_id)
    if row is None:
        return None
    last = sa.func.max(trial.ended_at)
    of_this = (link.trial_id == trial.id, link.study_id == study_id)
    return {**row, "last_ended_at": value(ledger, tx, last, *of_this)}


def of_trial(ledger: Ledger, tx: sa.Connection, trial_id: str, target: str) -> Facts | None:
    """A trial, and the newest candidate it left; None when the record has no such trial."""
    code = [
        beside(
            ledger,
            schema.trial,
            schema.environment.c[name],
            schema.environment.c.hash == schema.trial.c.environment_hash,
        ).label(name)
        for name in ("git_commit", "git_diff_hash")
    ]
    row = first(ledger, tx, [*schema.trial.c, *code], id=trial_id)
    if row is None:
        return None
    result, candidate = schema.result.c, schema.candidate.c
    results = select(ledger, tx, [result.metric, result.value], trial_id=trial_id)
    latest = value(ledger, tx, candidate.id, order=candidate.seq.desc(), trial_id=trial_id)
    written = notes(ledger, tx, [trial_id])
    standing = candidates.of(ledger, tx, latest, target) if latest else None
    if standing is not None:
        written += notes(ledger, tx, [standing.row["id"], *standing.decisions])
    return Facts(
        row={**row, **_surroundings(ledger, tx, row)},
        link=_link(ledger, tx, trial_id),
        epochs=reads.epochs_of(ledger, tx, trial_id),
        results={one["metric"]: nan_if_null(one["value"]) for one in results},
        candidate=standing,
        evaluation=candidates.found(ledger, tx, latest, "evaluation") if latest else {},
        notes=[*filter(None, [row["notes"]]), *written],
    )


def _link(ledger: Ledger, tx: sa.Connection, trial_id: str) -> dict[str, Any]:
    """The study that asked for a trial first."""
    link, study = schema.study_trial.c, schema.study.c
    columns = [link.study_id, link.phase, link.number, study.slot]
    same = study.id == link.study_id
    return first(ledger, tx, columns, same, order=link.seq, trial_id=trial_id) or {}


def _surroundings(ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial's hashes stand for; an imported one has none."""
    found = {}
    for name, column in _HASHED.items():
        is_it = column == row[f"{name}_{column.name}"]
        table = column.table
        found[name] = first(ledger, tx, table, is_it, order=table.c.seq) or {}
    return found


def notes(ledger: Ledger, tx: sa.Connection, subject_ids: Sequence[str]) -> list[str]:
    rows = select(ledger, tx, schema.note, order=schema.note.c.seq, subject_id=subject_ids)
    return [told_note(row) for row in rows]


def asked(ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """A study's question, as far as it is single values; hashes say that they are."""
    question = json.loads(row["question"])
    told = {name: part for name, part in question.items() if not isinstance(part, dict | list)}
    for name, column in _HASHED.items():
        if name in told:
            told[f"{name}_{column.name}"] = told.pop(name)
    dataset, fingerprint = schema.dataset.c, told.get("dataset_fingerprint")
    called = value(ledger, tx, dataset.name, order=dataset.seq, fingerprint=fingerprint)
    if called is not None:
        told["dataset"] = called
    if question.get("families"):
        told["families"] = ", ".join(question["families"])
    return {**told, "slot": row["slot"]}
