"""Ship: move a candidate to a stage; gates decide, and the record keeps the reasons.

Example: podium promote us4/D/return
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("what", required=False)
@click.option("--slot", help="In place of WHAT.")
@click.option("--timeframe", help="In place of WHAT, if one slot has it: 1H.")
@click.option(
    "--version", "--model-version", "version", type=int, help="The slot's own.  [default: newest]"
)
@click.option(
    "--to",
    "--target-stage",
    "to",
    default="champion",
    show_default=True,
    help="beta, champion, development or archived.",
)
@click.option("--reason", default="", help="Recorded with the decision.")
@click.option("--waive", multiple=True, metavar="GATE", help="A gate that need not pass.")
@click.option("--dry-run", is_flag=True, help="Show every verdict and record nothing.")
@options.common
def command(
    cli: CliContext,
    what: str | None,
    slot: str | None,
    timeframe: str | None,
    version: int | None,
    to: str,
    reason: str,
    waive: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Move WHAT to a stage: a candidate's id, or a slot (its newest judged candidate).

    A refusal ends with exit code 4 and is recorded with every gate's finding. --waive needs
    --reason, and the record keeps both.
    """
    from podium import registry
    from podium.steps.decisions.promote import promote, require_promoted
    from podium.steps.workspace.candidates import chosen

    with cli.opened() as project, project.logged("promote"):
        candidate = chosen(
            project, what, slot=slot, timeframe=timeframe, version=version, judged=True
        )
        result = promote(project, candidate["id"], to, reason=reason, waive=waive, dry_run=dry_run)
        section = project.config.slots.get(candidate["slot"])
        classifies = section is not None and registry.holds(section.task) == "sequences"
        cli.out.result("verdicts", result, [vars(verdict) for verdict in result.verdicts])
        # Within the verb, so that its log ends with the refusal.
        require_promoted(result)
    if not dry_run and result.stage == "champion":
        samples = " --data FILE.npz" if classifies else ""
        cli.out.hint(f"podium predict {result.candidate.slot}{samples}")
