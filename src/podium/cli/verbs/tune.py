"""Search: look for a slot's config on its validation slice, beside naive."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting
from podium.cli.verbs._search import finalists_first, scheduled, searched, settings_of, with_means


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
def command(
    cli: CliContext,
    slot: str | None,
    settings: tuple[str, ...],
) -> None:
    """Run the search of SLOT (or the default one), or what is left of it."""
    from podium import registry
    from podium.steps.search.tune import tune
    from podium.steps.trials.objectives import pareto
    from podium.trial import State

    with cli.at_work(slot, "tune") as (project, name):
        found = tune(project, name, settings_of(settings))
    section = found.data.section
    sign = registry.direction(section.metric).sign
    rows = sorted(found.trials, key=lambda row: (row.score != row.score, sign * row.score))
    rows = finalists_first(rows, found.finalists)
    limited = len(found.feasible) < len(found.trials)
    inside = {id_: values for id_, values in found.values.items() if id_ in found.feasible}
    front = pareto(inside, list(inside[found.best.id])) if inside else set()
    rows = [*rows, found.reference]
    pruned = any(row.state is State.PRUNED for row in rows)
    items = [
        {
            "trial": row.id,
            "family": row.family,
            section.metric: options.score(row.score),
            **{k: v for k, v in found.values.get(row.id, {}).items() if k != section.metric},
            **({"pareto": row.id in front} if row.id in found.values else {}),
            **(
                {"feasible": row.id in found.feasible}
                if limited and row is not found.reference
                else {}
            ),
            "state": row.state,
            **({"epochs": row.epochs} if pruned else {}),
            **with_means(row, found.finalists),
            "config": row.config,
        }
        for row in rows
    ]
    cli.out.answer("trials", items)
    cli.out.hint(f"podium extend {name}")
