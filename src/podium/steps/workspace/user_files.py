"""Files for users and their scripts, written from the record."""

from __future__ import annotations

from podium.errors import PodiumError
from podium.ledger.projections import experiments, sweep_results
from podium.steps.workspace import best_file
from podium.steps.workspace.project import Project


def sync_files(project: Project) -> list[str]:
    """Update users' files; return the written ones, relative to the project."""
    slot = project.config.root_slot
    ledger, root, say = project.ledger, project.root, project.reporter.say
    active = project.config.paths.active_model
    files = experiments.write(ledger, root, slot, active=active, say=say)
    sweeps = sweep_results.write(ledger, root, slot=slot, say=say)
    return [*files, *sweeps, *best_file.write(project)]


def catch_up(project: Project) -> None:
    """Update users' files; an error is a warning, since the step is on record."""
    try:
        sync_files(project)
    except PodiumError as error:
        project.reporter.say(f"warning: the files beside the record were not updated: {error}")
