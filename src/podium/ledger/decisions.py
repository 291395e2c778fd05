"""Registering candidates and deciding about them: the chain, and the heads it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from podium.candidate import Candidate
from podium.decision import MOVING, Decision, Kind, Stage, require_move
from podium.errors import ConflictError
from podium.hashing import canonical, digest, new_id
from podium.ledger import reads, schema, writes
from podium.ledger.ledger import Ledger, first_link, now
from podium.ledger.pieces import pieces


def register(
    ledger: Ledger, tx: sa.Connection, candidate: Candidate, actor: str, *, reason: str = ""
) -> Candidate:
    """Give a candidate the slot's next version and the stage development, by a decision.

    The same artefact registered again is the candidate it already was.
    """
    table = schema.candidate
    same = tx.execute(
        sa.select(table.c.id).where(
            table.c.project_id == ledger.project_id,
            table.c.slot == candidate.slot,
            table.c.artifact_hash == candidate.artifact_hash,
        )
    ).scalar()
    if same is not None:
        return reads.candidate_by_id(ledger, tx, same)
    version = tx.execute(
        sa.select(sa.func.coalesce(sa.func.max(table.c.version), 0) + 1).where(
            table.c.project_id == ledger.project_id, table.c.slot == candidate.slot
        )
    ).scalar_one()
    candidate = replace(candidate, version=version)
    row = {
        **vars(candidate),
        "project_id": ledger.project_id,
        "config": canonical(candidate.config),
    }
    tx.execute(table.insert(), row)
    writes.announce(ledger, tx, "candidate", [candidate.id])
    decision = Decision(
        id=new_id("d"),
        kind=Kind.REGISTER,
        slot=candidate.slot,
        candidate_id=candidate.id,
        from_stage=None,
        to_stage=Stage.DEVELOPMENT,
        accepted=True,
        actor=actor,
        reason=reason or _origin(candidate),
        expected_champion=None,
        policy={},
        verdicts=(),
        evidence=(),
        created_at=now(),
    )
    decide(ledger, tx, decision)
    head = schema.latest
    tx.execute(
        sa.delete(head).where(
            head.c.project_id == ledger.project_id,
            head.c.slot == candidate.slot,
            head.c.model_type == candidate.model_type,
        )
    )
    tx.execute(
        head.insert().values(
            project_id=ledger.project_id,
            slot=candidate.slot,
            model_type=candidate.model_type,
            candidate_id=candidate.id,
            decision_id=decision.id,
            since=decision.created_at,
        )
    )
    return candidate


def decide(ledger: Ledger, tx: sa.Connection, decision: Decision) -> Decision:
    """Append a decision to the chain and move the heads it moves.

    Raises
    ------
    ConflictError
        The slot's champion is not the one the decision was made against, or the candidate's stage
        has changed meanwhile.
    RefusedError
        The move is not one of the nine.
    """
    decision = replace(
        decision, previous_hash=_last_hash(ledger, tx), contents=_contents(ledger, tx, decision)
    )
    if decision.accepted and decision.kind in MOVING:
        _move_heads(ledger, tx, decision)
    body = decision.body()
    row = {
        **body,
        "project_id": ledger.project_id,
        "accepted": int(decision.accepted),
        "policy": canonical(decision.policy),
        "policy_hash": decision.policy_hash,
        "verdicts": canonical(body["verdicts"]),
        "evidence": canonical(body["evidence"]),
        "contents": canonical(body["contents"]),
        "hash": decision.hash,
    }
    tx.execute(schema.decision.insert(), row)
    writes.announce(ledger, tx, "decision", [decision.id])
    return decision


def _origin(candidate: Candidate) -> str:
    """How a candidate came about, as a reason."""
    return (
        f"{candidate.made_by} by {candidate.trial_id}" if candidate.trial_id else candidate.made_by
    )


def _contents(ledger: Ledger, tx: sa.Connection, decision: Decision) -> dict[str, str]:
    """Hashes of the rows that a decision is about, by their ids."""
    found: dict[str, str] = {}
    for table, ids in (
        (schema.candidate, [decision.candidate_id]),
        (schema.evidence, decision.evidence),
    ):
        for some in pieces(ids):
            rows = tx.execute(
                sa.select(table).where(
                    table.c.project_id == ledger.project_id, table.c.id.in_(some)
                )
            ).mappings()
            found |= {row["id"]: row_hash({**row}) for row in rows}
    return found


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row of the record; its place in the table is left out.

    Parameters
    ----------
    row : mapping of column to value
        As the database has it, JSON columns as text.
    """
    return digest({name: v for name, v in row.items() if name not in ("seq", "project_id")})


def _last_hash(ledger: Ledger, tx: sa.Connection) -> str:
    table = schema.decision.c
    found = tx.execute(
        sa.select(table.hash)
        .where(table.project_id == ledger.project_id)
        .order_by(table.seq.desc())
        .limit(1)
    ).scalar()
    return found or first_link(ledger.project_id)


def _move_heads(ledger: Ledger, tx: sa.Connection, decision: Decision) -> None:
    champion, project = schema.champion, ledger.project_id
    candidate, its = schema.candidate.c, schema.stage.c
    # A statement costs more than the few rows it reads, so this is one.
    facts = sa.select(
        sa.select(candidate.slot)
        .where(candidate.project_id == project, candidate.id == decision.candidate_id)
        .scalar_subquery(),
        sa.select(its.stage)
        .where(its.project_id == project, its.candidate_id == decision.candidate_id)
        .scalar_subquery(),
        sa.select(champion.c.candidate_id)
        .where(champion.c.project_id == project, champion.c.slot == decision.slot)
        .scalar_subquery(),
    )
    belongs, found, held_by = tx.execute(facts).one()
    if belongs != decision.slot:
        raise ConflictError(
            f"candidate {decision.candidate_id} belongs to {belongs or 'no slot'}",
            f"a candidate of {decision.slot}",
            "run: podium list candidates",
        )
    stage = None if found is None else Stage(found)
    if stage != decision.from_stage:
        raise ConflictError(
            f"candidate {decision.candidate_id} is in stage {stage}",
            f"{decision.from_stage}, as when the decision was made",
            f"run: podium show {decision.candidate_id}",
        )
    if stage is not None:
        require_move(stage, decision.to_stage)
    if decision.to_stage is Stage.CHAMPION:
        if held_by != decision.expected_champion:
            raise ConflictError(
                f"the champion of {decision.slot} is now {held_by or 'nobody'}",
                f"{decision.expected_champion or 'nobody'}, as when the decision was made",
                f"compare again, then: podium promote {decision.slot}",
            )
        if held_by is not None:
            _set_stage(ledger, tx, held_by, Stage.ARCHIVED, decision, known=True)
    if Stage.CHAMPION in (decision.to_stage, decision.from_stage):
        tx.execute(
            sa.delete(champion).where(
                champion.c.project_id == project, champion.c.slot == decision.slot
            )
        )
    if decision.to_stage is Stage.CHAMPION:
        holder = {
            "project_id": project,
            "slot": decision.slot,
            "candidate_id": decision.candidate_id,
            "decision_id": decision.id,
            "since": decision.created_at,
        }
        tx.execute(champion.insert(), holder)
    known = stage is not None
    _set_stage(ledger, tx, decision.candidate_id, decision.to_stage, decision, known=known)


def _set_stage(
    ledger: Ledger,
    tx: sa.Connection,
    candidate_id: str,
    stage: Stage,
    decision: Decision,
    *,
    known: bool,
) -> None:
    table = schema.stage
    row = {"stage": stage, "decision_id": decision.id, "since": decision.created_at}
    if not known:
        mine = {"project_id": ledger.project_id, "candidate_id": candidate_id}
        tx.execute(table.insert(), {**mine, **row})
        return
    tx.execute(
        sa.update(table).where(
            table.c.project_id == ledger.project_id, table.c.candidate_id == candidate_id
        ),
        row,
    )
