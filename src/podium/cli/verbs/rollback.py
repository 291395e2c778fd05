"""Ship: put the champion before back into its slot; the record keeps who did it and why."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.slot
@click.option("--reason", required=True, help="Why; kept with the decision.")
@click.option(
    "--artifact",
    "artifact_hash",
    default="",
    help="Beginning of the hash of what is to serve again.",
)
@options.common
def command(cli: CliContext, slot: str | None, reason: str, artifact_hash: str) -> None:
    """Put back into SLOT (or the default one) whoever held it before.

    No gate is asked; the artefact's bytes are checked against the record. Rolled back twice, a
    slot is where it was; with --artifact the same command again changes nothing. Ends with 6 if
    the champion changed meanwhile.
    """
    from podium.steps.decisions.rollback import rollback

    with cli.opened() as project:
        name = project.default_slot(slot)
        found = rollback(project, name, reason=reason, artifact_hash=artifact_hash)
    facts = {
        "slot": name,
        "champion": f"{found.candidate.id} (version {found.candidate.version})",
        "artifact": found.candidate.artifact_hash,
    }
    if found.decisions:
        facts |= {
            "replaced": found.replaced.id if found.replaced else "nobody",
            "by": found.decisions[-1].actor,
            "reason": found.decisions[-1].reason,
        }
    else:
        cli.out.say(f"{found.candidate.id} had been put back before, nothing was changed")
    cli.out.facts("rollback", facts)
    cli.out.hint(f"podium show {name} --history")
