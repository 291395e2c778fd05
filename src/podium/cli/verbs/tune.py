"""Search: look for a slot's config on its validation slice, beside naive."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting
from podium.cli.verbs._search import answer_trials, scheduled, searched, settings_of


@click.command()
@options.slot
@setting("tune.trials", help="Trials of each family.")
@setting("tune.epochs", help="Most epochs of a trial.")
@setting("tune.search", help="How configs are chosen: podium list searches.")
@scheduled
@setting("tune.seed", help="Another seed is another study.")
@searched
@setting("tune.metric", help="What to look for; after a comma what else to record: mse,mae.")
@setting("tune.where", help="What a trial must meet to win: 'val_mae<0.1'.")
@options.workers
@options.mlflow
@options.common
def command(cli: CliContext, slot: str | None, space: tuple[str, ...]) -> None:
    """Run the search of SLOT (or the default one), or what is left of it."""
    from podium.steps.search.tune import tune

    with cli.opened() as project:
        name = project.default_slot(slot)
        found = tune(project, name, settings_of(space))
        root = project.root
    answer_trials(
        cli.out, found, root, "trial", "family", "score", "pareto", "feasible", "state", "epochs",
        "mean", "sd", "config",
    )  # fmt: skip
    cli.out.hint(f"podium extend {name}")
