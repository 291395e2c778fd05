"""Search: look for a slot's config on its validation slice, beside naive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@click.option("--trials", type=int, help="Trials of each family.")
@click.option("--epochs", type=int, help="Most epochs of a trial.")
@click.option("--search", help="How configs are chosen: podium list searches.")
@click.option("--seed", type=int, help="Another seed is another study.")
@options.jobs
@options.mlflow
@options.common
def command(
    slot: str | None,
    trials: int | None,
    epochs: int | None,
    search: str | None,
    seed: int | None,
    jobs: int | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
    mlflow: dict[str, Any],
) -> None:
    """Run the search of SLOT (or the default one), or what is left of it."""
    from podium import registry
    from podium.steps.tune import tune

    out = Output(as_json=as_json, quiet=quiet)
    flags = {
        "tune__trials": trials,
        "tune__epochs": epochs,
        "tune__search": search,
        "tune__seed": seed,
        "runner__jobs": jobs,
    }
    with options.opened(folder, out, **flags, **mlflow) as project:
        name = project.default_slot(slot)
        with project.locked(name, "tune"):
            found = tune(project, name)
    section = found.data.section
    sign = -1.0 if registry.direction(section.metric) == "max" else 1.0
    rows = sorted(found.trials, key=lambda row: (row.score != row.score, sign * row.score))
    rows = [*rows, found.best_naive]
    items = [
        {
            "trial": row.id,
            "family": row.family,
            section.metric: row.score,
            "state": row.state,
            "config": row.config,
        }
        for row in rows
    ]
    out.answer("trials", items)
    if section.task == "classify":
        out.hint(f"podium train {found.best.family} --slot {name} --best")
    else:
        out.hint(f"podium extend {name}")
