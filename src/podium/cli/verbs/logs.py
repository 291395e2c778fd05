"""Search: list the logs of commands on slots, print one, or follow a running one.

Example: podium logs last --follow
"""

from __future__ import annotations

import json

import click

from podium.cli import options
from podium.cli.main import INTERRUPTED
from podium.cli.options import CliContext
from podium.cli.streams import printable
from podium.errors import UsageError
from podium.render.table import duration


@click.command()
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--follow", "-f", is_flag=True, help="Print new lines until the command ends.")
@click.option("--step", "steps", multiple=True, help="Lines of this step: tune, baseline, extend.")
@click.option(
    "--trial", "trials", multiple=True, help="Lines of this trial, by the beginning of its id."
)
@options.common
def command(
    cli: CliContext, id_: str | None, follow: bool, steps: tuple[str, ...], trials: tuple[str, ...]
) -> int:
    """List all logs, or print the one with this ID or its beginning; last is the newest.

    A line is TIME STEP SLOT TRIAL TEXT. Each line of a longer text has the same head, so grep finds
    all lines of a trial. With -f and --json each line is one object.
    """
    from podium.steps.archive import logs

    root = cli.root
    if id_ is None and not (follow or steps or trials):
        items = [vars(facts) for facts in logs.logs(root)]
        if not items and not cli.out.as_json:
            print("there is no log yet")
            return 0
        if not cli.out.as_json:
            for item in items:
                item |= {"slot": _slots(item["slots"]), "took": duration(item["seconds"])}
        cli.out.listing("logs", items, ["id", "command", "slot", "began", "took", "outcome"])
        return 0
    if id_ is None and not follow:
        raise UsageError("--step and --trial read one log", "its ID, or last")
    lines = logs.read(logs.find(root, id_ or logs.LAST), follow=follow, steps=steps, trials=trials)
    if cli.out.as_json and not follow:
        cli.out.answer("log", [vars(line) for line in lines])
        return 0
    try:
        for line in lines:
            parts = vars(line)
            text = json.dumps(parts) if cli.out.as_json else " ".join(parts.values())
            print(printable(text), flush=follow)
    except KeyboardInterrupt:
        # The usual end of following a log.
        return INTERRUPTED
    return 0


def _slots(slots: tuple[str, ...]) -> str:
    more = f" and {len(slots) - 1} more" if len(slots) > 1 else ""
    return f"{slots[0]}{more}" if slots else ""
