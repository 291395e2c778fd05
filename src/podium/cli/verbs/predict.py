"""Serve: forecast the newest bar, or classify samples, with a champion or the active model.

Example: podium predict us4/D/return --bars 5
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import FILE, CliContext
from podium.errors import UsageError


@click.command()
@options.slot
@click.option("--candidate", help="Id of a candidate.")
@click.option("--model-path", help="Any path into a model's folder.")
@click.option("--bars", type=int, default=1, show_default=True, help="Number of newest bars.")
@click.option("--since", default="", help="All bars since a date: 2026-03-01.")
@click.option(
    "--store",
    "storing",
    is_flag=True,
    help="Put forecasts of champion and shadow on record; see podium check SLOT.",
)
@click.option("--data", type=FILE, help="Samples to classify (.npz).")
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    bars: int,
    since: str,
    storing: bool,
    data: Path | None,
    **model: str | None,
) -> None:
    """Forecast the newest bars with SLOT's champion; without SLOT, with the grids' active model.

    With --data, classify a file's samples. Nothing is written without --store.
    """
    from podium.steps.serving.predict import classify, predict, store_forecasts

    with cli.opened() as project:
        if storing and (any(model.values()) or data):
            raise UsageError(
                "--store is given with a model or samples",
                "a slot, whose champion's forecasts are stored",
                "for forecasts of a candidate too: podium shadow SLOT CANDIDATE",
            )
        if storing:
            slot = project.default_slot(slot)
            for stored in store_forecasts(project, slot, since):
                cli.out.say(stored.sentence)
        if data is not None:
            cli.out.result("predictions", classify(project, slot, data, **model))
            return
        forecast = predict(project, slot, bars=bars, since=since, **model)
    rows = forecast.rows()
    several = len({row["decided_at"] for row in rows}) > 1
    columns = [name for name in rows[0] if several or name != "decided_at"]
    names = [name for name in rows[0] if not name.startswith("volatility")]
    items = [{name: row[name] for name in names} for row in rows]
    cli.out.result("predictions", forecast, items, columns)
