"""Candidates, their evidence and their models as recorded: ``recorded.candidate(project, id)``."""

from __future__ import annotations

from podium import artifact
from podium.artifact import LoadedModel, Place
from podium.candidate import Candidate
from podium.classifier import LoadedClassifier
from podium.decision import Stage
from podium.evidence import Evidence
from podium.ledger import reads
from podium.steps.workspace.project import Project


def candidate(project: Project, candidate_id: str) -> Candidate:
    """The candidate with that id.

    Raises
    ------
    NotFoundError
        There is none.
    """
    return project.ledger.read(reads.candidate_by_id, candidate_id)


def evidence(project: Project, candidate_id: str) -> dict[str, Evidence]:
    """The newest evidence of each kind about a candidate."""
    return project.ledger.read(reads.evidence_of, candidate_id)


def champion(project: Project, slot: str) -> Candidate | None:
    """Champion of a slot, or None."""
    with project.ledger.reading() as tx:
        holder = reads.champion_of(tx, slot)
        return reads.candidate_by_id(tx, holder) if holder else None


def rival(project: Project, candidate: Candidate | None) -> Candidate | None:
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


def stage(project: Project, candidate_id: str) -> Stage:
    """Stage of a candidate."""
    return Stage(project.ledger.read(reads.stage_of, candidate_id) or Stage.DEVELOPMENT)


def place(project: Project, candidate: Candidate) -> Place:
    """Place of a candidate's artefact; the hash of its manifest is checked.

    Raises
    ------
    DataError
        The manifest is missing or changed.
    """
    return artifact.place_of(project.store / candidate.artifact_path, candidate.artifact_hash)


def forecaster(project: Project, candidate: Candidate) -> LoadedModel:
    """Model of a candidate that forecasts; errors as of :func:`artifact.load`."""
    return artifact.forecaster(project.store / candidate.artifact_path, candidate.artifact_hash)


def classifier(project: Project, candidate: Candidate) -> LoadedClassifier:
    """Model of a candidate that classifies; errors as of :func:`artifact.load`."""
    return artifact.classifier(project.store / candidate.artifact_path, candidate.artifact_hash)
