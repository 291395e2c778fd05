"""Candidates as the record and the store have them now: ``recorded.candidate(project, id)``."""

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
    """The candidate that holds a slot; None where no candidate does."""
    with project.ledger.reading() as tx:
        holder = reads.champion_of(project.ledger, tx, slot)
        return reads.candidate_by_id(project.ledger, tx, holder) if holder else None


def stage(project: Project, candidate_id: str) -> Stage:
    """Where a candidate stands."""
    with project.ledger.reading() as tx:
        return Stage(reads.stage_of(project.ledger, tx, candidate_id) or Stage.DEVELOPMENT)


def place(project: Project, candidate: Candidate) -> Place:
    """Where a candidate's artefact lies, after its manifest's hash was checked.

    Raises
    ------
    DataError
        The manifest is missing or changed.
    """
    return artifact.place_of(project.store / candidate.artifact_path, candidate.artifact_hash)


def forecaster(project: Project, candidate: Candidate) -> LoadedModel:
    """A candidate's model, of one that forecasts; errors as of :func:`artifact.load`."""
    return artifact.forecaster(project.store / candidate.artifact_path, candidate.artifact_hash)


def classifier(project: Project, candidate: Candidate) -> LoadedClassifier:
    """The same of one that classifies."""
    return artifact.classifier(project.store / candidate.artifact_path, candidate.artifact_hash)
