"""Ship: put your name to an evaluation that you have looked at."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@click.argument("what")
@click.option("--reason", required=True, help="What you saw, and why it will do; kept.")
@options.common
def command(what: str, reason: str, folder: Path, as_json: bool, quiet: bool) -> None:
    """Sign the newest evaluation of WHAT, a candidate's id or a slot (its newest candidate).

    Who signs is PODIUM_ACTOR, else your login name. The signature names the very bundle that lies
    there; a model that is evaluated again is signed again.
    """
    from podium.steps.promote import newest
    from podium.steps.sign import sign

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out) as project:
        candidate = newest(project, what)
        with project.locked(candidate["slot"], "sign"):
            found = sign(project, candidate["id"], reason)
    out.facts(
        "signature",
        {
            "candidate": found.candidate_id,
            "signer": found.notes["signer"],
            "reason": found.notes["reason"],
            "bundle": found.notes["bundle"][:12],
        },
    )
    out.hint(f"podium promote {found.candidate_id}")
