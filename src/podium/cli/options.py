"""Options that verbs share, and the project they open."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli.output import VERBOSE, Output
from podium.config import find_root

if TYPE_CHECKING:
    from podium.steps.workspace.project import Project

Command = Callable[..., Any]


def common(function: Command) -> Command:
    """``--project``, ``--json``, ``--verbose`` and ``--quiet``."""
    function = loudness(function)
    for option in (
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


def loudness(function: Command) -> Command:
    """``--verbose`` and ``--quiet``; the sink knows of the first by itself."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Results and errors only."),
        click.option(
            "--verbose",
            "-v",
            is_flag=True,
            expose_value=False,
            callback=_remembered,
            help="Each trial's end, each file written.",
        ),
    ):
        function = option(function)
    return function


def _remembered(ctx: click.Context, param: click.Parameter, verbose: bool) -> None:
    """Keep ``-v`` for the sink of whichever verb it is."""
    ctx.meta[VERBOSE] = verbose


def jobs(function: Command) -> Command:
    """``--jobs``: how many trials run at once."""
    option = click.option("--jobs", type=int, help="Trials at once; 0: one a core.")
    return option(function)


def workers(function: Command) -> Command:
    """How trials are run, handed on as one argument ``workers`` for ``opened``."""
    given = {
        "jobs": "runner__jobs",
        "device": "runner__device",
        "trial_seconds": "runner__max_seconds",
        "trial_memory": "runner__max_memory",
        "max_time": "max_time",
        "retry_failed": "retry_failed",
    }

    @wraps(function)
    def with_settings(*args: Any, **all_given: Any) -> Any:
        settings = {setting: all_given.pop(name) for name, setting in given.items()}
        return function(*args, workers=settings, **all_given)

    for option in (
        click.option("--retry-failed", is_flag=True, help="Train what failed once more."),
        click.option(
            "--max-time",
            callback=_seconds,
            metavar="TIME",
            help="Begin nothing new after so long: 2h, 30m, 90s. The same command goes on.",
        ),
        click.option("--device", help="cpu, cuda, cuda:0,cuda:1, mps or auto; one worker a GPU."),
        click.option("--trial-memory", help="A trial that needs more fails: 4GiB."),
        click.option("--trial-seconds", type=float, help="A trial that takes longer fails."),
        click.option("--jobs", type=int, help="Trials at once; 0: one a core."),
    ):
        with_settings = option(with_settings)
    return with_settings


def score(value: float) -> float | None:
    """A trial's score; None of one that has none, so that it is told as a dash and as null."""
    return value if value == value else None


def _seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Seconds of a time such as ``2h``, ``30m`` or ``90s``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smhd])", text or "")
    if text and not found:
        raise click.BadParameter(f"'{text}'. Expected a time such as 2h, 30m or 90s.", ctx, param)
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]] if found else None


def mlflow(function: Command) -> Command:
    """``--mlflow`` and what goes with it, handed on as one argument ``mlflow`` of settings."""

    @wraps(function)
    def with_settings(*args: Any, **given: Any) -> Any:
        settings = {
            "mlflow__tracking_uri": given.pop("mlflow_tracking_uri"),
            "mlflow__experiment": given.pop("mlflow_experiment"),
            "mlflow__run_name": given.pop("mlflow_run_name"),
        }
        on = given.pop("mlflow")
        # Whoever says where runs go wants them to go there.
        named = any(value is not None for value in settings.values())
        settings["mlflow__enabled"] = True if on is None and named else on
        return function(*args, mlflow=settings, **given)

    for option in (
        click.option("--mlflow-run-name", help="Name of the runs this command makes."),
        click.option("--mlflow-experiment", help="Experiment.  [default: the project's name]"),
        click.option("--mlflow-tracking-uri", help="Store or server.  [default: mlflow.db here]"),
        click.option("--mlflow/--no-mlflow", default=None, help="Show the runs in MLflow."),
    ):
        with_settings = option(with_settings)
    return with_settings


def slot(function: Command) -> Command:
    """The slot as an optional argument."""
    return click.argument("slot", required=False)(function)


@contextmanager
def opened(folder: Path, out: Output, **flags: Any) -> Iterator[Project]:
    """The project around a folder; flags that were not given are left out.

    A flag ``tune__trials=8`` sets ``tune.trials``; ``max_time`` and ``retry_failed`` are no
    settings but what this one command was asked for. What was done on a slot is in a log, which is
    named last: after the answer, or after the error.
    """
    from podium.steps.workspace.session import open_project

    max_time, retry_failed = flags.pop("max_time", None), flags.pop("retry_failed", False)
    given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    project = open_project(find_root(folder), flags=given, reporter=out)
    where = "" if folder == Path() else f" --project {shlex.quote(str(folder))}"
    try:
        with project:
            project.retry_failed = retry_failed
            if max_time is not None:
                project.halt.within(max_time)
            yield project
    except BaseException as error:
        if project.log.id:
            error.add_note(f"log: podium logs {project.log.id}{where}")
        raise
    finally:
        out.rest()
    if project.log.id:
        told = f"log: podium logs {project.log.id}{where}"
        click.get_current_context().call_on_close(lambda: out.say(told))
