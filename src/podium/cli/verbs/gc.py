"""Start: remove models of trials by rank, age and size, and files without an owner.

Example: podium gc --keep-best 5 --older-than 30d --dry-run
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import Output
from podium.cli.verbs._amounts import bytes_of, show_removals
from podium.errors import UsageError
from podium.render.table import size
from podium.sections import seconds_of

if TYPE_CHECKING:
    from podium.steps.archive.gc import Plan


@click.command()
@click.option("--keep-best", type=click.IntRange(min=1), help="Best models of each group to keep.")
@click.option("--older-than", metavar="AGE", help="Only of trials that ended before: 30d, 12h, 2w.")
@click.option("--max-size", metavar="SIZE", help="Only until all models fit into this size: 5GiB.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed; remove nothing.")
@click.option("--yes", is_flag=True, help="Remove without a prompt.")
@options.common
def command(
    cli: CliContext,
    keep_best: int | None,
    older_than: str | None,
    max_size: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove models of trials by rank, age and size, and files that nothing refers to.

    A model is removed when it meets every given rule; without a rule only files without an owner
    are. Models that a candidate, evidence, or a file such as models/active_model.txt refers to
    stay, and so does the best of each group: trials judged on the same data, task, split and
    metric. The record keeps every trial with its figures, and notes that its model was removed.
    """
    from podium.steps.archive.gc import GcRules, collect, plan

    out = cli.out
    rules = GcRules(keep_best, seconds_of(older_than, "--older-than"), bytes_of(max_size))
    with cli.opened() as project:
        planned = plan(project, rules)
        if dry_run or not planned.removals:
            _show(out, planned, "would be removed")
            return
        if not yes:
            if out.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise UsageError(
                    f"{len(planned.removals)} folders would be removed, and there is no terminal "
                    "to confirm it",
                    "--yes",
                    "to list them: podium gc --dry-run with the same rules",
                )
            _show(out, planned, "would be removed")
            if not click.confirm(f"Remove {len(planned.removals)} folders?", err=True):
                out.say("nothing was removed")
                return
        done = collect(project, planned, rules)
    if yes:
        _show(out, done, "removed")
    else:
        out.say(f"{len(done.removals)} folders removed")


def _show(out: Output, result: Plan, verb: str) -> None:
    items = [vars(removal) for removal in result.removals]
    folders = (
        f"{len(items)} folders, {size(result.freed)}, {verb}" if items else "nothing to remove"
    )
    out.lead(f"{folders}; {result.stay} models, {size(result.bytes)}, stay")
    if out.as_json:
        out.answer("gc", [{**vars(result), "removals": items}])
        return
    show_removals(out, "gc", result.removals)
    for remark in result.remarks:
        out.say(remark)
