"""Tags that tell a candidate's origin and standing, on its run and on its registered version."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from podium.decision import Kind, Stage
from podium.ledger import outbox, schema
from podium.ledger.ledger import Ledger
from podium.ledger.outbox import Item
from podium.ledger.projections._mlflow_target import model_of, zip_of

# Minutes, as the tags that people search by have always been written; the record has the instant.
STAMP = "%Y%m%d_%H%M"
# From where a move leads up, and where it leads down.
_RANK = {Stage.ARCHIVED: 0, Stage.DEVELOPMENT: 1, Stage.BETA: 2, Stage.CHAMPION: 3}
_NAMES = frozenset(
    {
        "timeframe",
        "model_type",
        "version_type",
        "promotion_stage",
        "enhancement_type",
        "enhancement_timestamp",
        "base_model_path",
        "base_model_run_id",
        "previous_timesteps",
        "total_timesteps",
        "last_promoted_at",
        "promotion_reason",
        "demotion_reason",
        "demotion_timestamp",
        "podium.candidate_id",
        "podium.version",
        "podium.artifact_hash",
        "podium.decision",
        "podium.no_improvement",
        "podium.sign_changes",
    }
)
_PROMOTION = re.compile(r"promotion_\d{8}_\d{4}(-\d+)?")


@dataclass(frozen=True)
class Move:
    """A candidate's way from one stage to another.

    Parameters
    ----------
    at : str
        UTC, ISO 8601.
    """

    here: Stage
    there: Stage
    at: str
    reason: str

    @property
    def is_up(self) -> bool:
        """Whether it is a promotion."""
        return _RANK[self.there] > _RANK[self.here]


@dataclass(frozen=True)
class Standing:
    """What the record says of a candidate at one moment.

    Parameters
    ----------
    row : mapping
        The candidate itself.
    decisions : sequence of str
        Ids of all decisions about it.
    tags : mapping
        Everything told of it, but what belongs to the run alone.
    improvement : mapping
        Notes, ``scalars`` and ``created_at`` of how it differs from what it was made of.
    """

    row: Mapping[str, Any]
    timeframe: str
    decisions: Sequence[str]
    tags: Mapping[str, Any]
    improvement: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The candidate's."""
        return str(self.row["id"])

    @property
    def figures(self) -> dict[str, float]:
        """What the run shows of the improvement: the numbers that MLflow can hold."""
        told = self.improvement.get("scalars", {})
        return {
            name: float(value)
            for name, value in told.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }

    @property
    def model(self) -> str:
        """Name of the registered model: the slot, as MLflow can say it."""
        return model_of(self.row["slot"])


def is_told(name: str) -> bool:
    """Whether a tag of this name is one that a candidate's standing decides.

    Examples
    --------
    >>> is_told("promotion_20250610_1417-2"), is_told("owner")
    (True, False)
    """
    return name in _NAMES or _PROMOTION.fullmatch(name) is not None


def stamp(moment: str) -> str:
    """An ISO instant of UTC to the minute.

    Examples
    --------
    >>> stamp("2025-06-10T14:17:33.120Z")
    '20250610_1417'
    """
    return dt.datetime.fromisoformat(moment).strftime(STAMP)


def of(ledger: Ledger, tx: sa.Connection, candidate_id: str, target: str) -> Standing | None:
    """Standing of a candidate for one target; None when the record has no such candidate."""
    table = schema.candidate.c
    wanted = mine(ledger, schema.candidate, table.id == candidate_id)
    first = tx.execute(sa.select(schema.candidate).where(wanted)).mappings().first()
    if first is None:
        return None
    row = {**first}
    decision, stage = schema.decision.c, schema.stage.c
    told = (
        decision.id,
        decision.kind,
        decision.candidate_id,
        decision.from_stage,
        decision.to_stage,
        decision.accepted,
        decision.actor,
        decision.reason,
        decision.created_at,
    )
    rows = tx.execute(
        sa.select(*told)
        .where(
            mine(
                ledger,
                schema.decision,
                decision.slot == row["slot"],
                sa.or_(
                    decision.candidate_id == candidate_id,
                    decision.expected_champion == candidate_id,
                ),
            )
        )
        .order_by(decision.seq)
    ).mappings()
    decided = [{**one} for one in rows]
    own = [d for d in decided if d["candidate_id"] == candidate_id]
    stands = tx.execute(
        sa.select(stage.stage).where(mine(ledger, schema.stage, stage.candidate_id == candidate_id))
    ).scalar()
    timeframe = _timeframe(ledger, tx, row["dataset_fingerprint"])
    improvement = found(ledger, tx, candidate_id, "improvement") if row["parent_id"] else {}
    tags = {
        "podium.candidate_id": candidate_id,
        "podium.version": row["version"],
        "podium.artifact_hash": row["artifact_hash"],
        "podium.decision": _told(own[-1]) if own else "",
        "timeframe": timeframe,
        "model_type": row["model_type"],
        "version_type": _version_type(ledger, tx, row),
        "promotion_stage": stands,
        **_origin(ledger, tx, row, target),
        **_not_improved(improvement),
        **_promotions(_moves(decided, candidate_id)),
    }
    return Standing(row, timeframe, [d["id"] for d in own], tags, improvement)


def _told(decision: Mapping[str, Any]) -> str:
    verdict = "accepted" if decision["accepted"] else "refused"
    return f"{decision['to_stage']} {verdict}, asked by {decision['actor']}: {decision['reason']}"


def _timeframe(ledger: Ledger, tx: sa.Connection, fingerprint: str) -> str:
    dataset = schema.dataset.c
    found = tx.execute(
        sa.select(dataset.timeframe)
        .where(mine(ledger, schema.dataset, dataset.fingerprint == fingerprint))
        .order_by(dataset.seq)
    ).scalar()
    return found or ""


def _version_type(ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any]) -> str:
    """One that something newer of its kind, or made of it, stands beside is old."""
    newest = tx.execute(
        sa.select(schema.latest.c.candidate_id).where(
            mine(
                ledger,
                schema.latest,
                schema.latest.c.slot == row["slot"],
                schema.latest.c.model_type == row["model_type"],
            )
        )
    ).scalar()
    child = tx.execute(
        sa.select(schema.candidate.c.id)
        .where(mine(ledger, schema.candidate, schema.candidate.c.parent_id == row["id"]))
        .limit(1)
    ).scalar()
    return "latest" if newest == row["id"] and child is None else "old"


def _origin(
    ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any], target: str
) -> dict[str, Any]:
    """What a candidate was made of, and how far it was trained, as far as that is known."""
    steps = _timesteps(ledger, tx, row["trial_id"])
    if row["parent_id"] is None:
        return {"total_timesteps": steps}
    parent = tx.execute(
        sa.select(schema.candidate.c.trial_id, schema.candidate.c.dataset_fingerprint).where(
            mine(ledger, schema.candidate, schema.candidate.c.id == row["parent_id"])
        )
    ).first()
    tags = {
        "enhancement_type": row["model_type"],
        "enhancement_timestamp": stamp(row["created_at"]),
        "total_timesteps": steps,
    }
    if parent is None:
        return tags
    run_id = outbox.remote_id(ledger, tx, target, parent.trial_id)
    if run_id is not None:
        place = zip_of(_timeframe(ledger, tx, parent.dataset_fingerprint))
        tags |= {"base_model_run_id": run_id, "base_model_path": f"runs:/{run_id}/{place}"}
    return {**tags, "previous_timesteps": _timesteps(ledger, tx, parent.trial_id)}


def _not_improved(notes: Mapping[str, Any]) -> dict[str, str]:
    """Metrics whose improvement over the parent is no metric of the run, or misleads, and why."""
    none = [
        f"{name.removeprefix('improvement_')}: {why.removeprefix('none: ')}"
        for name, why in notes.items()
        if str(why).startswith("none: ")
    ]
    return {
        "podium.no_improvement": "; ".join(none),
        "podium.sign_changes": notes.get("sign_changes", ""),
    }


def found(ledger: Ledger, tx: sa.Connection, candidate_id: str, kind: str) -> dict[str, Any]:
    """Notes, figures and time of a candidate's newest evidence of a kind; empty without any."""
    table = schema.evidence.c
    row = tx.execute(
        sa.select(table.notes, table.scalars, table.created_at)
        .where(
            mine(ledger, schema.evidence, table.candidate_id == candidate_id),
            table.kind == kind,
        )
        .order_by(table.seq.desc())
        .limit(1)
    ).first()
    if row is None:
        return {}
    scalars = {name: value for name, (value, *_) in json.loads(row.scalars).items()}
    return {**json.loads(row.notes), "scalars": scalars, "created_at": row.created_at}


def _timesteps(ledger: Ledger, tx: sa.Connection, trial_id: str) -> int | None:
    """Steps an agent has taken in all, where its training reported them."""
    result = schema.result.c
    found = tx.execute(
        sa.select(result.value).where(
            mine(
                ledger,
                schema.result,
                result.trial_id == trial_id,
                result.metric == "total_timesteps",
            )
        )
    ).scalar()
    return None if found is None else int(found)


def _moves(decided: Iterable[Mapping[str, Any]], candidate_id: str) -> list[Move]:
    """Every move of a candidate; one that was replaced moved by its successor's decision."""
    moves = []
    for row in decided:
        if not row["accepted"] or row["kind"] not in (Kind.MOVE, Kind.ROLLBACK):
            continue
        here, there, reason = row["from_stage"], row["to_stage"], row["reason"]
        if row["candidate_id"] != candidate_id:
            if there != Stage.CHAMPION:
                continue
            reason = f"New champion promoted: {row['candidate_id']}"
            here, there = Stage.CHAMPION, Stage.ARCHIVED
        moves.append(Move(Stage(here), Stage(there), row["created_at"], reason))
    return moves


def _promotions(moves: Sequence[Move]) -> dict[str, str]:
    """Every move under its minute, and when and why the last ones up and down were made."""
    tags: dict[str, str] = {}
    for move in moves:
        at = stamp(move.at)
        base = name = f"promotion_{at}"
        number = 1
        while name in tags:
            number += 1
            name = f"{base}-{number}"
        tags[name] = f"{move.here} -> {move.there}"
        if move.is_up:
            tags |= {"last_promoted_at": at, "promotion_reason": move.reason}
        else:
            tags |= {"demotion_timestamp": at, "demotion_reason": move.reason}
    return tags


def touched(ledger: Ledger, tx: sa.Connection, item: Item) -> list[str]:
    """Candidates whose tags an item of the outbox may change, parents first.

    A new one makes its parent and the one before it of its type old; a decision may move the
    champion before as well.
    """
    candidate, decision, stage = schema.candidate.c, schema.decision.c, schema.stage.c
    if item.kind == "candidate":
        new = tx.execute(
            sa.select(schema.candidate).where(
                mine(ledger, schema.candidate, candidate.id == item.subject_id)
            )
        ).first()
        if new is None:
            return []
        before = tx.execute(
            sa.select(candidate.id)
            .where(
                mine(
                    ledger,
                    schema.candidate,
                    candidate.slot == new.slot,
                    candidate.model_type == new.model_type,
                    candidate.seq < new.seq,
                )
            )
            .order_by(candidate.seq.desc())
            .limit(1)
        ).scalar()
        return [*dict.fromkeys(filter(None, [new.parent_id, before, new.id]))]
    about = mine(ledger, schema.decision, decision.id == item.subject_id)
    moved = mine(ledger, schema.stage, stage.decision_id == item.subject_id)
    either = sa.or_(
        candidate.id.in_(sa.select(decision.candidate_id).where(about)),
        candidate.id.in_(sa.select(decision.expected_champion).where(about)),
        candidate.id.in_(sa.select(stage.candidate_id).where(moved)),
    )
    query = sa.select(candidate.id).where(mine(ledger, schema.candidate, either))
    return list(tx.execute(query.order_by(candidate.seq)).scalars())


def trials(ledger: Ledger, tx: sa.Connection) -> dict[str, str]:
    """Every candidate and the trial that trained it, parents before what was made of them."""
    table = schema.candidate.c
    query = sa.select(table.id, table.trial_id).where(table.project_id == ledger.project_id)
    return {row.id: row.trial_id for row in tx.execute(query.order_by(table.seq))}


def trial_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str | None:
    """Trial that trained a candidate: its run tells of it."""
    table = schema.candidate.c
    return tx.execute(
        sa.select(table.trial_id).where(mine(ledger, schema.candidate, table.id == candidate_id))
    ).scalar()


def base_of(ledger: Ledger, tx: sa.Connection, trial_id: str) -> str | None:
    """Trial of the parent of the candidate that a trial left; None where there is none."""
    child, parent = schema.candidate.alias("child"), schema.candidate.alias("parent")
    same = sa.and_(parent.c.project_id == child.c.project_id, parent.c.id == child.c.parent_id)
    return tx.execute(
        sa.select(parent.c.trial_id)
        .select_from(child.join(parent, same))
        .where(child.c.project_id == ledger.project_id, child.c.trial_id == trial_id)
        .order_by(child.c.seq.desc())
        .limit(1)
    ).scalar()


def champions(ledger: Ledger, tx: sa.Connection) -> dict[str, str]:
    """The candidate that holds each slot which somebody holds."""
    table = schema.champion.c
    query = sa.select(table.slot, table.candidate_id).where(table.project_id == ledger.project_id)
    return {row.slot: row.candidate_id for row in tx.execute(query)}


def mine(ledger: Ledger, table: Any, *conditions: sa.ColumnElement[bool]) -> Any:
    """Rows of a table that are this project's and meet the conditions."""
    return sa.and_(table.c.project_id == ledger.project_id, *conditions)
