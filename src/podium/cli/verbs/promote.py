"""Ship: ask for a stage; gates decide, and the record keeps why."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("what", required=False)
@click.option("--slot", help="In place of WHAT.")
@click.option("--timeframe", help="In place of WHAT, where one slot has it: 1H.")
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
@click.option("--reason", default="", help="Why; kept with the decision.")
@click.option("--waive", multiple=True, metavar="GATE", help="Let it through all the same.")
@click.option("--dry-run", is_flag=True, help="Show every verdict; nothing is put on record.")
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
    """Ask for a stage for WHAT, a candidate's id or a slot (its newest judged candidate).

    A refusal ends with exit code 4 and is on record with every gate's finding. A gate is waived
    with a reason only, and the record says so for ever.
    """
    from podium import registry
    from podium.steps.decisions.promote import promote, require_promoted
    from podium.steps.workspace.candidates import chosen

    with cli.opened() as project, project.logged("promote"):
        candidate = chosen(
            project, what, slot=slot, timeframe=timeframe, version=version, judged=True
        )
        found = promote(project, candidate["id"], to, reason=reason, waive=waive, dry_run=dry_run)
        section = project.config.slots.get(candidate["slot"])
        classifies = section is not None and registry.holds(section.task) == "sequences"
        verdicts = [vars(verdict) for verdict in found.verdicts]
        cli.out.answer("verdicts", verdicts, ["gate", "result", "finding"])
        # Within the verb, so that its log ends with the refusal.
        require_promoted(found)
    cli.out.say(found.sentence)
    if not dry_run and found.stage == "champion":
        samples = " --data FILE.npz" if classifies else ""
        cli.out.hint(f"podium predict {found.candidate.slot}{samples}")
