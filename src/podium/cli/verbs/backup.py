"""Start: pack the record and its artefacts into one file."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("destination", type=click.Path(path_type=Path))
@options.common
def command(cli: CliContext, destination: Path) -> None:
    """Write podium.toml, the record, its artefacts and plugins/ into DESTINATION (.tar, .tar.gz).

    A run that is at work is not disturbed. Bars are not in it.
    """
    from podium.steps.archive.backup import backup

    with cli.opened() as project:
        found = backup(project, destination)
    facts = {
        "backup": str(found.path),
        "artefacts": found.artifacts,
        "plugin_files": found.plugins,
        "bytes": found.bytes,
    }
    cli.out.facts("backup", facts)
    cli.out.hint(f"podium restore {found.path} FOLDER")
