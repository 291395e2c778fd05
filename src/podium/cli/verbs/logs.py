"""Search: what commands on slots did, from their logs; follow one that is at work."""

from __future__ import annotations

import json

import click

from podium.cli import options
from podium.cli.main import INTERRUPTED
from podium.cli.options import CliContext
from podium.errors import UsageError
from podium.render.table import duration


@click.command()
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until that command ends.")
@click.option("--step", "steps", multiple=True, help="Only of this step: tune, baseline, extend.")
@click.option("--trial", "trials", multiple=True, help="Only of this trial; how its id begins.")
@options.common
def command(
    cli: CliContext, id_: str | None, follow: bool, steps: tuple[str, ...], trials: tuple[str, ...]
) -> int:
    """List all logs, or print the one whose ID begins so; ``last`` is the newest.

    A line is TIME STEP SLOT TRIAL TEXT, and what belongs to a text of several lines has the same
    head, so grep finds all of a trial. With -f and --json each line is an object of its own.
    """
    from podium.steps.archive import logs

    root = cli.root
    if id_ is None and not (follow or steps or trials):
        found = logs.logs(root)
        if not found and not cli.out.as_json:
            print("there is no log yet")
            return 0
        items = [vars(facts) for facts in found]
        if not cli.out.as_json:
            for item in items:
                item |= {"slot": _told(item["slots"]), "took": duration(item["seconds"])}
        cli.out.answer("logs", items, ["id", "command", "slot", "began", "took", "outcome"])
        return 0
    if id_ is None and not follow:
        raise UsageError("--step and --trial read one log", "its ID, or last")
    lines = logs.read(logs.find(root, id_ or logs.LAST), follow=follow, steps=steps, trials=trials)
    if cli.out.as_json and not follow:
        cli.out.answer("log", [vars(line) for line in lines])
        return 0
    try:
        for line in lines:
            told = vars(line)
            print(json.dumps(told) if cli.out.as_json else " ".join(told.values()), flush=follow)
    except KeyboardInterrupt:
        # The usual way to leave what one follows.
        return INTERRUPTED
    return 0


def _told(slots: tuple[str, ...]) -> str:
    more = f" and {len(slots) - 1} more" if len(slots) > 1 else ""
    return f"{slots[0]}{more}" if slots else ""
