"""Judge: say something about a trial, a candidate or anything else with an id."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@click.argument("name", metavar="ID")
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
@options.common
def command(name: str, words: tuple[str, ...], folder: Path, as_json: bool, quiet: bool) -> None:
    """Append TEXT, with the date and your name, to what is known about ID.

    ID is any id or run id; its beginning is enough. Notes are never changed or removed; they are
    shown by `podium show`, by trackers and in hyperparams/sweep_results.json.
    """
    from podium.ledger.runs import told_note
    from podium.steps.archive.note import note

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out) as project:
        found = note(project, name, " ".join(words))
    if as_json:
        out.answer("note", [vars(found)])
        return
    print(f"{found.name}  {told_note(vars(found))}")
    out.hint(f"podium show {found.name}")
