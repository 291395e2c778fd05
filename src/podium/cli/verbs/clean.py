"""Start: remove intermediate results by rule; shows what would go until --yes is given."""

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
    help="Of checkpoints of a search (each family) and of extended models so many best stay.",
)
@click.option(
    "--older-than", metavar="AGE", help="Results kept under an id, written longer ago: 30d, 12h."
)
@click.option("--dry-run", is_flag=True, help="Show what would go, also with --yes.")
@click.option("--yes", is_flag=True, help="Remove it.")
@options.common
def command(
    cli: CliContext, keep_best: int | None, older_than: str | None, dry_run: bool, yes: bool
) -> None:
    """Remove what steps left on the way, and show its size first.

    Without a rule that is what nobody can go on with: states of dead trials, left-overs of stopped
    steps, logs beyond [logs] of podium.toml. Each rule adds to it. Never what candidates, evidence,
    a champion's history or the active model need, nor anything of a step at work. Models of the
    store that no rule of this verb is about are removed by podium gc.
    """
    from podium.steps.archive.clean import CleanRules, clean, plan

    rules = CleanRules(keep_best, seconds_of(older_than, "--older-than"))
    with cli.opened() as project:
        found = plan(project, rules)
        goes = yes and not dry_run and bool(found.removals)
        if goes:
            found = clean(project, found, rules)
    verb = "gone" if goes else "would go"
    total = sum(removal.bytes for removal in found.removals)
    items = [vars(removal) for removal in found.removals]
    if cli.out.as_json:
        cli.out.answer("clean", [{"removals": items, "bytes": total, "removed": goes}])
    else:
        show_removals(cli.out, "clean", found.removals)
    cli.out.say(f"{len(items)}, {size(total)}, {verb}" if items else "nothing to remove")
    if items and not goes:
        given = f" --keep-best {keep_best}" if keep_best else ""
        given += f" --older-than {older_than}" if older_than else ""
        cli.out.hint(f"podium clean{given} --yes")
