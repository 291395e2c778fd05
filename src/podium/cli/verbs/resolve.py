"""Serve: print the folder of a slot's champion, its hash checked."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("slot")
@click.option("--json", "as_json", is_flag=True, help="Every fact instead of the path.")
@click.option("--project", "folder", default=".", help="Folder in or below the project.")
def command(slot: str, as_json: bool, folder: Path) -> None:
    """Print where the champion of SLOT lies. Ends with 3 when nobody holds it."""
    from podium import resolve

    resolve.main([slot, "--project", str(folder), *(["--json"] if as_json else [])])
