"""Ship: put your name to what was found about a candidate, for or against it."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("what")
@click.option("--approve/--reject", default=True, help="Whether it will do.  [default: approve]")
@click.option("--reason", required=True, help="What you saw, and why it will do or not; kept.")
@options.common
def command(cli: CliContext, what: str, approve: bool, reason: str) -> None:
    """Sign what was found last about WHAT, a candidate's id or a slot (its newest candidate).

    Who signs is PODIUM_ACTOR, else your login name, as asserted. The signature names the hashes of
    the artefact and of the findings; a model that is judged again is signed again.
    """
    from podium.steps.decisions.sign import sign

    with cli.opened() as project:
        found = sign(project, what, reason, approve=approve)
    cli.out.facts(
        "signature",
        {
            "candidate": found.candidate_id,
            "signer": found.notes["signer"],
            "verdict": found.notes["verdict"],
            "reason": found.notes["reason"],
            "artifact": found.artifact_hash[:12],
            "findings": found.notes["seen"][:12],
        },
    )
    cli.out.hint(f"podium promote {found.candidate_id}")
