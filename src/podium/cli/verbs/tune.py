"""Search: tune a slot's config on its validation slice, beside the baselines.

Example: podium tune us4/D/return --trials 48
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting
from podium.cli.verbs._search import answer_trials, scheduled, searched, settings_of


@click.command()
@options.slot
@setting("tune.trials", help="Trials of each family.")
@setting("tune.epochs", help="Maximum epochs of a trial.")
@setting("tune.search", help="How configs are chosen: podium list searches.")
@scheduled
@setting("tune.seed", help="Another seed is another study.")
@searched
@setting("tune.metric", help="Metric to optimize; further ones after a comma: mse,mae.")
@setting("tune.where", help="Condition on the best trial: 'val_mae<0.1'.")
@options.workers
@options.mlflow
@options.common
def command(cli: CliContext, slot: str | None, space: tuple[str, ...]) -> None:
    """Run the search of SLOT (or the default one); one that was interrupted continues."""
    from podium.steps.search.tune import tune

    with cli.opened() as project:
        result = tune(project, slot, settings_of(space))
    answer_trials(cli, result, "trial family score pareto feasible state epochs mean sd config")
    cli.out.hint(f"podium extend {result.data.slot}")
