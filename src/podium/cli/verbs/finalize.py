"""Ship: train the chosen config on all but the sealed test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@click.option("--epochs", type=int, help="Most epochs.")
@options.mlflow
@options.common
def command(
    slot: str | None,
    epochs: int | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
    mlflow: dict[str, Any],
) -> None:
    """Train SLOT's chosen config and register it as a candidate in stage development."""
    from podium.steps.finalize import finalize

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out, finalize__epochs=epochs, **mlflow) as project:
        name = project.default_slot(slot)
        with project.locked(name, "finalize"):
            found = finalize(project, name)
        path = project.store / found.candidate.artifact_path
    out.facts(
        "candidate",
        {
            "candidate": found.candidate.id,
            "slot": name,
            "version": found.candidate.version,
            "config": found.candidate.config,
            "trained until": found.candidate.trained_until,
            "artefact": str(path),
            "new": found.fresh,
        },
    )
    out.hint(f"podium backtest {name}")
