"""Start: pack the record and its artefacts into one file."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@click.argument("destination", type=click.Path(path_type=Path))
@options.common
def command(destination: Path, folder: Path, as_json: bool, quiet: bool) -> None:
    """Write podium.toml, the record, its artefacts and plugins/ into DESTINATION (.tar, .tar.gz).

    A run that is at work is not disturbed. Bars are not in it.
    """
    from podium.steps.archive.backup import backup

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out) as project:
        found = backup(project, destination)
    facts = {
        "backup": str(found.path),
        "artefacts": found.artifacts,
        "plugin_files": found.plugins,
        "bytes": found.bytes,
    }
    out.facts("backup", facts)
    out.hint(f"podium restore {found.path} FOLDER")
