"""Everything the record knows of a trial or a study that MLflow shows, read at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.ledger import Ledger
from podium.ledger.projections import _mlflow_candidates as candidates
from podium.ledger.projections._mlflow_candidates import Standing
from podium.ledger.projections._mlflow_candidates import mine as _mine
from podium.ledger.runs import told_note
from podium.record import nan_if_null

# What a study's question holds the hash of.
_HASHED = ("task", "split")


@dataclass(frozen=True)
class Facts:
    """Everything of one trial, read at one moment."""

    row: Mapping[str, Any]
    link: Mapping[str, Any]
    scores: Sequence[tuple[str, int, float]]
    results: Mapping[str, float]
    candidate: Standing | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def run_of(ledger: Ledger, tx: sa.Connection, subject_id: str) -> str | None:
    """Trial or study whose run shows a thing: of a candidate, the trial that trained it."""
    trial, candidate, decision = schema.trial.c, schema.candidate.c, schema.decision.c
    for column in (trial.id, schema.study.c.id):
        mine = _mine(ledger, column.table, column == subject_id)
        if tx.execute(sa.select(column).where(mine)).first():
            return subject_id
    of_decision = sa.select(decision.candidate_id).where(
        decision.project_id == ledger.project_id, decision.id == subject_id
    )
    either = sa.or_(candidate.id == subject_id, candidate.id.in_(of_decision))
    mine = _mine(ledger, schema.candidate, either)
    return tx.execute(sa.select(candidate.trial_id).where(mine)).scalar()


def of_study(ledger: Ledger, tx: sa.Connection, study_id: str) -> dict[str, Any] | None:
    """A study, and when the last of its trials ended; None when the record has no such study."""
    link, trial = schema.study_trial.c, schema.trial.c
    mine = _mine(ledger, schema.study, schema.study.c.id == study_id)
    row = tx.execute(sa.select(schema.study).where(mine)).mappings().first()
    if row is None:
        return None
    same = sa.and_(link.project_id == trial.project_id, link.trial_id == trial.id)
    last = tx.execute(
        sa.select(sa.func.max(trial.ended_at))
        .select_from(schema.study_trial.join(schema.trial, same))
        .where(_mine(ledger, schema.study_trial, link.study_id == study_id))
    ).scalar()
    return {**row, "last_ended_at": last}


def of_trial(ledger: Ledger, tx: sa.Connection, trial_id: str, target: str) -> Facts | None:
    """A trial, and the newest candidate it left; None when the record has no such trial."""
    table, environment = schema.trial.c, schema.environment.c
    row = (
        tx.execute(
            sa.select(schema.trial, environment.git_commit, environment.git_diff_hash)
            .select_from(
                schema.trial.outerjoin(
                    schema.environment,
                    sa.and_(
                        environment.project_id == table.project_id,
                        environment.hash == table.environment_hash,
                    ),
                )
            )
            .where(_mine(ledger, schema.trial, table.id == trial_id))
        )
        .mappings()
        .first()
    )
    if row is None:
        return None
    score, result, candidate = schema.score.c, schema.result.c, schema.candidate.c
    scores = tx.execute(
        sa.select(score.part, score.metric, score.epoch, score.value)
        .where(_mine(ledger, schema.score, score.trial_id == trial_id), score.part != "best")
        .order_by(score.epoch, score.part, score.metric)
    )
    results = tx.execute(
        sa.select(result.metric, result.value).where(
            _mine(ledger, schema.result, result.trial_id == trial_id)
        )
    )
    latest = tx.execute(
        sa.select(candidate.id)
        .where(_mine(ledger, schema.candidate, candidate.trial_id == trial_id))
        .order_by(candidate.seq.desc())
        .limit(1)
    ).scalar()
    written = notes(ledger, tx, [trial_id])
    standing = candidates.of(ledger, tx, latest, target) if latest else None
    if standing is not None:
        written += notes(ledger, tx, [standing.row["id"], *standing.decisions])
    return Facts(
        row={**row, **_surroundings(ledger, tx, {**row})},
        link=_link(ledger, tx, trial_id),
        scores=[
            (f"{r.part}_{r.metric}" if r.part else r.metric, r.epoch, nan_if_null(r.value))
            for r in scores
        ],
        results={r.metric: nan_if_null(r.value) for r in results},
        candidate=standing,
        evaluation=candidates.found(ledger, tx, latest, "evaluation") if latest else {},
        notes=[*filter(None, [row["notes"]]), *written],
    )


def _link(ledger: Ledger, tx: sa.Connection, trial_id: str) -> dict[str, Any]:
    """The study that asked for a trial first."""
    link, study = schema.study_trial.c, schema.study.c
    row = (
        tx.execute(
            sa.select(link.study_id, link.phase, link.number, study.slot)
            .select_from(
                schema.study_trial.join(
                    schema.study,
                    sa.and_(study.project_id == link.project_id, study.id == link.study_id),
                )
            )
            .where(_mine(ledger, schema.study_trial, link.trial_id == trial_id))
            .order_by(link.seq)
            .limit(1)
        )
        .mappings()
        .first()
    )
    return dict(row) if row else {}


def _surroundings(ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial's hashes stand for; an imported one has none."""
    found: dict[str, Any] = {"dataset": None, "split": None, "task": None}
    for name, table, column, value in (
        ("dataset", schema.dataset, schema.dataset.c.fingerprint, row["dataset_fingerprint"]),
        ("split", schema.split, schema.split.c.hash, row["split_hash"]),
        ("task", schema.task, schema.task.c.hash, row["task_hash"]),
    ):
        query = sa.select(table).where(_mine(ledger, table, column == value)).order_by(table.c.seq)
        if value:
            found[name] = tx.execute(query).mappings().first()
    return found


def notes(ledger: Ledger, tx: sa.Connection, subject_ids: Sequence[str]) -> list[str]:
    note = schema.note.c
    rows = tx.execute(
        sa.select(note.created_at, note.actor, note.text)
        .where(_mine(ledger, schema.note, note.subject_id.in_(subject_ids)))
        .order_by(note.seq)
    )
    return [told_note({**row}) for row in rows.mappings()]


def asked(ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """A study's question, as far as it is single values; hashes say that they are."""
    question = json.loads(row["question"])
    told = {name: value for name, value in question.items() if not isinstance(value, dict | list)}
    for name, hashed in (("dataset", "dataset_fingerprint"), *((n, f"{n}_hash") for n in _HASHED)):
        if name in told:
            told[hashed] = told.pop(name)
    dataset = schema.dataset.c
    known = sa.select(dataset.name).where(
        _mine(ledger, schema.dataset, dataset.fingerprint == told.get("dataset_fingerprint"))
    )
    called = tx.execute(known.order_by(dataset.seq)).scalar()
    if called is not None:
        told["dataset"] = called
    if question.get("families"):
        told["families"] = ", ".join(question["families"])
    return {**told, "slot": row["slot"]}
