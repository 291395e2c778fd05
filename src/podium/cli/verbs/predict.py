"""Serve: forecast the newest bar with a slot's champion."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@click.option("--candidate", help="A candidate's id instead of the champion.")
@click.option("--bars", type=int, default=1, show_default=True, help="How many newest bars.")
@options.common
def command(
    slot: str | None,
    candidate: str | None,
    bars: int,
    folder: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Forecast the newest bars of SLOT's data."""
    from podium.steps.predict import predict

    out = Output(as_json=as_json, quiet=quiet)
    with options.opened(folder, out) as project:
        found = predict(project, project.default_slot(slot), candidate=candidate, bars=bars)
    out.say(f"{found.rule}: {found.forecasts_what}")
    out.answer("predictions", found.rows())
