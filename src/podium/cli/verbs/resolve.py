"""Serve: print the folder of a slot's champion, its hash checked."""

from __future__ import annotations

import click


@click.command()
@click.argument("slot")
@click.option("--json", "as_json", is_flag=True, help="Every fact instead of the path.")
@click.option(
    "--project",
    "folder",
    help="Folder in or below the project.  [default: PODIUM_PROJECT, else here]",
)
def command(slot: str, as_json: bool, folder: str | None) -> None:
    """Print where the champion of SLOT lies. Ends with 3 when nobody holds it."""
    from podium import resolve

    place = ["--project", folder] if folder else []
    resolve.main([slot, *place, *(["--json"] if as_json else [])])
