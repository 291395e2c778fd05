"""Serve: let a challenger forecast beside a slot's champion; podium check compares them."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("slot")
@click.argument("candidate", required=False)
@click.option("--end", is_flag=True, help="Nobody does from now on.")
@click.option("--reason", default="", help="Why; kept.")
@options.common
def command(cli: CliContext, slot: str, candidate: str | None, end: bool, reason: str) -> None:
    """Let CANDIDATE forecast in the shadow of SLOT's champion; without it, tell who does.

    Its forecasts are stored beside the champion's by podium predict --store and run --refresh, and
    never served. Who asked for it, when and why is on record.
    """
    from podium.steps.serving.shadow import shadow

    with cli.opened() as project:
        found = shadow(project, slot, candidate, end=end, reason=reason)
    told = vars(found)
    cli.out.facts("shadow", {"ended": True, **told} if end else told)
    if not end:
        cli.out.hint(f"podium predict {slot} --store", f"podium check {slot}")
