"""The champion that a candidate is compared with."""

from __future__ import annotations

from podium.candidate import Candidate
from podium.ledger import reads
from podium.steps.workspace.project import Project


def rival_of(project: Project, candidate: Candidate | None) -> Candidate | None:
    """The champion that a candidate is compared with; None without one, or without a candidate.

    For the champion itself it is the previous one, which its first decision names; otherwise a
    promotion would change the comparison.
    """
    if candidate is None:
        return None
    ledger = project.ledger
    with ledger.reading() as tx:
        holder = reads.champion_of(tx, candidate.slot)
        if holder == candidate.id:
            holder = reads.champion_before(tx, candidate.id)
        return None if holder is None else reads.candidate_by_id(tx, holder)
