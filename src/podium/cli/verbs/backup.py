"""Start: pack the record and its artefacts into one file.

Example: podium backup ../demo.tar.gz
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("destination", type=options.PATH)
@options.common
def command(cli: CliContext, destination: Path) -> None:
    """Write podium.toml, the record, its artefacts and plugins/ into DESTINATION (.tar, .tar.gz).

    Running steps are not disturbed. Bars are not included.
    """
    from podium.steps.archive.backup import backup

    with cli.opened() as project:
        result = backup(project, destination)
    facts = {"artefacts": result.artifacts, "plugin_files": result.plugins, "bytes": result.bytes}
    cli.out.facts("backup", {"backup": str(result.path), **facts})
    cli.out.hint(f"podium restore {result.path} FOLDER")
