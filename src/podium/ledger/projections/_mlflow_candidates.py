"""Tags with a candidate's origin and state, on its run and on its registered version."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from podium.decision import Kind, Stage
from podium.ledger import outbox, reads, schema
from podium.ledger.columns import json_column
from podium.ledger.ledger import Transaction
from podium.ledger.outbox import Item
from podium.ledger.projections._mlflow_target import zip_of
from podium.ledger.statements import first, mine, select, value, values

# The older tags, which people search by, have minutes; the record has the exact time.
STAMP = "%Y%m%d_%H%M"
# Order of the stages, for promotions and demotions.
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
    """A candidate's move from one stage to another.

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
class CandidateState:
    """Recorded state of a candidate at one moment.

    Parameters
    ----------
    row : mapping
        The candidate itself.
    decisions : sequence of str
        Ids of all decisions about it.
    tags : mapping
        All tags that run and version share.
    improvement : mapping
        Notes, ``scalars`` and ``created_at`` of its improvement over the parent.
    """

    row: Mapping[str, Any]
    timeframe: str
    decisions: Sequence[str]
    tags: Mapping[str, Any]
    improvement: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The candidate's id."""
        return str(self.row["id"])

    @property
    def figures(self) -> dict[str, float]:
        """Finite figures of the improvement, shown as metrics of the run."""
        scalars = self.improvement.get("scalars", {})
        return {
            name: float(figure)
            for name, figure in scalars.items()
            if isinstance(figure, int | float) and math.isfinite(figure)
        }


def is_state_tag(name: str) -> bool:
    """Whether a tag of this name depends on a candidate's state.

    Examples
    --------
    >>> is_state_tag("promotion_20250610_1417-2"), is_state_tag("owner")
    (True, False)
    """
    return name in _NAMES or _PROMOTION.fullmatch(name) is not None


def stamp(moment: str) -> str:
    """ISO time in UTC, to the minute.

    Examples
    --------
    >>> stamp("2025-06-10T14:17:33.120Z")
    '20250610_1417'
    """
    return dt.datetime.fromisoformat(moment).strftime(STAMP)


def of(tx: Transaction, candidate_id: str, target: str) -> CandidateState | None:
    """State of a candidate for one target; None if the record has no such candidate."""
    row = first(tx, schema.candidate, id=candidate_id)
    if row is None:
        return None
    decision = schema.decision.c
    about = sa.or_(
        decision.candidate_id == candidate_id, decision.expected_champion == candidate_id
    )
    decided = select(tx, schema.decision, about, order=decision.seq, slot=row["slot"])
    own = [d for d in decided if d["candidate_id"] == candidate_id]
    timeframe = _timeframe(tx, row["dataset_fingerprint"])
    improvement = evidence(tx, candidate_id, "improvement") if row["parent_id"] else {}
    tags = {
        "podium.candidate_id": candidate_id,
        "podium.version": row["version"],
        "podium.artifact_hash": row["artifact_hash"],
        "podium.decision": _summary(own[-1]) if own else "",
        "timeframe": timeframe,
        "model_type": row["model_type"],
        "version_type": _version_type(tx, row),
        "promotion_stage": reads.stage_of(tx, candidate_id),
        **_origin(tx, row, target),
        **_not_improved(improvement),
        **_promotions(_moves(decided, candidate_id)),
    }
    return CandidateState(row, timeframe, [d["id"] for d in own], tags, improvement)


def _summary(decision: Mapping[str, Any]) -> str:
    verdict = "accepted" if decision["accepted"] else "refused"
    return f"{decision['to_stage']} {verdict}, asked by {decision['actor']}: {decision['reason']}"


def _timeframe(tx: Transaction, fingerprint: str) -> str:
    dataset = schema.dataset.c
    return value(tx, dataset.timeframe, order=dataset.seq, fingerprint=fingerprint) or ""


def _version_type(tx: Transaction, row: Mapping[str, Any]) -> str:
    """Version type, as in :func:`podium.ledger.models.models`."""
    of_its_type = {"slot": row["slot"], "model_type": row["model_type"]}
    newest = value(tx, schema.latest.c.candidate_id, **of_its_type)
    child = first(tx, schema.candidate.c.id, parent_id=row["id"])
    return "latest" if newest == row["id"] and child is None else "old"


def _origin(tx: Transaction, row: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Tags of a candidate's parent and its training steps, as far as known."""
    steps = _timesteps(tx, row["trial_id"])
    if row["parent_id"] is None:
        return {"total_timesteps": steps}
    parent = first(tx, schema.candidate, id=row["parent_id"])
    tags = {
        "enhancement_type": row["model_type"],
        "enhancement_timestamp": stamp(row["created_at"]),
        "total_timesteps": steps,
    }
    if parent is None:
        return tags
    run_id = outbox.remote_id(tx, target, parent["trial_id"])
    if run_id is not None:
        place = zip_of(_timeframe(tx, parent["dataset_fingerprint"]))
        tags |= {"base_model_run_id": run_id, "base_model_path": f"runs:/{run_id}/{place}"}
    return {**tags, "previous_timesteps": _timesteps(tx, parent["trial_id"])}


def _not_improved(notes: Mapping[str, Any]) -> dict[str, str]:
    """Tags for metrics without an improvement figure, with reasons, and for changes of sign."""
    none = [
        f"{name.removeprefix('improvement_')}: {why.removeprefix('none: ')}"
        for name, why in notes.items()
        if str(why).startswith("none: ")
    ]
    return {
        "podium.no_improvement": "; ".join(none),
        "podium.sign_changes": notes.get("sign_changes", ""),
    }


def evidence(tx: Transaction, candidate_id: str, kind: str) -> dict[str, Any]:
    """Notes, figures and time of a candidate's newest evidence of a kind; empty if none."""
    newest = schema.evidence.c.seq.desc()
    row = first(tx, schema.evidence, order=newest, candidate_id=candidate_id, kind=kind)
    if row is None:
        return {}
    scalars = {name: figure for name, (figure, *_) in json_column(row, "scalars").items()}
    return {**json_column(row, "notes"), "scalars": scalars, "created_at": row["created_at"]}


def _timesteps(tx: Transaction, trial_id: str) -> int | None:
    """Total steps of an agent, if its training reported them."""
    column = schema.result.c.value
    steps = value(tx, column, trial_id=trial_id, metric="total_timesteps")
    return None if steps is None else int(steps)


def _moves(decided: Iterable[Mapping[str, Any]], candidate_id: str) -> list[Move]:
    """All moves of a candidate; a replaced champion moves by its successor's decision."""
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
    """Tags of all moves by minute, and time and reason of the last promotion and demotion."""
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


def touched(tx: Transaction, item: Item) -> list[str]:
    """Candidates whose tags an outbox item may change, parents first.

    A new candidate makes its parent and the previous one of its type old; a decision may also move
    the previous champion.
    """
    candidate, decision, stage = schema.candidate.c, schema.decision.c, schema.stage.c
    if item.kind == "candidate":
        new = first(tx, schema.candidate, id=item.subject_id)
        if new is None:
            return []
        of_its_type = {"slot": new["slot"], "model_type": new["model_type"]}
        older = candidate.seq < new["seq"]
        before = value(tx, candidate.id, older, order=candidate.seq.desc(), **of_its_type)
        return [*dict.fromkeys(filter(None, [new["parent_id"], before, new["id"]]))]
    either = sa.or_(
        candidate.id.in_(mine(tx, decision.candidate_id, id=item.subject_id)),
        candidate.id.in_(mine(tx, decision.expected_champion, id=item.subject_id)),
        candidate.id.in_(mine(tx, stage.candidate_id, decision_id=item.subject_id)),
    )
    return values(tx, candidate.id, either, order=candidate.seq)


def trials(tx: Transaction) -> dict[str, str]:
    """Trials of all candidates by candidate id, parents before their children."""
    rows = select(tx, schema.candidate, order=schema.candidate.c.seq)
    return {row["id"]: row["trial_id"] for row in rows}


def trial_of(tx: Transaction, candidate_id: str) -> str | None:
    """Trial that trained a candidate; its run shows the candidate."""
    return value(tx, schema.candidate.c.trial_id, id=candidate_id)


def base_of(tx: Transaction, trial_id: str) -> str | None:
    """Trial of the parent of a trial's candidate, or None."""
    child, parent = schema.candidate.alias("child").c, schema.candidate.alias("parent").c
    of_child = (parent.id == child.parent_id, child.trial_id == trial_id)
    return value(tx, parent.trial_id, *of_child, order=child.seq.desc())


def champions(tx: Transaction) -> dict[str, str]:
    """Champions by slot."""
    rows = select(tx, schema.champion)
    return {row["slot"]: row["candidate_id"] for row in rows}
