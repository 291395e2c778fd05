"""Search: list running steps with their progress, best score and time left.

Example: podium status
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.render.table import counted, duration


@click.command()
@options.common
def command(cli: CliContext) -> None:
    """List steps that run on this project, here or on another machine that shares its folder."""
    from podium.steps.archive.status import status

    steps = status(cli.root)
    if cli.out.as_json:
        cli.out.answer("running", steps)
        return
    if not steps:
        print("nothing is running")
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
        for facts in steps
    ]
    cli.out.lead(f"{counted(len(steps), 'step')} running\n")
    columns = [name for name in items[0] if any(item[name] not in ("", None, []) for item in items)]
    cli.out.answer("running", items, columns)
