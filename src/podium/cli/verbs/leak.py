"""Judge: test a family, feature, splitter, signal, target or file for look-ahead leaks.

Example: podium leak features/log_return --slot us4/D/return
"""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.errors import Problem, RefusedError

COLUMNS = ("what", "kind", "past", "future", "bar", "time", "column", "how")


@click.command()
@click.argument("what")
@click.option("--slot", help="Slot whose bars are used.  [default: the project's]")
@click.option("--at", type=int, help="Last bar of the past.  [default: one a seed]")
@click.option("--seeds", type=int, default=3, help="Number of random changes.  [default: 3]")
@options.common
def command(cli: CliContext, what: str, slot: str | None, at: int | None, seeds: int) -> None:
    """Probe WHAT: a family, feature, splitter, signal or target by name, or a FILE.py.

    The output must change when the past changes, else the probe is blind (exit code 7). It must not
    change by a bit up to a bar when only later bars change, else the first bar and column with a
    leak are named (exit code 4). A name of several kinds needs its kind: features/log_return. The
    probe uses the slot's bars before its test, outside of a project synthetic bars.
    """
    from podium.steps.evidence.leak import leak

    if slot is None and cli.config_if_any is None:
        probes = leak(None, what, at=at, seeds=seeds)
    else:
        with cli.opened() as project:
            probes = leak(project, what, slot=slot, at=at, seeds=seeds)
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
        for one in probes
    ]
    leaking = sum(one.leak is not None for one in probes)
    cli.out.lead(f"Members that depend on the future: {leaking} of {len(probes)}\n")
    if len(items) == 1 and not cli.out.as_json:
        cli.out.facts("leaks", {k: v for k, v in items[0].items() if v not in (None, "", [])})
    else:
        cli.out.answer("leaks", items, COLUMNS)
    leaks = [
        Problem(
            f"{one.what} ({one.kind}) depends on the future: bar {one.leak.bar}"
            f"{f' ({one.time})' if one.time else ''}, {one.column}: {one.leak.how}",
            "output that does not change when only later bars change",
        )
        for one in probes
        if one.leak
    ]
    RefusedError.raise_for(leaks)
