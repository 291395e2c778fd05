"""Serve: forecast the newest bar, or classify samples, with a champion or the active model."""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import FILE, CliContext
from podium.errors import UsageError


@click.command()
@options.slot
@click.option("--candidate", help="A candidate's id.")
@click.option("--model-path", help="Any path into a model's folder.")
@click.option("--bars", type=int, default=1, show_default=True, help="How many newest bars.")
@click.option("--since", default="", help="All bars since a date instead: 2026-03-01.")
@click.option(
    "--store",
    "storing",
    is_flag=True,
    help="Put what champion and shadow say of new bars on record; see podium check SLOT.",
)
@click.option("--data", type=FILE, help="Samples to classify (.npz).")
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    candidate: str | None,
    model_path: str | None,
    bars: int,
    since: str,
    storing: bool,
    data: Path | None,
) -> None:
    """Forecast the newest bars with SLOT's champion; without SLOT, with the grids' active model.

    With --data, classes of a file's samples. Which rule chose the model is told on stderr. Nothing
    is written unless --store asks for it.
    """
    from podium.steps.serving.predict import classify, predict, store_forecasts

    with cli.opened() as project:
        if storing and (candidate or model_path or data):
            raise UsageError(
                "--store is given with a model or samples",
                "a slot: what its champion says is kept",
                "to keep a candidate's beside it: podium shadow SLOT CANDIDATE",
            )
        if storing:
            slot = project.default_slot(slot)
            for stored in store_forecasts(project, slot, since):
                cli.out.say(stored.sentence)
        if data is not None:
            classes = classify(project, slot, data, candidate=candidate, model_path=model_path)
            cli.out.say(f"{classes.rule}: class and probabilities of each sample")
            cli.out.answer("predictions", classes.rows())
            return
        found = predict(
            project, slot, candidate=candidate, model_path=model_path, bars=bars, since=since
        )
    cli.out.say(f"{found.rule}: {found.forecasts_what}")
    cli.out.answer("predictions", found.rows())
