"""After a step: bring the users' files up to the record, delaying and failing nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.errors import PodiumError

if TYPE_CHECKING:
    from podium.steps._project import Project


def catch_up(project: Project) -> None:
    """Write what the users' files lack; a problem is told, the step stands."""
    from podium.steps.sync import sync_files

    try:
        sync_files(project)
    except PodiumError as error:
        project.reporter.say(f"warning: the files beside the record were not updated: {error}")
