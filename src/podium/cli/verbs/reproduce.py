"""Judge: train a trial or candidate again and compare every result to the bit.

Example: podium reproduce c-62vvp3ypymqdg
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("what")
@click.option("--dry-run", is_flag=True, help="Compare environment and data; train nothing.")
@click.option("--note", is_flag=True, help="Append the result to its notes.")
@options.common
def command(cli: CliContext, what: str, dry_run: bool, note: bool) -> None:
    """Train WHAT, a trial or a candidate, again from its record, and compare every number.

    Code, packages, machine and data are compared with the record first, which does not change. Exit
    code 0: bit-equal; 4: a result differs; 7: the data, the family or the task have changed, so
    nothing was trained.
    """
    from podium.steps.archive.reproduce import reproduce, require_equal

    with cli.opened() as project:
        result = reproduce(project, what, dry_run=dry_run, note=note)
    grounds = [{**vars(ground), "same": ground.same} for ground in result.grounds]
    item = {
        "id": result.id,
        "equal": result.equal if result.findings else None,
        "sentence": result.sentence,
        "grounds": grounds,
        "data": result.data,
        "problems": [str(problem) for problem in result.problems],
        "findings": [vars(finding) for finding in result.findings],
    }
    out = cli.out
    out.result("reproduction", result, [item])
    if not out.as_json:
        changed = [ground for ground in grounds if not ground["same"]]
        if changed:
            print()
            out.answer("grounds", changed, ["what", "recorded", "now"])
        else:
            print(f"\ncode, packages and machine are as recorded ({len(grounds)} facts)")
        if result.data:
            print(f"{result.data}, as recorded")
    require_equal(result)
