"""Judge: does a family, feature, splitter, signal, target or file know the future?"""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.errors import Problem, RefusedError

COLUMNS = ("what", "kind", "past", "future", "bar", "time", "column", "how")


@click.command()
@click.argument("what")
@click.option("--slot", help="Whose bars to probe on.  [default: the project's]")
@click.option("--at", type=int, help="Last bar that counts as past.  [default: one a seed]")
@click.option("--seeds", type=int, default=3, help="Random rewritings.  [default: 3]")
@options.common
def command(cli: CliContext, what: str, slot: str | None, at: int | None, seeds: int) -> None:
    """Probe WHAT: a family, feature, splitter, signal or target by name, or a FILE.py.

    First the past is changed, and the output must move: else the probe is blind, exit code 7. Then
    the future is changed, and nothing up to the bar may move by a bit: else the first bar and
    column that know the future are named, exit code 4. Where several kinds have the name, put the
    kind in front: features/log_return. On the slot's bars before its test; outside of a project on
    synthetic bars.
    """
    from podium.steps.evidence.leak import leak

    if slot is None and cli.config_if_any is None:
        found = leak(None, what, at=at, seeds=seeds)
    else:
        with cli.opened() as project:
            found = leak(project, what, slot=slot, at=at, seeds=seeds)
    items: list[dict[str, Any]] = [
        {
            "what": one.what,
            "kind": one.kind,
            "data": one.data,
            "seeds": one.seeds,
            "past": one.sight,
            "blind": list(one.blind),
            "future": "leaks" if one.leak else "moves nothing",
            "bar": one.leak.bar if one.leak else None,
            "time": one.time,
            "column": one.column,
            "how": one.leak.how if one.leak else "",
        }
        for one in found
    ]
    if len(items) == 1 and not cli.out.as_json:
        cli.out.facts("leaks", {k: v for k, v in items[0].items() if v not in (None, "", [])})
    else:
        cli.out.answer("leaks", items, COLUMNS)
    leaks = [
        Problem(
            f"{one.what} ({one.kind}) knows the future: bar {one.leak.bar}"
            f"{f' ({one.time})' if one.time else ''}, {one.column}: {one.leak.how}",
            "nothing that moves when only later bars change",
        )
        for one in found
        if one.leak
    ]
    RefusedError.raise_for(leaks)
