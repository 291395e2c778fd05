"""Judge: add a note to a trial, a candidate or any other id.

Example: podium note c-62vvp3ypymqdg 'worst in the crash of 2008'
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("name", metavar="ID")
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
@options.common
def command(cli: CliContext, name: str, words: tuple[str, ...]) -> None:
    """Append TEXT, with the date and your name, to the notes of ID.

    ID is any id or run id; its beginning is enough. Notes are never changed or removed; podium
    show, trackers and hyperparams/sweep_results.json have them.
    """
    from podium.ledger.notes import note_line
    from podium.render.table import cell
    from podium.steps.archive.note import note

    with cli.opened() as project:
        found = note(project, name, " ".join(words))
    if cli.out.as_json:
        cli.out.answer("note", [vars(found)])
        return
    cli.out.write(f"{found.name}  {cell(note_line(vars(found)))}")
    cli.out.hint(f"podium show {found.name}")
