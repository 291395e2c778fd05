"""Judge: score and trade the candidate on the sealed test, with costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@click.option("--model-path", help="Any path into a kept model's folder.")
@click.option("--fee-bps", type=float, help="Fee in basis points of traded value.")
@options.mlflow
@options.common
def command(
    slot: str | None,
    model_path: str | None,
    fee_bps: float | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
    mlflow: dict[str, Any],
) -> None:
    """Judge SLOT's candidate on its sealed test. Each candidate judged counts as a look at it.

    That is the one its finished search leads to, else the active model of its grids.
    """
    from podium.resolve import find_model
    from podium.steps.backtest import backtest

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out, backtest__fee_bps=fee_bps, **mlflow) as project:
        of_model = str(find_model(model_path).manifest["slot"]) if model_path else None
        name = project.default_slot(slot or of_model)
        with project.locked(name, "backtest"):
            found = backtest(project, name, model_path=model_path)
    out.say(f"{found.rule}: {found.candidate.id}, version {found.candidate.version} of {name}")
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
    out.hint(f"podium promote {found.candidate.id}")
