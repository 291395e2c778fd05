"""Put the champion before back into its slot, in one transaction; gates are not asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from podium import artifact
from podium.candidate import Candidate
from podium.decision import Decision, Kind, Stage
from podium.errors import DataError, NotFoundError, UsageError
from podium.hashing import new_id
from podium.ledger import decisions
from podium.ledger.ledger import now
from podium.steps.decisions.promote import path, write_champions
from podium.steps.search.history import history
from podium.steps.workspace import hooks, recorded
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot


@dataclass(frozen=True)
class Rollback:
    """What was put back, and what it replaced (None: nobody held the slot).

    Without decisions it had been put back before.
    """

    candidate: Candidate
    replaced: Candidate | None
    decisions: tuple[Decision, ...]


@on_slot("rollback")
def rollback(project: Project, slot: str, *, reason: str, artifact_hash: str = "") -> Rollback:
    """Put the candidate that held a slot before back into it.

    It is what a person does when the champion fails in use, so no gate is asked; its artefact is
    checked byte by byte instead. Rolled back twice, a slot is where it was.

    Parameters
    ----------
    reason : str
        Why; kept with every decision it makes.
    artifact_hash : str, optional
        Beginning of the hash of the artefact that is to serve again, so that nothing else does. If
        a rollback has put it back already, as where the same command was killed, nothing is done.

    Raises
    ------
    UsageError
        No reason is given.
    NotFoundError
        Nobody held the slot before.
    RefusedError
        A file of the artefact may run code.
    DataError
        The artefact is not what was judged then, or not the one that was named.
    ConflictError
        The slot's champion changed meanwhile.
    """
    if not reason.strip():
        raise UsageError("a champion is rolled back without a reason", "why: --reason TEXT")
    ledger = project.ledger
    reigns = history(project.reader, slot)
    holder = recorded.champion(project, slot)
    others = [one.candidate_id for one in reigns if holder is None or one.candidate_id != holder.id]
    candidate = recorded.candidate(project, others[-1]) if others else None
    named = [one for one in (candidate, holder) if _has(one, artifact_hash)]
    if artifact_hash and holder and named == [holder] and reigns[-1].kind == Kind.ROLLBACK:
        # A kill right after that decision may have come before this file was written.
        write_champions(project)
        return Rollback(holder, None, ())
    if candidate is None:
        raise NotFoundError(
            f"nobody held {slot} before", "a champion that was replaced or moved away"
        )
    current = recorded.stage(project, candidate.id)
    ids = tuple(sorted(e.id for e in recorded.evidence(project, candidate.id).values()))
    if not _has(candidate, artifact_hash):
        raise DataError(
            f"the champion before is {candidate.id}, artefact {candidate.artifact_hash[:12]}",
            f"artefact {artifact_hash}, as you named it",
            f"look again: podium show {slot} --history",
        )
    artifact.require_servable(project.store / candidate.artifact_path, candidate.artifact_hash)

    def decision(mine: Candidate, here: Stage, there: Stage) -> Decision:
        return Decision(
            id=new_id("d"),
            kind=Kind.ROLLBACK,
            slot=slot,
            candidate_id=mine.id,
            from_stage=here,
            to_stage=there,
            accepted=True,
            actor=project.actor,
            reason=reason.strip(),
            # No champion is expected: the one there is leaves first, in the same transaction.
            evidence=ids if mine is candidate else (),
            created_at=now(),
        )

    made = [decision(holder, Stage.CHAMPION, Stage.ARCHIVED)] if holder else []
    through = [current, *path(current, Stage.CHAMPION)]
    made += [decision(candidate, here, there) for here, there in pairwise(through)]
    with ledger.transaction(durable=True) as tx:
        kept = tuple(decisions.decide(ledger, tx, one) for one in made)
    write_champions(project)
    told = f"Version {candidate.version} of {slot} ({candidate.family}) is champion again: {reason}"
    project.log.line(told, slot=slot)
    hooks.moved(project, candidate, current, kept[-1], holder.id if holder else None, told)
    return Rollback(candidate, holder, kept)


def _has(candidate: Candidate | None, artifact_hash: str) -> bool:
    """Whether a candidate's artefact is the one whose hash begins so."""
    return candidate is not None and candidate.artifact_hash.startswith(artifact_hash)
