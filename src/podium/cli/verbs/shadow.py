"""Serve: store forecasts of a challenger beside the champion's; podium check compares them.

Example: podium shadow us4/D/return c-62vvp3ypymqdg --reason 'lower error'
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("slot")
@click.argument("candidate", required=False)
@click.option("--end", is_flag=True, help="End the shadow.")
@click.option("--reason", default="", help="Reason for the record.")
@options.common
def command(cli: CliContext, slot: str, candidate: str | None, end: bool, reason: str) -> None:
    """Make CANDIDATE the shadow of SLOT; without it, show the shadow.

    podium predict --store and podium run --refresh store its forecasts beside the champion's; they
    are not served. The record has the actor, the time and the reason.
    """
    from podium.steps.serving.shadow import shadow

    with cli.opened() as project:
        facts = vars(shadow(project, slot, candidate, end=end, reason=reason))
    cli.out.facts("shadow", {"ended": True, **facts} if end else facts)
    if not end:
        cli.out.hint(f"podium predict {slot} --store", f"podium check {slot}")
