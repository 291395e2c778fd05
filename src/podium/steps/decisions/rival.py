"""The champion that a candidate is held against."""

from __future__ import annotations

from podium.candidate import Candidate
from podium.ledger import reads
from podium.steps.workspace.project import Project


def rival_of(project: Project, candidate: Candidate | None) -> Candidate | None:
    """The champion that a candidate is held against; None: there is none, or no candidate yet.

    That is the slot's champion. For the champion itself it is the one before, which its first
    decision names; else becoming champion would change what it was compared with.
    """
    if candidate is None:
        return None
    ledger = project.ledger
    with ledger.reading() as tx:
        holder = reads.champion_of(ledger, tx, candidate.slot)
        if holder == candidate.id:
            holder = reads.champion_before(ledger, tx, candidate.id)
        return None if holder is None else reads.candidate_by_id(ledger, tx, holder)
