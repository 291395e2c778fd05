"""Search: cross-validate the best configs over folds, walk-forward unless told otherwise."""

from __future__ import annotations

from typing import Any

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
def command(cli: CliContext, slot: str | None, study: str) -> None:
    """Train the best configs of SLOT's newest finished search again on every fold."""
    from podium.steps.search.extend import extend

    with cli.opened() as project:
        name = project.default_slot(slot)
        found = extend(project, name, study=study)
        files = found.folder and project.shown(found.folder)
    items: list[dict[str, Any]] = [
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
    columns = [*items[0]]
    if classes := found.configs[0].classes:
        for item, row in zip(items, [*found.configs, found.baselines[0]], strict=True):
            item["classes"] = {one.name: one.figures() for one in row.classes}
    cli.out.answer("extended", items, columns)
    if classes and not cli.out.as_json:
        print("\nclasses over the folds, the first config")
        cli.out.answer("classes", [{"class": one.name, **one.figures()} for one in classes])
    if files:
        cli.out.say(f"files: {files}/")
    cli.out.hint(f"podium analyze {name}")
