"""Judge: score and trade the candidate on the sealed test, with costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@options.slot
@click.option("--model-path", help="Any path into a model's folder, wherever a copy lies.")
@click.option(
    "--checkpoint",
    type=click.Choice(("best", "final")),
    help="Of the model: its best epoch, or the last one.  [default: the one that is served]",
)
@click.option("--fee-bps", type=float, help="Fee in basis points of traded value.")
@click.option("--refit-every", type=int, help="Also train it again every so many bars of the test.")
@click.option("--window", type=int, help="Bars that each refit trains on.  [default: all before]")
@click.option("--generate-signals", is_flag=True, help="Write the newest bar's target weights.")
@options.jobs
@options.mlflow
@options.common
def command(
    slot: str | None,
    model_path: str | None,
    checkpoint: str | None,
    fee_bps: float | None,
    refit_every: int | None,
    window: int | None,
    generate_signals: bool,
    jobs: int | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
    mlflow: dict[str, Any],
) -> None:
    """Judge a model of SLOT on its sealed test. Each candidate judged counts as a look at it.

    The model is the one in final_model/, else the best of extended_training_results/, of the
    search's checkpoints, or the grids' active model. Nothing is trained but the refits of
    --refit-every. Files are written to backtesting_results/.
    """
    from podium.errors import UsageError
    from podium.steps.candidates.select_model import slot_of
    from podium.steps.decisions.backtest import backtest
    from podium.steps.serving.signals import write_newest

    out = Output(as_json=as_json, quiet=quiet)
    given = {
        "backtest__fee_bps": fee_bps,
        "backtest__refit_every": refit_every,
        "backtest__refit_window": window,
        "runner__jobs": jobs,
    }
    with options.opened(folder, out, **given, **mlflow) as project:
        if window and not project.config.backtest.refit_every:
            raise UsageError(f"--window is {window} without --refit-every", "both, or neither")
        name = project.default_slot(
            slot or (slot_of(Path(model_path)) if model_path is not None else None)
        )
        with project.locked(name, "backtest"):
            found = backtest(project, name, model_path=model_path, checkpoint=checkpoint)
            written = write_newest(project, found.candidate) if generate_signals else None
    out.say(f"{found.rule}: {found.candidate.id}, version {found.candidate.version} of {name}")
    if written is not None:
        out.say(f"signals of {written.as_of} are in {written.place}")
    told = [found.evidence[kind] for kind in ("test", "backtest")]
    if project.config.backtest.refit_every:
        told.append(found.evidence["refit"])
    items = [
        {
            "evidence": evidence.kind,
            "what": what,
            "value": scalar.value,
            "unit": scalar.unit,
            "better": {"min": "lower", "max": "higher"}.get(scalar.direction, ""),
        }
        for evidence in told
        for what, scalar in evidence.scalars.items()
    ]
    out.answer("evidence", items)
    out.hint(f"podium promote {found.candidate.id}")
