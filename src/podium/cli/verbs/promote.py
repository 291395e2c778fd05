"""Ship: ask for a stage; gates decide, and the record keeps why."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@click.argument("what")
@click.option(
    "--to",
    "--target-stage",
    "to",
    default="champion",
    show_default=True,
    help="beta, champion, development or archived.",
)
@click.option("--reason", default="", help="Why; kept with the decision.")
@options.common
def command(what: str, to: str, reason: str, folder: Path, as_json: bool, quiet: bool) -> None:
    """Ask for a stage for WHAT, a candidate's id or a slot (its newest candidate).

    A refusal ends with exit code 4 and is on record with every gate's finding.
    """
    from podium.steps.promote import newest, promote, require_promoted

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out) as project:
        candidate = newest(project, what)
        with project.locked(candidate["slot"], "promote"):
            found = promote(project, candidate["id"], to=to, reason=reason)
        section = project.config.slots.get(candidate["slot"])
        classifies = section is not None and section.task == "classify"
    items = [
        {"gate": v.gate, "result": v.result, "finding": v.finding, "limits": v.limits}
        for v in found.verdicts
    ]
    out.answer("verdicts", items, ["gate", "result", "finding"])
    require_promoted(found)
    out.say(found.sentence)
    samples = " --data FILE.npz" if classifies else ""
    out.hint(f"podium predict {found.candidate.slot}{samples}")
