"""Judge: train a trial or candidate again and say whether it is bit-equal."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("what")
@click.option("--dry-run", is_flag=True, help="Check what it stands on and train nothing.")
@click.option("--note", is_flag=True, help="Append what came of it to its notes.")
@options.common
def command(cli: CliContext, what: str, dry_run: bool, note: bool) -> None:
    """Train WHAT, a trial or a candidate, again from its record, and compare every number.

    Code, packages, machine and data are held against the record first. The record is not changed.
    Exit code 0: bit-equal; 4: something differs; 7: the data, the family or the task are not what
    they were, so nothing was trained.
    """
    from podium.steps.archive.reproduce import reproduce, require_equal

    with cli.opened() as project:
        found = reproduce(project, what, dry_run=dry_run, note=note)
    grounds = [{**vars(ground), "same": ground.same} for ground in found.grounds]
    findings = [vars(finding) for finding in found.findings]
    if cli.out.as_json:
        item = {
            "id": found.id,
            "equal": found.equal if findings else None,
            "sentence": found.sentence,
            "grounds": grounds,
            "data": found.data,
            "problems": [str(problem) for problem in found.problems],
            "findings": findings,
        }
        cli.out.answer("reproduction", [item])
        require_equal(found)
        return
    if changed := [ground for ground in grounds if not ground["same"]]:
        cli.out.answer("grounds", changed, ["what", "recorded", "now"])
        print()
    else:
        print(f"code, packages and machine are as recorded ({len(grounds)} facts)")
    if found.data:
        print(f"{found.data}, as recorded\n")
    if findings:
        cli.out.answer("findings", findings, ["trial", "what", "same", "told"])
        print()
    require_equal(found)
    print(found.sentence)
