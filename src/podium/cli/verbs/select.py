"""Judge: rank the runs on record and print the path of the best one's model.

Example: podium select us4/D/return --model lstm --export-path
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from podium.steps.search.select import Selection
    from podium.steps.workspace.project import Project


@click.command()
@options.slot
@click.option("--model", default="", help="Only runs of this family or model.  [default: all]")
@click.option("--metric", default="", help="Default: the slot's, on validation.")
@click.option(
    "--top-k", type=click.IntRange(1), default=5, show_default=True, help="Number of runs."
)
@click.option("--kept", is_flag=True, help="Only runs whose model is on disk.")
@click.option("--interactive", is_flag=True, help="Choose a run by its number, on a terminal.")
@click.option(
    "--export-path",
    is_flag=True,
    help="Print the path of the best run's model alone, and write best_model_path.txt.",
)
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    model: str,
    metric: str,
    top_k: int,
    kept: bool,
    interactive: bool,
    export_path: bool,
) -> None:
    """Rank the runs of SLOT (or the default slot) by a metric, best first.

    They are those of sweeps, grids and searches, and logged and imported ones. The path is written
    to hyperparams/best_model_path.txt, and podium.load_model opens it. Nothing is trained.
    """
    from podium.steps.search.select import export, select

    if interactive and (cli.out.as_json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        raise UsageError(
            "--interactive without a terminal",
            "a terminal for input and output, and no --json",
            "print the path of the best run's model: podium select --export-path",
        )
    with cli.opened() as project:
        result = select(project, slot, model=model, metric=metric, top_k=top_k, kept=kept)
        if result.left_out:
            cli.out.say(
                f"{result.left_out} runs on other data, task or split than the newest run are left "
                "out"
            )
        path = export(project, result) if export_path and not interactive else None
        if path is None:
            items = [result.facts(run) for run in result.runs]
            cli.out.result("runs", result, items)
        elif cli.out.as_json:
            cli.out.facts("run", result.facts(result.best))
        else:
            print(path)
        if interactive:
            _choose(cli, project, result)
    if path is None and not interactive and result.path_of(result.best) is not None:
        cli.out.hint(f"podium select {result.slot}".rstrip() + " --export-path")


def _choose(cli: CliContext, project: Project, selection: Selection) -> None:
    """Ask for a run until one with a model is chosen; print its details and export its path."""
    from podium.steps.search.select import export

    while True:
        number = click.prompt(
            f"Number of a run, 1 to {len(selection.runs)}",
            type=click.IntRange(1, len(selection.runs)),
            default=1,
        )
        cli.out.facts("run", selection.facts(selection.runs[number - 1]))
        try:
            path = export(project, selection, number)
        except NotFoundError as error:
            cli.out.say(str(error))
            continue
        print(path)
        return
