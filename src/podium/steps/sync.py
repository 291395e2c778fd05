"""Bring every projection of the record up to it: the users' files, and MLflow."""

from __future__ import annotations

from podium.ledger.projections import experiments, sweep_results
from podium.steps._project import Project


def sync_files(project: Project) -> list[str]:
    """Update the users' files; returns what was written, relative to the project."""
    slots = list(project.config.slots)
    slot = project.config.project.default_slot or (slots[0] if slots else "")
    return [
        *experiments.write(project.ledger, project.root, slot),
        *sweep_results.write(project.ledger, project.root),
    ]
