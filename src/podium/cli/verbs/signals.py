"""Serve: target weights of the newest bars, dated, with the model that gave them.

Example: podium signals us4/D/return --since 2013-01-01
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.slot
@click.option("--since", help="Every bar since this date, UTC.  [default: the newest bar]")
@click.option("--candidate", help="Id of a candidate, in place of the champion.")
@click.option("--model-path", help="Any path into a model's folder, in place of the champion.")
@options.forms("table", "json", "csv")
@options.common
def command(cli: CliContext, slot: str | None, since: str | None, **model: str | None) -> None:
    """Target weights by SLOT's champion, as its backtest trades them; nothing is trained.

    A weight is a fraction of equity, negative for a short position. It is decided at the close of
    as_of for the next bar; order tells whether the backtest trades at that bar.
    """
    from podium.steps.serving.signals import COLUMNS, signals

    out = cli.out
    with cli.opened() as project:
        weights = signals(project, slot, since=since, **model)
    if out.form == "csv":
        out.say(weights.sentence)
        out.listing("signals", weights.rows(), COLUMNS)
        return
    dated = ["as_of", "order"] if len(weights.times) > 1 else []
    out.result("signals", weights, columns=[*dated, "ticker", "weight", "forecast"])
