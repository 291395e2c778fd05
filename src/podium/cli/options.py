"""Options that verbs share, and the context that a verb gets from them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial, wraps
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
# Keys of the settings and of the form of the answer in the meta dictionary of a click context.
SETTINGS, FORM = "podium.settings", "podium.form"


class _PlainFile(click.Path):
    """Path of a file; reading a pipe or a device might never end."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Check the path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.exists() and not path.is_file():
            self.fail(f"{path} is not a plain file", param, ctx)
        return path


FILE = _PlainFile(dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
PATH = click.Path(path_type=Path)


class CliContext:
    """Values of the shared flags: folder of the project, form of the answer, settings.

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
        """Folder of the project; NotFoundError outside a project."""
        return find_root(self.folder)

    @cached_property
    def config(self) -> Config:
        """Settings of podium.toml, for verbs that only read; NotFoundError outside a project."""
        return load(self.root)

    @property
    def config_if_any(self) -> Config | None:
        """Settings of podium.toml, None outside a project."""
        try:
            return self.config
        except NotFoundError:
            return None

    @property
    def reader(self) -> RecordReader:
        """Read access to the record."""
        return RecordReader(self.config.ledger.url, self.root, self.config.project.id)

    @contextmanager
    def opened(self) -> Iterator[Project]:
        """The project under the settings of the flags; the command ends with the id of its log."""
        from podium.steps.workspace.session import open_project

        project = open_project(self.root, settings=self.settings, reporter=self.out)
        try:
            with project:
                yield project
        finally:
            self.out.finish()
        # Lines about a command follow its answer; the last one to be added is printed first.
        lines = [project.closing_line, project.log_hint if project.log.id else ""]
        for line in filter(None, lines):
            click.get_current_context().call_on_close(partial(self.out.say, line))


def stacked(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order of the help."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def override(*names: str, key: str = "", **attributes: Any) -> Decorator:
    """Flag that overrides a setting, and is no argument of the verb."""

    def store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(SETTINGS, {})[key or param.name] = value

    return click.option(*names, expose_value=False, callback=store, **attributes)


def setting(key: str, *names: str, **attributes: Any) -> Decorator:
    """Flag that overrides one value of podium.toml; its help names the key and the default.

    Parameters
    ----------
    key : str
        Such as ``tune.trials``.
    names : str
        Default: the key's last part, ``--trials``; of MLflow the key, ``--mlflow-experiment``.
    attributes
        Of ``click.option``. A help that ends with ``[default: ...]`` describes the default itself.
    """
    last = key if key.startswith("mlflow.") else key.rpartition(".")[2]
    names = names or ("--" + re.sub("[._]", "-", last),)
    value = default_of(key)
    purpose, _, described = str(attributes.pop("help", "")).partition("[default: ")
    default = described.rstrip("]") or json.dumps(value).strip('"').removesuffix(".0")
    shown = f"{key}, default {default}" if default else key
    help_text = f"{purpose.rstrip()}  [podium.toml: {shown}]".strip()
    defaults = {"type": type(value), "default": None, "help": help_text}
    return override(*names, key=key, **{**defaults, **attributes})


def _stored(key: str, *names: str, **attributes: Any) -> Decorator:
    """Flag whose value is stored in the meta dictionary under a key."""

    def store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        ctx.meta[key] = value

    return click.option(*names, expose_value=False, callback=store, **attributes)


slot = click.argument("slot", required=False)

# Output reads --verbose from the context.
loudness = stacked(
    _stored(
        VERBOSE,
        "--verbose",
        "-v",
        is_flag=True,
        help="Print the end of each trial and each written file.",
    ),
    click.option("--quiet", "-q", is_flag=True, help="Print results and errors only."),
)

jobs = setting("runner.jobs", help="Trials at the same time; 0: one a core.")

workers = stacked(
    jobs,
    setting("runner.max_seconds", "--trial-seconds", help="Time limit of a trial."),
    setting("runner.max_memory", "--trial-memory", help="Memory limit of a trial: 4GiB."),
    setting("runner.device", help="cpu, cuda, cuda:0,cuda:1, mps or auto; one worker a GPU."),
    override(
        "--max-time",
        metavar="TIME",
        help="Start no trial after this time: 2h, 30m, 90s. The same command continues.",
    ),
    override("--retry-failed", is_flag=True, default=None, help="Train failed trials again."),
)

mlflow = stacked(
    setting("mlflow.enabled", "--mlflow/--no-mlflow", help="Send the runs to MLflow."),
    setting("mlflow.tracking_uri", help="Store or server.  [default: mlflow.db here]"),
    setting("mlflow.experiment", help="Experiment.  [default: the project's name]"),
    setting("mlflow.run_name", help="Name of the runs this command makes."),
)


def forms(*names: str, purpose: str = "Form of the answer.") -> Decorator:
    """Option ``-o`` with the forms of a verb's answer."""
    purpose = f"{purpose}  [default: table]"
    return _stored(FORM, "-o", "--output", type=click.Choice(names), help=purpose)


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
