"""Start: take in runs of other tools, or a bundle of another project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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
@click.option("--as", "importer", help="Read it as this: podium list importers, or bundle.")
@click.option("--slot", help="Whose searches the configs count for.  [default: the default slot]")
@click.option("--study", help="Only this study of an Optuna storage.")
@click.option("--experiment", help="Only this experiment of an MLflow store.")
@click.option(
    "--trust-pickle",
    is_flag=True,
    help="Load an Optuna pickle, which runs its author's code; keep those of a bundle, unopened.",
)
@click.option("--dry-run", is_flag=True, help="Say what is new in it; write nothing.")
@options.common
def command(
    cli: CliContext,
    place: str,
    importer: str | None,
    slot: str | None,
    study: str | None,
    experiment: str | None,
    trust_pickle: bool,
    dry_run: bool,
) -> None:
    """Take in what FILE_OR_URL holds: what is new is written, the same again adds nothing.

    A sweep_results.json, an experiments_log.jsonl, an Optuna journal, database or pickle, an
    MLflow database or server, or a bundle of podium export.
    """
    from podium.steps.archive.import_ import import_

    out = cli.out
    with cli.opened() as project:
        found = import_(
            project,
            place,
            importer=importer,
            slot=slot,
            dry_run=dry_run,
            study=study,
            experiment=experiment,
            trust_pickle=trust_pickle,
        )
        declared = project.config.metrics
    if dry_run:
        out.say("nothing was written; without --dry-run this would be")
    if found.bundle is not None:
        _tell_bundle(out, found)
        if found.bundle.put.added["candidate"] and not dry_run:
            out.hint("podium list candidates")
        return
    out.answer(
        "imports",
        [
            {
                "source": group.source,
                "read by": found.importer,
                "slot": found.slot or None,
                "new": group.new,
                "known before": group.known,
                "left out": len(group.problems),
                **({"why left out": group.problems} if out.as_json else {}),
            }
            for group in found.groups
        ],
    )
    problems = [problem for group in found.groups for problem in group.problems]
    for problem in problems[:SHOWN]:
        out.say(problem)
    if len(problems) > SHOWN:
        out.say(f"... and {len(problems) - SHOWN} more; --json has all of them")
    metrics = sorted({name for group in found.groups for name in group.metrics})
    told = {name: way for group in found.groups for name, way in group.directions.items()}
    for name in metrics:
        if not _has_direction(name, declared):
            way = f'"{told[name]}"' if name in told else '"min"  (or "max")'
            out.say(f"to rank by {name}, add to podium.toml:  [metrics]  {name} = {way}")
    if any(group.new for group in found.groups) and metrics and not dry_run:
        out.hint(f"podium list trials --sort {metrics[0]} --limit 5")


def _tell_bundle(out: Output, found: Import) -> None:
    from podium.steps.archive.bundle import COUNTED

    taken = found.bundle
    assert taken is not None
    put = taken.put
    facts = {
        "from": taken.origin,
        **{f"new: {kind}": put.added[kind] for kind in COUNTED},
        "new: artefact": taken.artifacts,
        **{f"known before: {kind}": put.known[kind] for kind in COUNTED[:3]},
    }
    out.facts("import", facts)
    for before, after in put.renamed:
        out.say(f"{before} is taken here; it is now {after}")
    for slot in taken.undeclared:
        out.say(
            f"podium.toml declares no slot '{slot}': what is for it is on record, and can be "
            "promoted once it does"
        )
    if put.added["candidate"]:
        out.say(
            "candidates come in stage development; decisions of the other project were not taken "
            "over"
        )


def _has_direction(metric: str, declared: Mapping[str, str]) -> bool:
    try:
        lower_is_better(metric, declared)
    except UsageError:
        return False
    return True
