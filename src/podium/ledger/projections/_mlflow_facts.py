"""Recorded data of a trial or study for MLflow, read in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from podium.ledger import outbox, reads, schema
from podium.ledger.columns import json_column
from podium.ledger.ledger import Transaction
from podium.ledger.notes import note_line
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections._mlflow_candidates import CandidateState
from podium.ledger.statements import correlated, first, select, value
from podium.record import nan_if_null

# Hash columns of what a trial and a study's question refer to.
_HASHED = {
    "dataset": schema.dataset.c.fingerprint,
    "task": schema.task.c.hash,
    "split": schema.split.c.hash,
}


@dataclass(frozen=True)
class Facts:
    """Recorded data of one trial."""

    row: Mapping[str, Any]
    link: Mapping[str, Any]
    epochs: Mapping[int, Mapping[str, float]]
    results: Mapping[str, float]
    candidate: CandidateState | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def task(self) -> dict[str, Any]:
        """Spec that turns bars into samples; empty if not on record."""
        spec: dict[str, Any] = json.loads(self.row["task"].get("spec", "{}"))
        return spec


def run_of(tx: Transaction, subject_id: str) -> str | None:
    """Trial or study whose run shows a subject; for a candidate, the trial that trained it."""
    for table in (schema.trial, schema.study):
        if first(tx, table.c.id, id=subject_id):
            return subject_id
    decided = value(tx, schema.decision.c.candidate_id, id=subject_id)
    return candidates.trial_of(tx, decided or subject_id)


def of_study(tx: Transaction, study_id: str) -> dict[str, Any] | None:
    """A study with the end of its last trial; None if the record has no such study."""
    link, trial = schema.study_trial.c, schema.trial.c
    row = first(tx, schema.study, id=study_id)
    if row is None:
        return None
    last = sa.func.max(trial.ended_at)
    of_this = (link.trial_id == trial.id, link.study_id == study_id)
    return {**row, "last_ended_at": value(tx, last, *of_this)}


def of_trial(tx: Transaction, trial_id: str, target: str) -> Facts | None:
    """A trial with its newest candidate; None if the record has no such trial."""
    environment = schema.environment.c
    is_its = environment.hash == schema.trial.c.environment_hash
    code = [
        correlated(tx, schema.trial, environment[name], is_its).label(name)
        for name in ("git_commit", "git_diff_hash")
    ]
    row = first(tx, [*schema.trial.c, *code], id=trial_id)
    if row is None:
        return None
    result, candidate = schema.result.c, schema.candidate.c
    results = select(tx, [result.metric, result.value], trial_id=trial_id)
    latest = value(tx, candidate.id, order=candidate.seq.desc(), trial_id=trial_id)
    written = notes(tx, [trial_id])
    state = candidates.of(tx, latest, target) if latest else None
    if state is not None:
        written += notes(tx, [state.row["id"], *state.decisions])
    return Facts(
        row={**row, **_hashed_rows(tx, row)},
        link=_link(tx, trial_id),
        epochs=reads.epochs_of(tx, trial_id),
        results={one["metric"]: nan_if_null(one["value"]) for one in results},
        candidate=state,
        evaluation=candidates.evidence(tx, latest, "evaluation") if latest else {},
        notes=[*filter(None, [row["notes"]]), *written],
    )


def _link(tx: Transaction, trial_id: str) -> dict[str, Any]:
    """First study that looked at a trial, and the command that ran it."""
    link, study = schema.study_trial.c, schema.study.c
    columns = [link.study_id, link.phase, link.number, study.slot]
    same = study.id == link.study_id
    row = first(tx, columns, same, order=link.seq, trial_id=trial_id) or {}
    verb = value(tx, schema.projected.c.remote_name, target=outbox.VERB, subject_id=trial_id)
    return {**row, "verb": verb}


def _hashed_rows(tx: Transaction, row: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of dataset, task and split of a trial; empty for an imported one."""
    rows = {}
    for name, column in _HASHED.items():
        is_it = column == row[f"{name}_{column.name}"]
        table = column.table
        rows[name] = first(tx, table, is_it, order=table.c.seq) or {}
    return rows


def notes(tx: Transaction, subject_ids: Sequence[str]) -> list[str]:
    rows = select(tx, schema.note, order=schema.note.c.seq, subject_id=subject_ids)
    return [note_line(row) for row in rows]


def question_params(tx: Transaction, row: Mapping[str, Any]) -> dict[str, Any]:
    """Single values of a study's question; hashes are named as such."""
    question = json_column(row, "question")
    params = {name: part for name, part in question.items() if not isinstance(part, dict | list)}
    for name, column in _HASHED.items():
        if name in params:
            params[f"{name}_{column.name}"] = params.pop(name)
    dataset, fingerprint = schema.dataset.c, params.get("dataset_fingerprint")
    dataset_name = value(tx, dataset.name, order=dataset.seq, fingerprint=fingerprint)
    if dataset_name is not None:
        params["dataset"] = dataset_name
    if question.get("families"):
        params["families"] = ", ".join(question["families"])
    return {**params, "slot": row["slot"]}
