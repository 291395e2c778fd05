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
from podium.ledger.statements import delete, insert, mine, select, update, value


def register(
    ledger: Ledger, tx: sa.Connection, candidate: Candidate, actor: str, *, reason: str = ""
) -> Candidate:
    """Give a candidate the slot's next version and the stage development, by a decision.

    The same artefact registered again is the candidate it already was.
    """
    table, slot = schema.candidate, candidate.slot
    artifact_hash = candidate.artifact_hash
    same = value(ledger, tx, table.c.id, slot=slot, artifact_hash=artifact_hash)
    if same is not None:
        return reads.candidate_by_id(ledger, tx, same)
    newest = value(ledger, tx, table.c.version, order=table.c.version.desc(), slot=slot)
    candidate = replace(candidate, version=(newest or 0) + 1)
    insert(ledger, tx, table, [{**vars(candidate), "config": canonical(candidate.config)}])
    writes.announce(ledger, tx, "candidate", [candidate.id])
    decision = Decision(
        id=new_id("d"),
        kind=Kind.REGISTER,
        slot=slot,
        candidate_id=candidate.id,
        from_stage=None,
        to_stage=Stage.DEVELOPMENT,
        accepted=True,
        actor=actor,
        reason=reason or _origin(candidate),
        created_at=now(),
    )
    decide(ledger, tx, decision)
    head = {"slot": slot, "model_type": candidate.model_type}
    delete(ledger, tx, schema.latest, **head)
    moved = {"decision_id": decision.id, "since": decision.created_at}
    insert(ledger, tx, schema.latest, [{**head, "candidate_id": candidate.id, **moved}])
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
        "accepted": int(decision.accepted),
        "policy": canonical(decision.policy),
        "policy_hash": decision.policy_hash,
        "verdicts": canonical(body["verdicts"]),
        "evidence": canonical(body["evidence"]),
        "contents": canonical(body["contents"]),
        "hash": decision.hash,
    }
    insert(ledger, tx, schema.decision, [row])
    writes.announce(ledger, tx, "decision", [decision.id])
    return decision


def _origin(candidate: Candidate) -> str:
    """How a candidate came about, as a reason."""
    return (
        f"{candidate.made_by} by {candidate.trial_id}" if candidate.trial_id else candidate.made_by
    )


def _contents(ledger: Ledger, tx: sa.Connection, decision: Decision) -> dict[str, str]:
    """Hashes of the rows that a decision is about, by their ids."""
    rows = select(ledger, tx, schema.candidate, id=[decision.candidate_id])
    rows += select(ledger, tx, schema.evidence, id=decision.evidence)
    return {row["id"]: row_hash(row) for row in rows}


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
    return value(ledger, tx, table.hash, order=table.seq.desc()) or first_link(ledger.project_id)


def _move_heads(ledger: Ledger, tx: sa.Connection, decision: Decision) -> None:
    champion, slot = schema.champion, decision.slot
    about = {"candidate_id": decision.candidate_id}
    # A statement costs more than the few rows it reads, so this is one.
    facts = sa.select(
        mine(ledger, schema.candidate.c.slot, id=decision.candidate_id).scalar_subquery(),
        mine(ledger, schema.stage.c.stage, **about).scalar_subquery(),
        mine(ledger, champion.c.candidate_id, slot=slot).scalar_subquery(),
    )
    belongs, found, held_by = tx.execute(facts).one()
    if belongs != slot:
        raise ConflictError(
            f"candidate {decision.candidate_id} belongs to {belongs or 'no slot'}",
            f"a candidate of {slot}",
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
    moved = {"decision_id": decision.id, "since": decision.created_at}
    if decision.to_stage is Stage.CHAMPION:
        if held_by != decision.expected_champion:
            raise ConflictError(
                f"the champion of {slot} is now {held_by or 'nobody'}",
                f"{decision.expected_champion or 'nobody'}, as when the decision was made",
                f"compare again, then: podium promote {slot}",
            )
        if held_by is not None:
            archived = {**moved, "stage": Stage.ARCHIVED}
            update(ledger, tx, schema.stage, archived, candidate_id=held_by)
    if Stage.CHAMPION in (decision.to_stage, decision.from_stage):
        delete(ledger, tx, champion, slot=slot)
    if decision.to_stage is Stage.CHAMPION:
        insert(ledger, tx, champion, [{"slot": slot, **about, **moved}])
    there = {**moved, "stage": decision.to_stage}
    if stage is None:
        insert(ledger, tx, schema.stage, [{**about, **there}])
    else:
        update(ledger, tx, schema.stage, there, **about)
