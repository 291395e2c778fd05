"""Start: export trials as lines, a table, Optuna studies, or a bundle with their models.

Example: podium export --format csv --to trials.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.errors import UsageError

FORMATS = ("jsonl", "sweep", "csv", "optuna-journal", "optuna-sqlite")


@click.command()
@click.argument("ids", nargs=-1)
@click.option("--to", type=options.PATH, help="New file.  [default: stdout]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="sweep: the tracker's sweep_results.json.  [default: jsonl]",
)
@click.option(
    "--bundle", type=options.PATH, help="New .tar or .tar.gz for podium import in another project."
)
@options.common
def command(
    cli: CliContext, ids: tuple[str, ...], to: Path | None, form: str | None, bundle: Path | None
) -> None:
    """Export the studies, trials and candidates with these IDS, or everything.

    A bundle has scores, curves, notes, models and evidence; with a candidate it has its ancestors
    and every trial of the studies it was chosen from.
    """
    out = cli.out
    if bundle is not None:
        if to or form:
            raise UsageError("--bundle is given with --to or --format", "one of them")
        _bundle(cli, bundle, ids)
        return
    if form == "optuna-sqlite" and to is None:
        raise UsageError("a database cannot be printed", "--format optuna-sqlite with --to FILE")
    from podium.steps.archive import export

    with cli.opened() as project:
        result = export.export(project, form or "jsonl", ids)
        if to is not None:
            export.write(to, result)
    for each in result.left:
        out.say(f"left out: {each}")
    if to is None:
        sys.stdout.write(result.content.decode())
        return
    out.facts("export", {"file": str(to), "trials": result.trials, "bytes": len(result.content)})


def _bundle(cli: CliContext, path: Path, ids: tuple[str, ...]) -> None:
    from podium.steps.archive import bundle as bundles

    with cli.opened() as project:
        result = bundles.write(project, path, ids)
    for each in result.left:
        cli.out.say(f"left out: {each}")
    counts = {kind: result.counts[kind] for kind in bundles.COUNTED}
    facts = {**counts, "artefact": result.artifacts, "bytes": result.bytes}
    cli.out.facts("bundle", {"bundle": str(result.path), **facts})
    cli.out.hint(f"podium import {result.path} --project OTHER")
