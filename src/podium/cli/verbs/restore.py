"""Start: unpack a backup into a new project, every hash checked.

Example: podium restore demo.tar.gz restored
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@click.argument("source", type=options.PATH)
@click.argument("folder", type=options.PATH)
@options.loudness
def command(source: Path, folder: Path, quiet: bool) -> None:
    """Unpack the project of the backup SOURCE in FOLDER, which must be new or empty."""
    from podium.plugin import FOLDER
    from podium.steps.archive.restore import restore

    out = Output(quiet=quiet)
    print(restore(source, folder))
    if (folder / FOLDER).is_dir():
        out.say(f"{FOLDER}/ has code that steps run: read it if the backup is from someone else")
    out.say("the bars are not in a backup: put them back before podium run")
    out.hint(f"cd {folder}", "podium list slots")
