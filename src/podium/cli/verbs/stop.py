"""Search: stop running steps from another terminal.

Example: podium stop us4/D/return
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.slot
@click.option("--now", is_flag=True, help="Interrupt the running trials.")
@click.option("--wait", type=float, default=600.0, show_default=True, help="Seconds to wait.")
@options.common
def command(cli: CliContext, slot: str | None, now: bool, wait: float) -> None:
    """Stop the step of SLOT, or all running steps, like Ctrl-C.

    Running trials end first, and the same command continues later; --now is Ctrl-C twice.
    """
    from podium.errors import ConflictError
    from podium.steps.archive.status import stop

    left = stop(cli.root, slot or "", at_once=now, patience=wait, say=cli.out.say)
    if cli.out.as_json:
        cli.out.answer("running", left)
    if left:
        names = ", ".join(f"podium {facts['verb']} for {facts['slot']}" for facts in left)
        raise ConflictError(
            f"{names} still runs after {wait:g} s",
            fix="wait longer, as it stops once its running trials have ended, or use --now",
        )
