"""Search: bring the files beside the record, and MLflow, up to it."""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext

MISSING, FAULT = 4, 7


@click.command()
@click.option("--check", is_flag=True, help="Only tell what waits, and what is missing or differs.")
@click.option("--repair", is_flag=True, help="Send again what MLflow has lost.")
@options.mlflow
@options.common
def command(cli: CliContext, check: bool, repair: bool) -> int:
    """Write the files that are read beside the record, and send to MLflow what it lacks.

    What MLflow refused before is tried again, and what somebody changed of a candidate's tags,
    version or alias is set right. Ends with 7 when MLflow does not answer or refuses something
    (nothing is lost; the same command goes on), and --check with 4 when something waits, is missing
    or differs.
    """
    from podium.steps.workspace import sync as step

    with cli.opened() as project:
        found = step.check(project) if check else step.sync(project, repair=repair)
        elsewhere = step.elsewhere(project, found.target)
    facts: dict[str, Any] = {} if check else {"files": found.files or "up to date"}
    if found.target is None:
        facts["mlflow"] = "off"
    else:
        facts |= {"mlflow": found.target.shown, "experiment": found.target.experiment}
        facts |= {} if check else {"sent": found.sent}
        facts |= {"waiting": found.waiting, "refused": len(found.refused)}
        if check:
            facts |= {"missing": len(found.missing), "differing": len(found.differing)}
    cli.out.facts("sync", facts)
    for refused in found.refused:
        cli.out.say(f"refused: {refused}")
    for missing in found.missing:
        cli.out.say(f"missing: {missing}")
    for candidate, words in found.differing.items():
        for told in words:
            cli.out.say(f"differs: {candidate}: {told}")
    for other in elsewhere:
        cli.out.say(other)
    if found.stopped:
        cli.out.say(f"podium: {found.stopped}")
    if found.missing:
        cli.out.hint("podium sync --repair")
    elif check and not found.is_whole:
        cli.out.hint("podium sync")
    if found.is_whole:
        return 0
    return MISSING if check else FAULT
