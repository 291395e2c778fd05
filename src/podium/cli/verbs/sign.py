"""Ship: sign the evidence of a candidate, for or against it.

Example: podium sign c-62vvp3ypymqdg --approve --reason 'errors are of quiet days'
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("what")
@click.option("--approve/--reject", default=True, help="Your verdict.  [default: approve]")
@click.option("--reason", required=True, help="Why; recorded with the signature.")
@options.common
def command(cli: CliContext, what: str, approve: bool, reason: str) -> None:
    """Sign the newest evidence of WHAT, a candidate's id or a slot (its newest candidate).

    The signer is PODIUM_ACTOR, else your login name. The signature holds the hashes of the
    artefact and of the evidence; new evidence needs a new signature.
    """
    from podium.steps.decisions.sign import sign

    with cli.opened() as project:
        signature = sign(project, what, reason, approve=approve)
    notes = signature.notes
    verdict = {"approve": "approved", "reject": "rejected"}[notes["verdict"]]
    cli.out.lead(f"{signature.candidate_id} is {verdict} by {notes['signer']}")
    item = {
        "candidate": signature.candidate_id,
        **{name: notes[name] for name in ("signer", "verdict", "reason")},
        "artifact": signature.artifact_hash[:12],
        "findings": notes["seen"][:12],
    }
    cli.out.facts("signature", item)
    cli.out.hint(f"podium promote {signature.candidate_id}")
