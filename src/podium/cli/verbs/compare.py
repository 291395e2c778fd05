"""Judge: hold candidates or trials side by side."""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--all", "whole", is_flag=True, help="What is the same, too.")
@options.common
def command(cli: CliContext, ids: tuple[str, ...], whole: bool) -> None:
    """Compare candidates, or trials, by their IDS: settings first, then figures.

    The better figure is marked with *. Figures of other data, another task or another split are
    never ranked, and it says so.
    """
    from podium.steps.decisions.compare import compare

    with cli.opened() as project:
        found = compare(project, ids)
    if cli.out.as_json:
        facts: dict[str, Any] = {**vars(found), "rows": [vars(row) for row in found.rows]}
        cli.out.answer("comparison", [facts])
        return
    columns = ["what", *found.ids]
    items = [
        {
            "what": row.what,
            **{
                name: f"{_told(value)}{' *' if number == row.best else ''}"
                for number, (name, value) in enumerate(zip(found.ids, row.values, strict=True))
            },
        }
        for row in found.rows
        if whole or row.differs
    ]
    cli.out.answer("comparison", items, columns)
    if found.sentence:
        cli.out.say(found.sentence)


def _told(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    # Hashes say no more in 64 digits than in 12.
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
