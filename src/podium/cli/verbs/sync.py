"""Search: update users' files and MLflow from the record.

Example: podium sync --check
"""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext

MISSING, FAULT = 4, 7


@click.command()
@click.option("--check", is_flag=True, help="Compare and change nothing.")
@click.option("--repair", is_flag=True, help="Send runs again that are gone from MLflow.")
@click.option(
    "--forget", metavar="STORE", help="Drop what waits for a store: 'sqlite:///old.db demo'."
)
@options.mlflow
@options.common
def command(cli: CliContext, check: bool, repair: bool, forget: str | None) -> int:
    """Write users' files from the record, and send waiting items to MLflow.

    Refused items are sent again, and changed tags, versions and aliases of candidates are restored.
    Exit code 7 when MLflow does not answer or refuses an item, which stays in the record; with
    --check 4 when something waits, is missing or differs. --forget only drops what waits for a
    store that no longer exists, named with its experiment as in the messages.
    """
    from podium.steps.workspace import sync as step

    if forget is not None:
        with cli.opened() as project:
            step.forget(project, forget)
        cli.out.facts("sync", {"forgotten": forget})
        return 0
    with cli.opened() as project:
        result = step.check(project) if check else step.sync(project, repair=repair)
        elsewhere = step.elsewhere(project, result.target)
    facts: dict[str, Any] = {} if check else {"files": result.files or "up to date"}
    if result.target is None:
        facts["mlflow"] = "off"
    else:
        facts |= {"mlflow": result.target.shown, "experiment": result.target.experiment}
        facts |= {} if check else {"sent": result.sent}
        facts |= {"waiting": result.waiting, "refused": len(result.refused)}
        if check:
            facts |= {"missing": len(result.missing), "differing": len(result.differing)}
    cli.out.facts("sync", facts)
    messages = [f"refused: {refused}" for refused in result.refused]
    messages += [f"missing: {missing}" for missing in result.missing]
    for candidate, differences in result.differing.items():
        messages += [f"differs: {candidate}: {difference}" for difference in differences]
    messages += [*elsewhere, *([f"podium: {result.stopped}"] if result.stopped else [])]
    for message in messages:
        cli.out.say(message)
    if result.missing:
        cli.out.hint("podium sync --repair")
    elif check and not result.is_whole:
        cli.out.hint("podium sync")
    if result.is_whole:
        return 0
    return MISSING if check else FAULT
