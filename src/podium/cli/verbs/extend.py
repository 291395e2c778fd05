"""Search: cross-validate the best configs over folds, walk-forward unless told otherwise."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting


@click.command()
@options.slot
@click.option("--study", default="", metavar="ID", help="A search.  [default: the newest one]")
@setting("extend.top", "--top-n", help="How many configs.")
@setting("extend.folds", help="How many folds.")
@setting("extend.epochs", help="Most epochs of a fold.")
@setting("extend.splitter", help="How folds are cut: podium list splitters.")
@options.jobs
@options.mlflow
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    study: str,
) -> None:
    """Train the best configs of SLOT's newest finished search again on every fold."""
    from podium.steps.search.extend import extend

    with cli.at_work(slot, "extend") as (project, name):
        found = extend(project, name, study=study)
        files = found.folder and project.shown(found.folder)
    items = [
        {
            "family": row.family,
            "tuned": row.tuning_score,
            "mean": row.mean,
            "standard error": row.standard_error,
            "folds": row.scores,
            "config": row.config,
        }
        for row in [*found.configs, found.baselines[0]]
    ]
    cli.out.answer("extended", items)
    if files:
        cli.out.say(f"files: {files}/")
    cli.out.hint(f"podium analyze {name}")
