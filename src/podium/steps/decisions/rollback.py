"""Make the previous champion of a slot champion again, in one transaction and without gates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from podium import artifact
from podium.candidate import Candidate
from podium.decision import Decision, Kind, Stage
from podium.errors import DataError, NotFoundError, UsageError
from podium.ledger import decisions, reads
from podium.ledger.ledger import now
from podium.render.answer import Answer
from podium.steps.decisions.promote import path, write_champions
from podium.steps.search.history import history
from podium.steps.workspace import hooks, recorded
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot


@dataclass(frozen=True)
class Rollback(Answer):
    """The champion after a rollback: the result of ``rollback``.

    Parameters
    ----------
    candidate : Candidate
        Champion now.
    replaced : Candidate or None
        Champion before; None: the slot had none.
    decisions : tuple of Decision
        Empty where an earlier rollback had done the same.
    """

    candidate: Candidate
    replaced: Candidate | None
    decisions: tuple[Decision, ...]

    @property
    def sentence(self) -> str:
        """The champion, and the one before."""
        made = self.candidate
        who = f"Version {made.version} of {made.slot} ({made.family}, {made.id})"
        if not self.decisions:
            return f"{who} is champion already by an earlier rollback; nothing changed."
        before = f" in place of {self.replaced.id}" if self.replaced else ""
        return f"{who} is champion again{before}: {self.decisions[-1].reason}."

    def rows(self) -> list[dict[str, Any]]:
        """One row: slot, champion, the one before, who decided and why, and the artefact."""
        made = self.candidate
        row = {"slot": made.slot, "champion": f"{made.id} (version {made.version})"}
        if self.decisions:
            row |= {
                "replaced": self.replaced.id if self.replaced else "nobody",
                "by": self.decisions[-1].actor,
                "reason": self.decisions[-1].reason,
            }
        return [{**row, "artifact": made.artifact_hash}]


@on_slot("rollback")
def rollback(project: Project, slot: str, *, reason: str, artifact_hash: str = "") -> Rollback:
    """Make the previous champion of a slot champion again.

    No gate runs, as a person decides when the champion fails in use; every byte of the artefact is
    checked instead. A second rollback restores the first champion.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    reason : str
        Recorded with every decision.
    artifact_hash : str, optional
        Beginning of the hash of the expected artefact. If a rollback has restored it already, as
        before a kill, nothing is done.

    Returns
    -------
    Rollback

    Raises
    ------
    UsageError
        The reason is empty.
    NotFoundError
        The slot had no other champion.
    RefusedError
        A file of the artefact may run code.
    DataError
        The artefact has changed since it was judged, or its hash does not begin so, or the record
        was changed outside podium.
    ConflictError
        The slot's champion changed meanwhile.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").rollback(reason="drifts").candidate.id
    'c-arx956z8qyp51'
    """
    if not reason.strip():
        raise UsageError("the rollback has no reason", "--reason TEXT")
    ledger = project.ledger
    ledger.read(reads.require_decisions, slot)
    reigns = history(project.reader, slot)
    holder = recorded.champion(project, slot)
    others = [one.candidate_id for one in reigns if holder is None or one.candidate_id != holder.id]
    candidate = recorded.candidate(project, others[-1]) if others else None
    matches = [one for one in (candidate, holder) if _has(one, artifact_hash)]
    if artifact_hash and holder and matches == [holder] and reigns[-1].kind == Kind.ROLLBACK:
        # A kill after that decision may have prevented this file.
        write_champions(project)
        return Rollback(holder, None, ())
    if candidate is None:
        raise NotFoundError(
            f"{slot} has no previous champion", "a champion that was replaced or demoted"
        )
    current = recorded.stage(project, candidate.id)
    ids = tuple(sorted(e.id for e in recorded.evidence(project, candidate.id).values()))
    if not _has(candidate, artifact_hash):
        raise DataError(
            f"the previous champion is {candidate.id}, artefact {candidate.artifact_hash[:12]}",
            f"artefact {artifact_hash} (--artifact)",
            f"run: podium show {slot} --history",
        )
    artifact.require_servable(project.store / candidate.artifact_path, candidate.artifact_hash)

    def decision(mine: Candidate, here: Stage, there: Stage) -> Decision:
        return Decision(
            kind=Kind.ROLLBACK,
            slot=slot,
            candidate_id=mine.id,
            from_stage=here,
            to_stage=there,
            accepted=True,
            actor=project.actor,
            reason=reason.strip(),
            # Without an expected champion, as the present one leaves first in this transaction.
            evidence=ids if mine is candidate else (),
            created_at=now(),
        )

    made = [decision(holder, Stage.CHAMPION, Stage.ARCHIVED)] if holder else []
    through = [current, *path(current, Stage.CHAMPION)]
    made += [decision(candidate, here, there) for here, there in pairwise(through)]
    with ledger.transaction(durable=True) as tx:
        recorded_decisions = tuple(decisions.decide(tx, one) for one in made)
    write_champions(project)
    result = Rollback(candidate, holder, recorded_decisions)
    message = f"{candidate.name} is champion again: {reason}"
    project.log.line(message, slot=slot)
    before = holder.id if holder else None
    hooks.moved(project, candidate, current, recorded_decisions[-1], before, message)
    return result


def _has(candidate: Candidate | None, artifact_hash: str) -> bool:
    """Whether the hash of a candidate's artefact begins so."""
    return candidate is not None and candidate.artifact_hash.startswith(artifact_hash)
