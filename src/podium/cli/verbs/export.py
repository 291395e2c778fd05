"""Start: hand out trials as lines, a table, Optuna's studies, or a bundle with their models."""

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
@click.option("--to", type=click.Path(path_type=Path), help="A new file.  [default: print it]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="sweep: the tracker's sweep_results.json.  [default: jsonl]",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="A new .tar or .tar.gz for podium import elsewhere.",
)
@options.common
def command(
    cli: CliContext, ids: tuple[str, ...], to: Path | None, form: str | None, bundle: Path | None
) -> None:
    """Export what IDS name (studies, trials, candidates), or everything.

    A bundle takes along scores, curves, notes, models and evidence; a candidate in it brings its
    ancestors and every trial of the studies it was chosen from.
    """
    out = cli.out
    if bundle is not None:
        if to or form:
            raise UsageError("--bundle names its own file", "no --to and no --format beside it")
        _bundle(cli, bundle, ids)
        return
    if form == "optuna-sqlite" and to is None:
        raise UsageError("a database cannot be printed", "--to FILE beside --format optuna-sqlite")
    from podium.steps.archive import export

    with cli.opened() as project:
        found = export.export(project, form or "jsonl", ids)
        if to is not None:
            export.write(to, found)
    for each in found.left:
        out.say(f"left out: {each}")
    if to is None:
        sys.stdout.write(found.content.decode())
        return
    out.facts("export", {"file": str(to), "trials": found.trials, "bytes": len(found.content)})


def _bundle(cli: CliContext, path: Path, ids: tuple[str, ...]) -> None:
    from podium.steps.archive import bundle as bundles

    with cli.opened() as project:
        found = bundles.write(project, path, ids)
    for each in found.left:
        cli.out.say(f"left out: {each}")
    counts = {kind: found.counts[kind] for kind in bundles.COUNTED}
    facts = {**counts, "artefact": found.artifacts, "bytes": found.bytes}
    cli.out.facts("bundle", {"bundle": str(found.path), **facts})
    cli.out.hint(f"podium import {found.path} --project OTHER")
