"""Decision: a recorded move of a candidate with its evidence and reason; stages and moves."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.errors import RefusedError
from podium.hashing import digest, new_id

# Reasons of decisions for which a person gives none.
NO_REASON, RUN, REFRESH = "requested by podium", "podium run", "podium run --refresh"
AUTOMATIC = ("", NO_REASON, RUN, REFRESH)


class Stage(enum.StrEnum):
    """Stage of a candidate's life cycle."""

    DEVELOPMENT = "development"
    BETA = "beta"
    CHAMPION = "champion"
    ARCHIVED = "archived"


STAGE_MOVES: Mapping[Stage, frozenset[Stage]] = {
    Stage.DEVELOPMENT: frozenset({Stage.BETA, Stage.ARCHIVED}),
    Stage.BETA: frozenset({Stage.DEVELOPMENT, Stage.CHAMPION, Stage.ARCHIVED}),
    Stage.CHAMPION: frozenset({Stage.BETA, Stage.ARCHIVED}),
    Stage.ARCHIVED: frozenset({Stage.DEVELOPMENT, Stage.BETA}),
}


def require_move(current: Stage, target: Stage) -> None:
    """Refuse a move that is not one of the nine allowed moves.

    Raises
    ------
    RefusedError

    Examples
    --------
    >>> require_move(Stage.BETA, Stage.CHAMPION)
    """
    if target not in STAGE_MOVES[current]:
        expected = f"one of {', '.join(sorted(STAGE_MOVES[current]))}"
        raise RefusedError(f"a candidate in stage {current} cannot move to {target}", expected)


class Result(enum.StrEnum):
    """Result of a gate; a candidate passes with ``pass``, or ``waived`` by a person."""

    PASS = "pass"
    WAIVED = "waived"
    REFUSE = "refuse"
    UNDECIDABLE = "undecidable"
    MISSING = "missing"
    # Only a signature on the current findings is missing.
    UNSIGNED = "unsigned"


@dataclass(frozen=True)
class Verdict:
    """Result of one gate, with the finding as a sentence and the limits that applied."""

    gate: str
    result: Result
    finding: str
    limits: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Verdict:
        """Verdict from a decision's row."""
        return cls(**{**fields, "result": Result(fields["result"])})

    @property
    def passed(self) -> bool:
        """Whether the gate lets the candidate through."""
        return self.result in (Result.PASS, Result.WAIVED)


def waits_for_signatures(verdicts: Sequence[Verdict]) -> bool:
    """Whether a candidate lacks only signatures, and no reviewer rejected it."""
    lacking = [verdict for verdict in verdicts if not verdict.passed]
    return bool(lacking) and all(verdict.result is Result.UNSIGNED for verdict in lacking)


class Kind(enum.StrEnum):
    """Kind of a decision."""

    REGISTER = "register"
    SIGN = "sign"
    MOVE = "move"
    WAIVE = "waive"
    ROLLBACK = "rollback"


# Kinds that change a candidate's stage; the others only annotate it.
MOVING = (Kind.REGISTER, Kind.MOVE, Kind.ROLLBACK)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One entry of the hash chain; never changed, never deleted.

    Parameters
    ----------
    accepted : bool
        A refused request is recorded too: heads do not move, the verdicts are kept.
    expected_champion : str or None
        The champion it was compared with; a different one at write time is a conflict.
    policy : mapping
        Text of the gates and limits that applied.
    contents : mapping of id to str
        SHA-256 of the recorded rows of the candidate and of each finding at the time of the
        decision.
    """

    id: str = field(default_factory=lambda: new_id("d"))
    kind: Kind
    slot: str
    candidate_id: str
    from_stage: Stage | None
    to_stage: Stage
    accepted: bool
    actor: str
    reason: str
    expected_champion: str | None = None
    policy: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    evidence: tuple[str, ...] = ()
    created_at: str
    previous_hash: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def policy_hash(self) -> str:
        """SHA-256 of the policy's text."""
        return digest(self.policy)

    def body(self) -> dict[str, object]:
        """JSON content that the hash covers."""
        return {
            **vars(self),
            "verdicts": [vars(v) for v in self.verdicts],
            "evidence": list(self.evidence),
        }

    @property
    def hash(self) -> str:
        """SHA-256 of the content, which includes the previous hash."""
        return digest(self.body())
