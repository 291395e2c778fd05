"""Judge: say something about a trial, a candidate or anything else with an id."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("name", metavar="ID")
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
@options.common
def command(cli: CliContext, name: str, words: tuple[str, ...]) -> None:
    """Append TEXT, with the date and your name, to what is known about ID.

    ID is any id or run id; its beginning is enough. Notes are never changed or removed; they are
    shown by `podium show`, by trackers and in hyperparams/sweep_results.json.
    """
    from podium.ledger.notes import note_line
    from podium.steps.archive.note import note

    with cli.opened() as project:
        found = note(project, name, " ".join(words))
    if cli.out.as_json:
        cli.out.answer("note", [vars(found)])
        return
    print(f"{found.name}  {note_line(vars(found))}")
    cli.out.hint(f"podium show {found.name}")
