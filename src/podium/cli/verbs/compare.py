"""Judge: compare candidates or trials side by side.

Example: podium compare c-62vvp3ypymqdg c-p649n3ct4zn2r
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--all", "whole", is_flag=True, help="Every figure, and settings that agree.")
@options.common
def command(cli: CliContext, ids: tuple[str, ...], whole: bool) -> None:
    """Compare candidates, or trials, by their IDS: settings first, then figures.

    The better figure is marked with *. Figures of other data, another task or another split are
    not ranked.
    """
    from podium.steps.decisions.compare import compare

    with cli.opened() as project:
        result = compare(project, ids)
    if cli.out.as_json:
        facts = [{"what": row.what, "values": row.values, "best": row.best} for row in result.facts]
        cli.out.answer("comparison", [{
            "kind": result.kind, "ids": result.ids, "rows": facts, "differing": result.differing,
            "sentence": result.sentence,
        }])  # fmt: skip
        return
    cli.out.lead(result.sentence)
    if rows := result.rows(every=whole):
        print()
        cli.out.answer("comparison", rows)
