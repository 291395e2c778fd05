"""A project opened for work: its hooks, its users' files and MLflow go along with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from podium.steps.workspace import hooks, projections
from podium.steps.workspace.project import Project, Reporter


class ProjectServices:
    """Hooks, users' files and MLflow; none of them delays or fails a step."""

    def record_opens(self, project: Project) -> Callable[[], Callable[[], None]] | None:
        """Start of the process that sends to MLflow; None where MLflow is off."""
        target = projections.target_of(project)
        return None if target is None else partial(projections.start_feeder, project, target)

    def failed(self, project: Project, error: BaseException) -> None:
        """Run the hook on failures."""
        hooks.failed(project, error)

    def record_changed(self, project: Project) -> None:
        """Bring the users' files up to the record."""
        # Imported here: most commands never open the record.
        from podium.steps.workspace.user_files import catch_up

        catch_up(project)


def open_project(
    root: Path, *, settings: Mapping[str, Any] | None = None, reporter: Reporter | None = None
) -> Project:
    """The project in a folder, opened for work.

    Parameters
    ----------
    root : Path
        Folder with podium.toml.
    flags : mapping, optional
        Settings by dotted key, which come before those of the environment and podium.toml.
    reporter : Reporter, optional
        Receives what a step says and how far it is.

    Raises
    ------
    NotFoundError, UsageError
        There is no podium.toml, or it cannot be used; every problem at once.

    Examples
    --------
    >>> from podium.steps.archive import init
    >>> import tempfile, pathlib
    >>> root = init.init(pathlib.Path(tempfile.mkdtemp()) / "mine", demo=True)
    >>> with open_project(root) as project:
    ...     sorted(project.config.slots)
    ['us4/D/return', 'us4/D/volatility']
    """
    return Project(root, settings=settings, reporter=reporter, listener=ProjectServices())
