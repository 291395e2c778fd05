"""Serve: let a challenger forecast beside a slot's champion; podium check compares them."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.errors import UsageError


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
    from podium.steps.serving import shadow
    from podium.steps.workspace.candidates import newest

    if end and candidate:
        raise UsageError("a candidate and --end", "one of them")
    with cli.opened() as project:
        if end:
            found = shadow.end(project, slot, reason)
        elif candidate:
            found = shadow.put(project, slot, newest(project, candidate)["id"], reason)
        else:
            found = shadow.shadow_of(project, slot)
    told = vars(found)
    cli.out.facts("shadow", {"ended": True, **told} if end else told)
    if not end:
        cli.out.hint(f"podium predict {slot} --store", f"podium check {slot}")
