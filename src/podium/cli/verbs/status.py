"""Search: what is running, how far it is, the best so far, the time left."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output
from podium.config import find_root
from podium.report.table import duration


@click.command()
@options.common
def command(folder: Path, as_json: bool, quiet: bool) -> None:
    """Steps at work on this project, here or on another machine that shares its folder."""
    from podium.steps.archive.status import status

    out = Output(as_json=as_json, quiet=quiet)
    found = status(find_root(folder))
    if not found and not as_json:
        print("nothing is running")
        return
    if as_json:
        out.answer("running", found)
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
    out.answer("running", items)
