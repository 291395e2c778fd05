"""Judge: score and trade the candidate on the sealed test, with costs."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting


@click.command()
@options.slot
@click.option("--model-path", help="Any path into a model's folder, wherever a copy lies.")
@click.option(
    "--checkpoint",
    type=click.Choice(("best", "final")),
    help="Of the model: its best epoch, or the last one.  [default: the one that is served]",
)
@setting("backtest.fee_bps", help="Fee in basis points of traded value.")
@setting("backtest.refit_every", help="Also train it again every so many bars of the test.")
@setting(
    "backtest.refit_window",
    "--window",
    help="Bars that each refit trains on.  [default: all before]",
)
@click.option("--generate-signals", is_flag=True, help="Write the newest bar's target weights.")
@options.jobs
@options.mlflow
@options.common
def command(
    cli: CliContext,
    slot: str | None,
    model_path: str | None,
    checkpoint: str | None,
    generate_signals: bool,
) -> None:
    """Judge a model of SLOT on its sealed test. Each candidate judged counts as a look at it.

    The model is the one in final_model/, else the best of extended_training_results/, of the
    search's checkpoints, or the grids' active model. Nothing is trained but the refits of
    --refit-every. Files are written to backtesting_results/.
    """
    from podium.steps.decisions.backtest import backtest
    from podium.steps.serving.signals import write_newest

    with cli.opened() as project, project.logged("backtest"):
        found = backtest(project, slot, model_path=model_path, checkpoint=checkpoint)
        written = write_newest(project, found.candidate) if generate_signals else None
    candidate = found.candidate
    cli.out.say(f"{found.rule}: {candidate.id}, version {candidate.version} of {candidate.slot}")
    if written is not None:
        cli.out.say(f"signals of {written.as_of} are in {written.place}")
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
    cli.out.answer("evidence", items)
    cli.out.hint(f"podium promote {found.candidate.id}")
