"""Search: what is running, how far it is, the best so far, the time left."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.render.table import duration


@click.command()
@options.common
def command(cli: CliContext) -> None:
    """Steps at work on this project, here or on another machine that shares its folder."""
    from podium.steps.archive.status import status

    found = status(cli.root)
    if not found and not cli.out.as_json:
        print("nothing is running")
        return
    if cli.out.as_json:
        cli.out.answer("running", found)
        return
    items = [
        {
            "slot": facts["slot"],
            "verb": facts["verb"],
            "what": facts.get("what", ""),
            "done": f"{facts['done']}/{facts['total']}" if "done" in facts else "",
            "best": facts.get("best"),
            "failed": facts.get("failed"),
            "running": facts.get("running", []),
            "left": duration(facts["left"]) if facts.get("left") is not None else "",
            "since": facts["since"],
            "process": f"{facts['pid']} on {facts['host']}",
        }
        for facts in found
    ]
    cli.out.answer("running", items)
