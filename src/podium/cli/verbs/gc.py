"""Start: remove kept models that are not needed any more, and strays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

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
@click.option("--keep-best", type=click.IntRange(min=1), help="So many best of each group stay.")
@click.option("--older-than", metavar="AGE", help="Only what ended longer ago: 30d, 12h, 2w.")
@click.option("--max-size", metavar="SIZE", help="Only until all models fit into it: 5GiB.")
@click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.common
def command(
    cli: CliContext,
    keep_best: int | None,
    older_than: str | None,
    max_size: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove models of trials by rank, age and size, and what nothing refers to.

    A model goes when every rule that is given lets it go; without a rule only strays go. What a
    candidate, evidence, or a file such as models/active_model.txt refers to always stays, and so
    does the best of each group, that is of the trials judged on the same data, task, split and
    metric. The record keeps every trial with its figures and notes that its model was removed.
    """
    from podium.steps.archive.gc import GcRules, collect, plan

    out = cli.out
    rules = GcRules(keep_best, seconds_of(older_than, "--older-than"), bytes_of(max_size))
    with cli.opened() as project:
        found = plan(project, rules)
        if dry_run or not found.removals:
            _show(out, found, "would go")
            return
        if not yes:
            if out.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise UsageError(
                    f"{len(found.removals)} folders would be removed and nobody can be asked here",
                    "--yes",
                    "look first: podium gc --dry-run with the same rules",
                )
            _show(out, found, "would go")
            if not click.confirm(f"Remove {len(found.removals)} folders?", err=True):
                out.say("nothing was removed")
                return
        done = collect(project, found, rules)
    if yes:
        _show(out, done, "gone")
    else:
        out.say(f"{len(done.removals)} folders removed")


def _show(out: Output, found: Plan, verb: str) -> None:
    items = [vars(removal) for removal in found.removals]
    if out.as_json:
        facts: dict[str, Any] = {"stay": found.stay, "bytes": found.bytes}
        out.answer("gc", [{"removals": items, "remarks": found.remarks, **facts}])
        return
    show_removals(out, "gc", found.removals)
    total = sum(removal.bytes for removal in found.removals)
    told = f"{len(items)} folders, {size(total)}, {verb}" if items else "nothing to remove"
    out.say(f"{told}; {found.stay} models, {size(found.bytes)}, stay")
    for remark in found.remarks:
        out.say(remark)
