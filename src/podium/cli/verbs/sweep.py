"""Search: train a list of configs of each family, or search with a command of your own.

Example: podium sweep us4/D/return --max-runs 40
"""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext, setting
from podium.cli.verbs import _own
from podium.cli.verbs._search import answer_trials, scheduled, searched, settings_of


@click.command()
@options.slot
@click.option(
    "--mode",
    type=click.Choice(["priority", "quick", "full"]),
    default="priority",
    show_default=True,
    help="Usual configs; with quick a small grid too; with full every combination.",
)
@click.option("--families", "--model", help="With commas.  [default: the slot's]")
@searched
@click.option("--max-runs", type=click.IntRange(1), help="Maximum number of configs.")
@click.option("--refine", is_flag=True, help="Then search around the best configs on record.")
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
    space: tuple[str, ...],
    max_runs: int | None,
    refine: bool,
    own: dict[str, Any] | None,
) -> None:
    """Train a list of configs of each family for SLOT (or the default one), each once.

    A larger mode continues after a smaller one; the same command again trains nothing new.

    With --command a program of your own is trained in place of families: docs/own-code.md.
    """
    from podium.steps.search.sweep import sweep

    if own is not None:
        _own.sweep(cli, own, settings_of(space))
        return
    with cli.opened() as project:
        result = sweep(
            project,
            slot,
            mode,
            families=[one.strip() for one in (families or "").split(",") if one.strip()],
            space=settings_of(space),
            max_runs=max_runs,
            refine=refine,
        )
    answer_trials(cli, result, "trial family mode score state epochs mean sd config model")
    larger = {"priority": "quick", "quick": "full"}.get(mode)
    if larger:
        cli.out.hint(f"podium sweep {result.data.slot} --mode {larger}")
