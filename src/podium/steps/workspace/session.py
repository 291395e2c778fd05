"""A project opened for work: its verbs as methods, its hooks, its users' files and MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium import verbs
from podium.config import find_root
from podium.render.table import html
from podium.steps.workspace import hooks, projections
from podium.steps.workspace.progress import default_reporter
from podium.steps.workspace.project import Project, Reporter

if TYPE_CHECKING:
    from podium.ledger.ledger import Ledger


class ProjectServices:
    """Hooks, users' files and MLflow; none of them delays or fails a step."""

    def record_opens(self, project: Project) -> Callable[[Ledger], Callable[[], None]] | None:
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


class Session(Project):
    """An opened project whose verbs are methods: ``project.run()``, ``project.slot(...).tune()``.

    Verbs of the project are listed in :data:`podium.verbs.ON_PROJECT`. Each takes the arguments of
    its function, and the settings of its sections of podium.toml as keywords for this one call.
    """

    def slot(self, name: str | None = None) -> Slot:
        """A slot and its verbs; the default slot where none is named.

        Raises
        ------
        NotFoundError
            No such slot; near names are suggested.
        UsageError
            None is named and there are several.
        """
        return Slot(self, self.default_slot(name))

    def __getattr__(self, name: str) -> Any:
        if name in verbs.ON_PROJECT:
            return verbs.bound(name, verbs.ON_PROJECT[name], self)
        raise AttributeError(f"a project has no '{name}'; verbs: {', '.join(verbs.ON_PROJECT)}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *verbs.ON_PROJECT})

    def _repr_html_(self) -> str:
        holders = self.reader.champions() if self.reader.exists else {}
        rows = [
            [name, section.task, holders[name].candidate_id if name in holders else "-"]
            for name, section in self.config.slots.items()
        ]
        return html(["slot", "task", "champion"], rows)


class Slot:
    """A slot of an opened project; its verbs are methods, listed in :data:`podium.verbs.ON_SLOT`.

    Parameters
    ----------
    project : Session
    name : str
    """

    def __init__(self, project: Session, name: str) -> None:
        self.project, self.name = project, name

    def __getattr__(self, name: str) -> Any:
        if name in verbs.ON_SLOT:
            return verbs.bound(name, verbs.ON_SLOT[name], self.project, self.name)
        raise AttributeError(f"a slot has no '{name}'; verbs: {', '.join(verbs.ON_SLOT)}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *verbs.ON_SLOT})

    def __repr__(self) -> str:
        return f"<Slot {self.name} of {self.project.config.project.name}>"


def open_project(
    root: Path | str = ".",
    *,
    settings: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> Session:
    """Open the project in a folder for work.

    Parameters
    ----------
    root : path
        Folder in or below the project.
    settings : mapping, optional
        Values by the dotted keys of podium.toml, such as ``{"tune.trials": 8}``. They precede those
        of the environment and podium.toml, until the project is closed.
    reporter : Reporter, optional
        Receives messages and progress. Default: progress bars in a notebook, the logger ``podium``
        elsewhere.

    Returns
    -------
    Session
        Use it in a ``with`` statement, or call ``close()``.

    Raises
    ------
    NotFoundError, UsageError
        There is no podium.toml, or it cannot be used; every problem at once.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import podium
    >>> root = podium.init(pathlib.Path(tempfile.mkdtemp()) / "mine", demo=True)
    >>> with podium.open(root) as project:
    ...     sorted(project.config.slots), project.slot("us4/D/return")
    (['us4/D/return', 'us4/D/volatility'], <Slot us4/D/return of demo>)
    """
    reporter = reporter or default_reporter()
    listener = ProjectServices()
    return Session(find_root(Path(root)), settings=settings, reporter=reporter, listener=listener)
