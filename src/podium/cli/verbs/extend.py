"""Search: cross-validate the best configs over folds, walk-forward unless told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@click.option("--study", default="", metavar="ID", help="A search.  [default: the newest one]")
@click.option("--top-n", type=int, help="How many configs.")
@click.option("--folds", type=int, help="How many folds.")
@click.option("--epochs", type=int, help="Most epochs of a fold.")
@click.option("--splitter", help="How folds are cut: podium list splitters.")
@options.jobs
@options.mlflow
@options.common
def command(
    slot: str | None,
    study: str,
    top_n: int | None,
    folds: int | None,
    epochs: int | None,
    splitter: str | None,
    jobs: int | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
    mlflow: dict[str, Any],
) -> None:
    """Train the best configs of SLOT's newest finished search again on every fold."""
    from podium.steps.search.extend import extend

    out = Output(as_json=as_json, quiet=quiet)
    flags = {
        "extend__top": top_n,
        "extend__folds": folds,
        "extend__epochs": epochs,
        "extend__splitter": splitter,
        "runner__jobs": jobs,
    }
    with options.opened(folder, out, **flags, **mlflow) as project:
        name = project.default_slot(slot)
        with project.locked(name, "extend"):
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
    out.answer("extended", items)
    if files:
        out.say(f"files: {files}/")
    out.hint(f"podium analyze {name}")
