"""Start: import runs of other tools, or a bundle of another project.

Example: podium import sweep_results.json --slot us4/D/return --dry-run
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import Output
from podium.errors import UsageError
from podium.record import lower_is_better

if TYPE_CHECKING:
    from podium.steps.archive.import_ import Import

SHOWN = 20


@click.command()
@click.argument("place", metavar="FILE_OR_URL")
@click.option("--as", "importer", help="Format: podium list importers, or bundle.")
@click.option("--slot", help="Slot that the configs count for.  [default: the default slot]")
@click.option("--study", help="Only this study of an Optuna storage.")
@click.option("--experiment", help="Only this experiment of an MLflow store.")
@click.option(
    "--trust-pickle",
    is_flag=True,
    help="Load an Optuna pickle, which runs its author's code; accept those of a bundle, unopened.",
)
@click.option("--dry-run", is_flag=True, help="Show what is new; write nothing.")
@options.common
def command(cli: CliContext, place: str, dry_run: bool, **chosen: Any) -> None:
    """Import FILE_OR_URL: new runs are written, and importing them again adds nothing.

    A sweep_results.json, an experiments_log.jsonl, an Optuna journal, database or pickle, an
    MLflow database or server, or a bundle of podium export.
    """
    from podium.steps.archive.import_ import import_

    out = cli.out
    with cli.opened() as project:
        result = import_(project, place, dry_run=dry_run, **chosen)
        declared = project.config.metrics
    if dry_run:
        out.say("dry run: nothing was written")
    if result.bundle is not None:
        _show_bundle(out, result)
        if result.bundle.put.added["candidate"] and not dry_run:
            out.hint("podium list candidates")
        return
    items = [
        {
            "source": group.source,
            "read by": result.importer,
            "slot": result.slot or None,
            "new": group.new,
            "known before": group.known,
            "left out": len(group.problems),
            **({"why left out": group.problems} if out.as_json else {}),
        }
        for group in result.groups
    ]
    out.answer("imports", items)
    problems = [problem for group in result.groups for problem in group.problems]
    for problem in problems[:SHOWN]:
        out.say(problem)
    if len(problems) > SHOWN:
        out.say(f"... and {len(problems) - SHOWN} more; --json lists all")
    metrics = sorted({name for group in result.groups for name in group.metrics})
    ways = {name: way for group in result.groups for name, way in group.directions.items()}
    for name in metrics:
        if not _has_direction(name, declared):
            way = f'"{ways[name]}"' if name in ways else '"min"  (or "max")'
            out.say(f"to rank by {name}, add to podium.toml:  [metrics]  {name} = {way}")
    if any(group.new for group in result.groups) and metrics and not dry_run:
        out.hint(f"podium list trials --sort {metrics[0]} --limit 5")


def _show_bundle(out: Output, result: Import) -> None:
    from podium.steps.archive.bundle import COUNTED

    imported = result.bundle
    assert imported is not None
    put = imported.put
    facts = {
        "from": imported.origin,
        **{f"new: {kind}": put.added[kind] for kind in COUNTED},
        "new: artefact": imported.artifacts,
        **{f"known before: {kind}": put.known[kind] for kind in COUNTED[:3]},
    }
    out.facts("import", facts)
    for before, after in put.renamed:
        out.say(f"{before} exists here; the imported one is {after}")
    for slot in imported.undeclared:
        out.say(
            f"podium.toml declares no slot '{slot}'; its candidates are on record, and can be "
            "promoted once it does"
        )
    if put.added["candidate"]:
        out.say(
            "candidates are in stage development; decisions of the other project are not imported"
        )


def _has_direction(metric: str, declared: Mapping[str, str]) -> bool:
    try:
        lower_is_better(metric, declared)
    except UsageError:
        return False
    return True
