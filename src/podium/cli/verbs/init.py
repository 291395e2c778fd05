"""Start: create a project; --demo adds real data and two slots."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli.output import Output


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True, help="Daily bars of four US stocks and two slots.")
@click.option("--quiet", "-q", is_flag=True, help="No hints.")
def command(folder: Path, demo: bool, quiet: bool) -> None:
    """Create a project in FOLDER: podium.toml, and with --demo its data.

    An existing podium.toml is left alone (exit code 6).
    """
    from podium.steps.init import init

    out = Output(quiet=quiet)
    print(init(folder, demo=demo))
    out.hint(f"cd {folder}", "podium run" if demo else "edit podium.toml, then: podium run")
