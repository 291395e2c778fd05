"""Serve: target weights of the newest bars, dated, with the model that gave them."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.slot
@click.option("--since", help="Every bar since this date, UTC.  [default: the newest bar]")
@click.option("--candidate", help="A candidate's id, in the champion's place.")
@click.option("--model-path", help="Any path into a model's folder, in the champion's place.")
@options.forms("table", "json", "csv")
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    since: str | None,
    candidate: str | None,
    model_path: str | None,
) -> None:
    """Target weights by SLOT's champion, as its backtest trades them; nothing is trained.

    A weight is a fraction of equity, below 0 for a short one. It is decided at the close of as_of
    and meant for the bar after it; order says whether the backtest trades there at all.
    """
    from podium.steps.serving.signals import COLUMNS, signals

    out = cli.out
    with cli.opened() as project:
        found = signals(project, slot, since=since, candidate=candidate, model_path=model_path)
    out.say(
        f"{found.rule}: weights by '{found.signal}', filled at the "
        f"{found.execution.replace('_', ' ')}"
    )
    shown = COLUMNS if out.form == "csv" else [*COLUMNS[:6], "candidate"]
    out.listing("signals", found.rows(), shown)
