"""Search: cross-validate the best configs over folds, by default walk-forward.

Example: podium extend us4/D/return --folds 8
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting


@click.command()
@options.slot
@click.option("--study", default="", metavar="ID", help="A search.  [default: the newest one]")
@setting("extend.top", "--top-n", help="Number of configs.")
@setting("extend.folds", help="Number of folds.")
@setting("extend.epochs", help="Maximum epochs of a fold.")
@setting("extend.splitter", help="Splitter of the folds: podium list splitters.")
@options.jobs
@options.mlflow
@options.common
def command(cli: CliContext, slot: str | None, study: str) -> None:
    """Train the best configs of SLOT's newest finished search on every fold."""
    from podium.steps.search.extend import extend

    with cli.opened() as project:
        result = extend(project, slot, study=study)
    items = [
        {
            "family": row.family,
            "tuned": row.tuning_score,
            "mean": row.mean,
            "standard error": row.standard_error,
            "folds": row.scores,
            "config": row.config,
            **row.class_figures,
        }
        for _, row in result.labelled
    ]
    cli.out.result("extended", result, items)
    if result.folder:
        cli.out.say(f"files: {project.shown(result.folder)}/")
    cli.out.hint(f"podium analyze {result.tuned.data.slot}")
