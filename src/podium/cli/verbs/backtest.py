"""Judge: score and trade the candidate on the sealed test, with costs."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@click.option("--fee-bps", type=float, help="Fee in basis points of traded value.")
@options.common
def command(
    slot: str | None, fee_bps: float | None, folder: Path, as_json: bool, quiet: bool
) -> None:
    """Judge SLOT's candidate on its sealed test. Each candidate judged counts as a look at it."""
    from podium.steps.backtest import backtest

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out, backtest__fee_bps=fee_bps) as project:
        name = project.default_slot(slot)
        with project.locked(name, "backtest"):
            found = backtest(project, name)
    items = [
        {
            "evidence": evidence.kind,
            "what": what,
            "value": scalar.value,
            "unit": scalar.unit,
            "better": {"min": "lower", "max": "higher"}.get(scalar.direction, ""),
        }
        for evidence in (found.evidence["test"], found.evidence["backtest"])
        for what, scalar in evidence.scalars.items()
    ]
    out.answer("evidence", items)
    out.hint(f"podium promote {name}")
