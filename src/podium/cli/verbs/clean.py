"""Start: list intermediate results to remove by rule; --yes removes them.

Example: podium clean --older-than 30d
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.verbs._amounts import show_removals
from podium.render.table import size
from podium.sections import seconds_of


@click.command()
@click.option(
    "--keep-best",
    type=click.IntRange(min=1),
    help="Number of best checkpoints of each family of a search, and of extended models, to keep.",
)
@click.option(
    "--older-than", metavar="AGE", help="Earlier results under an id, written longer ago: 30d, 12h."
)
@click.option("--dry-run", is_flag=True, help="Remove nothing, also with --yes.")
@click.option("--yes", is_flag=True, help="Remove it.")
@options.common
def command(
    cli: CliContext, keep_best: int | None, older_than: str | None, dry_run: bool, yes: bool
) -> None:
    """List intermediate results of steps with their sizes; --yes removes them.

    Without a rule: states of trials that no step continues, leftovers of stopped steps, logs beyond
    [logs] of podium.toml. Each rule adds to them. Files that candidates, evidence, a champion's
    history, the active model or a running step need always stay. podium gc removes other models of
    the store.
    """
    from podium.steps.archive.clean import CleanRules, clean, plan

    rules = CleanRules(keep_best, seconds_of(older_than, "--older-than"))
    with cli.opened() as project:
        result = plan(project, rules)
        removes = yes and not dry_run and bool(result.removals)
        if removes:
            result = clean(project, result, rules)
    verb = "removed" if removes else "would be removed"
    items = [vars(removal) for removal in result.removals]
    cli.out.lead(
        f"{len(items)} results, {size(result.freed)}, {verb}" if items else "nothing to remove"
    )
    if cli.out.as_json:
        cli.out.answer("clean", [{"removals": items, "bytes": result.freed, "removed": removes}])
    else:
        show_removals(cli.out, "clean", result.removals)
    if items and not removes:
        rules_given = f" --keep-best {keep_best}" if keep_best else ""
        rules_given += f" --older-than {older_than}" if older_than else ""
        cli.out.hint(f"podium clean{rules_given} --yes")
