"""Start: create a project; --demo adds real data and two slots.

Example: podium init demo --demo
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@click.argument("folder", type=options.PATH)
@click.option("--demo", is_flag=True, help="Daily bars of four US stocks and two slots.")
@click.option(
    "--compat",
    is_flag=True,
    help="hparams_tracker.py, src/config.py, src/model.py for old scripts.",
)
@options.loudness
def command(folder: Path, demo: bool, compat: bool, quiet: bool) -> None:
    """Create a project in FOLDER: podium.toml, and with --demo its data.

    An existing podium.toml is not changed (exit code 6). With --compat, FOLDER may be a project: it
    gets the modules that older scripts import, and no file is overwritten.
    """
    from podium.config import FILE
    from podium.steps.archive.init import init

    out = Output(quiet=quiet)
    existed = (folder / FILE).exists()
    print(init(folder, demo=demo, compat=compat, say=out.say))
    if not existed:
        out.hint(f"cd {folder}", "podium run" if demo else "podium data add NAME FILES")
