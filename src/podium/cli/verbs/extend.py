"""Search: cross-validate the best configs over folds, by default walk-forward.

Example: podium extend us4/D/return --folds 8
"""

from __future__ import annotations

from typing import Any

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
        name = project.default_slot(slot)
        result = extend(project, name, study=study)
        files = result.folder and project.shown(result.folder)
    items: list[dict[str, Any]] = [
        {
            "family": row.family,
            "tuned": row.tuning_score,
            "mean": row.mean,
            "standard error": row.standard_error,
            "folds": row.scores,
            "config": row.config,
            **(
                {"classes": {one.name: one.figures() for one in row.classes}} if row.classes else {}
            ),
        }
        for row in [*result.configs, result.baselines[0]]
    ]
    for item, row in zip(items, [*result.configs, result.baselines[0]], strict=True):
        if row.classes:
            item["classes"] = {one.name: one.figures() for one in row.classes}
    cli.out.result("extended", result, items)
    if files:
        cli.out.say(f"files: {files}/")
    cli.out.hint(f"podium analyze {name}")
