"""Search: train a list of configs of each family, or search with a command of your own."""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext, setting
from podium.cli.verbs import _own
from podium.cli.verbs._search import finalists_first, scheduled, searched, settings_of, with_means


@click.command()
@options.slot
@click.option(
    "--mode",
    type=click.Choice(["priority", "quick", "full"]),
    default="priority",
    show_default=True,
    help="What most people try first; then a small grid; then everything.",
)
@click.option("--families", "--model", help="With commas.  [default: the slot's]")
@searched
@click.option("--max-runs", type=click.IntRange(1), help="At most so many configs in all.")
@click.option("--refine", is_flag=True, help="Then small steps from the best one.")
@setting("tune.epochs", help="Epochs of every trial.")
@scheduled
@_own.code
@options.workers
@options.mlflow
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    mode: str,
    families: str | None,
    settings: tuple[str, ...],
    max_runs: int | None,
    refine: bool,
    own: dict[str, Any] | None,
) -> None:
    """Train a list of configs of each family for SLOT (or the default one), each once.

    A larger mode goes on where a smaller one ended; the same command again trains nothing new.

    With --command a program of your own is trained in place of families: docs/own-code.md.
    """
    from podium import registry
    from podium.steps.search.sweep import sweep
    from podium.trial import State

    if own is not None:
        _own.sweep(cli, own, settings_of(settings))
        return
    with cli.at_work(slot, "sweep") as (project, name):
        found = sweep(
            project,
            name,
            mode,
            families=[one.strip() for one in (families or "").split(",") if one.strip()],
            space=settings_of(settings),
            max_runs=max_runs,
            refine=refine,
        )
        root = project.root
    metric = found.data.section.metric
    sign = registry.direction(metric).sign
    rows = sorted(found.trials, key=lambda row: (row.score != row.score, sign * row.score))
    rows = finalists_first(rows, found.finalists)
    pruned = any(row.state is State.PRUNED for row in rows)
    items = [
        {
            "trial": row.id,
            "family": row.family,
            "mode": row.phase.partition("/")[2] or row.phase,
            metric: options.score(row.score),
            "state": row.state,
            **({"epochs": row.epochs} if pruned else {}),
            **with_means(row, found.finalists),
            "config": row.config,
            "model": str(root / row.checkpoint) if row.checkpoint else None,
        }
        for row in [*rows, found.reference]
    ]
    columns = ["trial", "family", "mode", metric, "state", "epochs", "mean", "sd", "config"]
    cli.out.answer("trials", items, [c for c in columns if any(c in item for item in items)])
    count = len(found.trials)
    means = [one.mean for one in found.finalists if one.row.id == found.best.id]
    best = means[0] if means and means[0] == means[0] else found.best.score
    cli.out.say(
        f"{count} config{'s' if count > 1 else ''}; best {best:.4g} "
        f"({found.best.family}), naive {found.reference.score:.4g} ({metric} on validation)"
    )
    larger = {"priority": "quick", "quick": "full"}.get(mode)
    if larger:
        cli.out.hint(f"podium sweep {name} --mode {larger}")
