"""Options that verbs share, and what a verb gets of them: one context with the project to open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli.output import VERBOSE, Output
from podium.config import Config, default_of, find_root, load
from podium.errors import NotFoundError
from podium.ledger.record_reader import RecordReader

if TYPE_CHECKING:
    from podium.steps.workspace.project import Project

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]
# Under what click keeps the flags that set something of podium.toml, and how to print.
SETTINGS, FORM = "podium.settings", "podium.form"
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


class CliContext:
    """What the shared flags of a command say: where the project is, how to answer, what it sets.

    Parameters
    ----------
    folder : Path
        In or below the project.
    """

    def __init__(self, folder: Path, *, as_json: bool, quiet: bool) -> None:
        meta = click.get_current_context().meta
        self.folder = folder
        form = meta.get(FORM) or ("json" if as_json else "table")
        self.out = Output(form=form, quiet=quiet)
        self.settings: dict[str, Any] = meta.get(SETTINGS, {})

    @property
    def root(self) -> Path:
        """Folder of the project; NotFoundError outside of one."""
        return find_root(self.folder)

    @cached_property
    def config(self) -> Config:
        """What podium.toml says, for verbs that only read; NotFoundError outside of a project."""
        return load(self.root)

    @property
    def config_if_any(self) -> Config | None:
        """The same, None outside of a project."""
        try:
            return self.config
        except NotFoundError:
            return None

    @property
    def reader(self) -> RecordReader:
        """Plain reads of the record."""
        return RecordReader(self.config.ledger.url, self.root, self.config.project.id)

    @contextmanager
    def opened(self) -> Iterator[Project]:
        """The project under the settings of the flags; the log of a verb is named last."""
        from podium.steps.workspace.session import open_project

        project = open_project(self.root, settings=self.settings, reporter=self.out)
        try:
            with project:
                yield project
        finally:
            self.out.finish()
        if project.log.id:
            hint = project.log_hint
            click.get_current_context().call_on_close(lambda: self.out.say(hint))


def stacked(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which the help shows them."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def kept(*names: str, key: str, **attributes: Any) -> Decorator:
    """Flag that is no argument of the verb: what was given is kept among the settings."""

    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(SETTINGS, {})[key] = value

    return click.option(*names, expose_value=False, callback=keep, **attributes)


def setting(key: str, *names: str, **attributes: Any) -> Decorator:
    """Flag that sets one value of podium.toml, of its type.

    Parameters
    ----------
    key : str
        Such as ``tune.trials``.
    names : str
        Default: the key's last part, ``--trials``.
    attributes
        Of ``click.option``.
    """
    names = names or ("--" + key.rpartition(".")[2].replace("_", "-"),)
    return kept(*names, key=key, **{"type": type(default_of(key)), "default": None, **attributes})


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Keep what was given under a name, for whichever verb it is."""

    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        ctx.meta[name] = value

    return keep


slot = click.argument("slot", required=False)

# The sink itself looks whether -v was given.
loudness = stacked(
    click.option(
        "--verbose",
        "-v",
        is_flag=True,
        expose_value=False,
        callback=_remember(VERBOSE),
        help="Each trial's end, each file written.",
    ),
    click.option("--quiet", "-q", is_flag=True, help="Results and errors only."),
)

jobs = setting("runner.jobs", help="Trials at once; 0: one a core.")

workers = stacked(
    jobs,
    setting("runner.max_seconds", "--trial-seconds", help="A trial that takes longer fails."),
    setting("runner.max_memory", "--trial-memory", help="A trial that needs more fails: 4GiB."),
    setting("runner.device", help="cpu, cuda, cuda:0,cuda:1, mps or auto; one worker a GPU."),
    kept(
        "--max-time",
        key="max_time",
        metavar="TIME",
        help="Begin nothing new after so long: 2h, 30m, 90s. The same command goes on.",
    ),
    kept(
        "--retry-failed",
        key="retry_failed",
        is_flag=True,
        default=None,
        help="Train what failed once more.",
    ),
)

mlflow = stacked(
    setting("mlflow.enabled", "--mlflow/--no-mlflow", help="Show the runs in MLflow."),
    setting(
        "mlflow.tracking_uri",
        "--mlflow-tracking-uri",
        help="Store or server.  [default: mlflow.db here]",
    ),
    setting(
        "mlflow.experiment",
        "--mlflow-experiment",
        help="Experiment.  [default: the project's name]",
    ),
    setting("mlflow.run_name", "--mlflow-run-name", help="Name of the runs this command makes."),
)


def forms(*names: str, told: str = "How to print.") -> Decorator:
    """``-o`` with the forms in which a verb prints."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(names),
        expose_value=False,
        callback=_remember(FORM),
        help=f"{told}  [default: table]",
    )


def common(function: Command) -> Command:
    """``--project``, ``--json``, ``--verbose`` and ``--quiet``; the verb gets a ``CliContext``."""

    @wraps(function)
    def with_context(folder: Path, as_json: bool, quiet: bool, **given: Any) -> Any:
        return function(CliContext(folder, as_json=as_json, quiet=quiet), **given)

    return stacked(
        click.option(
            "--project",
            "folder",
            type=FOLDER,
            default=".",
            help="Folder in or below the project.  [default: here]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Answer as JSON."),
        loudness,
    )(with_context)


def without_empty(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that have a value."""
    return {name: value for name, value in settings.items() if value not in (None, "", (), {})}


def score(value: float) -> float | None:
    """A trial's score; None of one that has none, so that it is told as a dash and as null."""
    return value if value == value else None
