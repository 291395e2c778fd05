"""Ship: make the previous champion champion again; the record keeps who decided and why.

Example: podium rollback us4/D/return --reason 'errors have grown'
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.slot
@click.option("--reason", required=True, help="Recorded with the decision.")
@click.option(
    "--artifact", "artifact_hash", default="", help="First digits of the expected artefact's hash."
)
@options.common
def command(cli: CliContext, slot: str | None, reason: str, artifact_hash: str) -> None:
    """Make the previous champion of SLOT (or the default one) champion again.

    No gate runs; the artefact's bytes are checked against the record. A second rollback restores
    the first champion; with --artifact the same command again changes nothing. Ends with 6 if the
    champion changed meanwhile.
    """
    from podium.steps.decisions.rollback import rollback

    with cli.opened() as project:
        result = rollback(project, slot, reason=reason, artifact_hash=artifact_hash)
    cli.out.result("rollback", result)
    cli.out.hint(f"podium show {result.candidate.slot} --history")
