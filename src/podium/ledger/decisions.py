"""Registration of candidates and decisions: the hash chain, and the current states it changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from podium.candidate import Candidate
from podium.decision import MOVING, Decision, Kind, Stage, require_move
from podium.errors import ConflictError
from podium.hashing import canonical
from podium.ledger import reads, schema, writes
from podium.ledger.chain import CHAINED, changed_outside, first_link, row_hash
from podium.ledger.ledger import Transaction, now
from podium.ledger.statements import delete, insert, select, update, value

# Built once: every decision runs them, and building them takes longer than running them.
_NEWEST = sa.select(
    *(
        sa.select(table.c.hash)
        .where(table.c.project_id == sa.bindparam("project"))
        .order_by(table.c.seq.desc())
        .limit(1)
        .scalar_subquery()
        for table in (schema.metadata.tables[name] for name in ("decision", *CHAINED))
    )
)
_CONTENTS = (
    sa.select(schema.decision.c.contents)
    .where(
        schema.decision.c.project_id == sa.bindparam("project"),
        schema.decision.c.candidate_id == sa.bindparam("candidate"),
    )
    .order_by(schema.decision.c.seq.desc())
    .limit(1)
)


def register(tx: Transaction, candidate: Candidate, actor: str, *, reason: str = "") -> Candidate:
    """Register a candidate as the slot's next version in stage development, by a decision.

    An artefact that is registered already returns its existing candidate.
    """
    table, slot = schema.candidate, candidate.slot
    artifact_hash = candidate.artifact_hash
    same = value(tx, table.c.id, slot=slot, artifact_hash=artifact_hash)
    if same is not None:
        return reads.candidate_by_id(tx, same)
    newest = value(tx, table.c.version, order=table.c.version.desc(), slot=slot)
    candidate = replace(candidate, version=(newest or 0) + 1)
    insert(tx, table, [{**vars(candidate), "config": canonical(candidate.config)}])
    writes.announce(tx, "candidate", [candidate.id])
    decision = Decision(
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
    decide(tx, decision)
    head = {"slot": slot, "model_type": candidate.model_type}
    delete(tx, schema.latest, **head)
    moved = {"decision_id": decision.id, "since": decision.created_at}
    insert(tx, schema.latest, [{**head, "candidate_id": candidate.id, **moved}])
    return candidate


def decide(tx: Transaction, decision: Decision) -> Decision:
    """Append a decision to the chain and update stage and champion.

    Raises
    ------
    ConflictError
        The slot's champion or the candidate's stage has changed since the decision was made.
    RefusedError
        The move is not one of the nine allowed ones.
    DataError
        The candidate's row, stage or evidence, or the slot's champion was changed outside podium.
    """
    contents = require_unchanged(tx, decision.candidate_id, decision.evidence)
    newest = tx.execute(_NEWEST, {"project": tx.project_id}).one()
    last, *ends = (hash_ or first_link(tx.project_id) for hash_ in newest)
    contents |= dict(zip(CHAINED, ends, strict=True))
    decision = replace(decision, previous_hash=last, contents=contents)
    if decision.accepted and decision.kind in MOVING:
        _move_heads(tx, decision)
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
    insert(tx, schema.decision, [row])
    writes.announce(tx, "decision", [decision.id])
    return decision


def _origin(candidate: Candidate) -> str:
    """Reason of a registration: how the candidate was made."""
    return (
        f"{candidate.made_by} by {candidate.trial_id}" if candidate.trial_id else candidate.made_by
    )


def require_unchanged(
    tx: Transaction, candidate_id: str, evidence_ids: Sequence[str]
) -> dict[str, str]:
    """Hashes of a candidate's row and of evidence by id, after a comparison with the record.

    Raises
    ------
    DataError
        A row differs from its hash, or from the hash that the newest decision about the candidate
        has for it.
    """
    rows = select(tx, schema.candidate, id=candidate_id)
    rows += select(tx, schema.evidence, id=evidence_ids)
    hashes = {row["id"]: row_hash(row) for row in rows}
    known = {row["id"]: row["hash"] for row in rows if "hash" in row}
    changed = {id_ for id_, hash_ in known.items() if hashes[id_] != hash_}
    about = {"project": tx.project_id, "candidate": candidate_id}
    before = json.loads(tx.execute(_CONTENTS, about).scalar() or "{}")
    changed |= {id_ for id_ in hashes if before.get(id_, hashes[id_]) != hashes[id_]}
    if changed:
        ids = ", ".join(sorted(changed))
        raise changed_outside(f"{ids}, on which decisions about {candidate_id} rest,")
    return hashes


def _move_heads(tx: Transaction, decision: Decision) -> None:
    champion, slot = schema.champion, decision.slot
    about = {"candidate_id": decision.candidate_id}
    own_slot = value(tx, schema.candidate.c.slot, id=decision.candidate_id)
    stored_stage, held_by = reads.stage_of(tx, decision.candidate_id), reads.champion_of(tx, slot)
    if own_slot != slot:
        raise ConflictError(
            f"candidate {decision.candidate_id} belongs to {own_slot or 'no slot'}",
            f"a candidate of {slot}",
            "run: podium list candidates",
        )
    stage = None if stored_stage is None else Stage(stored_stage)
    if stage != decision.from_stage:
        raise ConflictError(
            f"candidate {decision.candidate_id} is in stage {stage}",
            f"{decision.from_stage}, its stage when the decision was made",
            f"run: podium show {decision.candidate_id}",
        )
    if stage is not None:
        require_move(stage, decision.to_stage)
    moved = {"decision_id": decision.id, "since": decision.created_at}
    if decision.to_stage is Stage.CHAMPION:
        if held_by != decision.expected_champion:
            raise ConflictError(
                f"the champion of {slot} is now {held_by or 'none'}",
                f"{decision.expected_champion or 'none'}, the champion when the decision was made",
                f"compare again, then: podium promote {slot}",
            )
        if held_by is not None:
            archived = {**moved, "stage": Stage.ARCHIVED}
            update(tx, schema.stage, archived, candidate_id=held_by)
    if Stage.CHAMPION in (decision.to_stage, decision.from_stage):
        delete(tx, champion, slot=slot)
    if decision.to_stage is Stage.CHAMPION:
        insert(tx, champion, [{"slot": slot, **about, **moved}])
    there = {**moved, "stage": decision.to_stage}
    if stage is None:
        insert(tx, schema.stage, [{**about, **there}])
    else:
        update(tx, schema.stage, there, **about)
