"""Serve: print the folder of a slot's champion, its hash checked.

Example: podium resolve us4/D/return
"""

from __future__ import annotations

import click


@click.command()
@click.argument("slot")
@click.option("--json", "as_json", is_flag=True, help="Print all facts as JSON.")
@click.option(
    "--project",
    "folder",
    help="Folder in or below the project.  [default: PODIUM_PROJECT, else here]",
)
def command(slot: str, as_json: bool, folder: str | None) -> None:
    """Print the folder of SLOT's champion; exit code 3 without one."""
    from podium import resolve

    place = ["--project", folder] if folder else []
    resolve.main([slot, *place, *(["--json"] if as_json else [])])
