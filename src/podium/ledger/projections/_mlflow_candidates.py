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
from podium.ledger import outbox, reads, schema
from podium.ledger.ledger import Ledger
from podium.ledger.outbox import Item
from podium.ledger.projections._mlflow_target import model_of, zip_of
from podium.ledger.statements import first, mine, select, value, values

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
class CandidateState:
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
            name: float(figure)
            for name, figure in told.items()
            if isinstance(figure, int | float) and math.isfinite(figure)
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


def of(ledger: Ledger, tx: sa.Connection, candidate_id: str, target: str) -> CandidateState | None:
    """Standing of a candidate for one target; None when the record has no such candidate."""
    row = first(ledger, tx, schema.candidate, id=candidate_id)
    if row is None:
        return None
    decision = schema.decision.c
    about = sa.or_(
        decision.candidate_id == candidate_id, decision.expected_champion == candidate_id
    )
    decided = select(ledger, tx, schema.decision, about, order=decision.seq, slot=row["slot"])
    own = [d for d in decided if d["candidate_id"] == candidate_id]
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
        "promotion_stage": reads.stage_of(ledger, tx, candidate_id),
        **_origin(ledger, tx, row, target),
        **_not_improved(improvement),
        **_promotions(_moves(decided, candidate_id)),
    }
    return CandidateState(row, timeframe, [d["id"] for d in own], tags, improvement)


def _told(decision: Mapping[str, Any]) -> str:
    verdict = "accepted" if decision["accepted"] else "refused"
    return f"{decision['to_stage']} {verdict}, asked by {decision['actor']}: {decision['reason']}"


def _timeframe(ledger: Ledger, tx: sa.Connection, fingerprint: str) -> str:
    dataset = schema.dataset.c
    return value(ledger, tx, dataset.timeframe, order=dataset.seq, fingerprint=fingerprint) or ""


def _version_type(ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any]) -> str:
    """The same as :func:`podium.ledger.models.models` says of all candidates."""
    of_its_type = {"slot": row["slot"], "model_type": row["model_type"]}
    newest = value(ledger, tx, schema.latest.c.candidate_id, **of_its_type)
    child = first(ledger, tx, schema.candidate.c.id, parent_id=row["id"])
    return "latest" if newest == row["id"] and child is None else "old"


def _origin(
    ledger: Ledger, tx: sa.Connection, row: Mapping[str, Any], target: str
) -> dict[str, Any]:
    """What a candidate was made of, and how far it was trained, as far as that is known."""
    steps = _timesteps(ledger, tx, row["trial_id"])
    if row["parent_id"] is None:
        return {"total_timesteps": steps}
    parent = first(ledger, tx, schema.candidate, id=row["parent_id"])
    tags = {
        "enhancement_type": row["model_type"],
        "enhancement_timestamp": stamp(row["created_at"]),
        "total_timesteps": steps,
    }
    if parent is None:
        return tags
    run_id = outbox.remote_id(ledger, tx, target, parent["trial_id"])
    if run_id is not None:
        place = zip_of(_timeframe(ledger, tx, parent["dataset_fingerprint"]))
        tags |= {"base_model_run_id": run_id, "base_model_path": f"runs:/{run_id}/{place}"}
    return {**tags, "previous_timesteps": _timesteps(ledger, tx, parent["trial_id"])}


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
    newest = schema.evidence.c.seq.desc()
    row = first(ledger, tx, schema.evidence, order=newest, candidate_id=candidate_id, kind=kind)
    if row is None:
        return {}
    scalars = {name: figure for name, (figure, *_) in json.loads(row["scalars"]).items()}
    return {**json.loads(row["notes"]), "scalars": scalars, "created_at": row["created_at"]}


def _timesteps(ledger: Ledger, tx: sa.Connection, trial_id: str) -> int | None:
    """Steps an agent has taken in all, where its training reported them."""
    column = schema.result.c.value
    steps = value(ledger, tx, column, trial_id=trial_id, metric="total_timesteps")
    return None if steps is None else int(steps)


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
        new = first(ledger, tx, schema.candidate, id=item.subject_id)
        if new is None:
            return []
        of_its_type = {"slot": new["slot"], "model_type": new["model_type"]}
        older = candidate.seq < new["seq"]
        before = value(ledger, tx, candidate.id, older, order=candidate.seq.desc(), **of_its_type)
        return [*dict.fromkeys(filter(None, [new["parent_id"], before, new["id"]]))]
    either = sa.or_(
        candidate.id.in_(mine(ledger, decision.candidate_id, id=item.subject_id)),
        candidate.id.in_(mine(ledger, decision.expected_champion, id=item.subject_id)),
        candidate.id.in_(mine(ledger, stage.candidate_id, decision_id=item.subject_id)),
    )
    return values(ledger, tx, candidate.id, either, order=candidate.seq)


def trials(ledger: Ledger, tx: sa.Connection) -> dict[str, str]:
    """Every candidate and the trial that trained it, parents before what was made of them."""
    rows = select(ledger, tx, schema.candidate, order=schema.candidate.c.seq)
    return {row["id"]: row["trial_id"] for row in rows}


def trial_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str | None:
    """Trial that trained a candidate: its run tells of it."""
    return value(ledger, tx, schema.candidate.c.trial_id, id=candidate_id)


def base_of(ledger: Ledger, tx: sa.Connection, trial_id: str) -> str | None:
    """Trial of the parent of the candidate that a trial left; None where there is none."""
    child, parent = schema.candidate.alias("child").c, schema.candidate.alias("parent").c
    of_child = (parent.id == child.parent_id, child.trial_id == trial_id)
    return value(ledger, tx, parent.trial_id, *of_child, order=child.seq.desc())


def champions(ledger: Ledger, tx: sa.Connection) -> dict[str, str]:
    """The candidate that holds each slot which somebody holds."""
    rows = select(ledger, tx, schema.champion)
    return {row["slot"]: row["candidate_id"] for row in rows}
