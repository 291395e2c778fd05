"""Options that verbs share, and the project they open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli.output import Output
from podium.config import find_root

if TYPE_CHECKING:
    from podium.steps._project import Project

Command = Callable[..., Any]


def common(function: Command) -> Command:
    """``--project``, ``--json`` and ``--quiet``."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="No progress, no hints."),
        click.option("--json", "as_json", is_flag=True, help="Answer as JSON."),
        click.option(
            "--project",
            "folder",
            type=click.Path(path_type=Path, file_okay=False),
            default=".",
            help="Folder in or below the project.  [default: here]",
        ),
    ):
        function = option(function)
    return function


def jobs(function: Command) -> Command:
    """``--jobs``: how many trials run at once."""
    option = click.option("--jobs", type=int, help="Trials at once; 0: one a core.")
    return option(function)


def slot(function: Command) -> Command:
    """The slot as an optional argument."""
    return click.argument("slot", required=False)(function)


@contextmanager
def opened(folder: Path, out: Output, **flags: Any) -> Iterator[Project]:
    """The project around a folder; flags that were not given are left out.

    A flag ``tune__trials=8`` sets ``tune.trials``.
    """
    from podium.steps._project import Project

    given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    with Project(find_root(folder), flags=given, reporter=out) as project:
        yield project
