"""Judge: score and trade the candidate on the sealed test, with costs.

Example: podium backtest us4/D/return --fee-bps 10
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext, setting


@click.command()
@options.slot
@click.option("--model-path", help="Any path into the folder of a model or of a copy of it.")
@click.option(
    "--checkpoint",
    type=click.Choice(("best", "final")),
    help="Best or last epoch of the model.  [default: the served one]",
)
@setting("backtest.fee_bps", help="Fee in basis points of traded value.")
@setting("backtest.refit_every", help="Also refit every so many bars of the test.")
@setting("backtest.refit_window", "--window", help="Bars of each refit.  [default: all before]")
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
    """Judge a model of SLOT on its sealed test. Each judged candidate counts as a look at it.

    The model is the one in final_model/, else the best of extended_training_results/, of the
    search's checkpoints, or the grids' active model. Only the refits of --refit-every are
    trained. Files are written to backtesting_results/; --json has every figure.
    """
    from podium.steps.decisions.backtest import backtest
    from podium.steps.serving.signals import write_newest

    with cli.opened() as project, project.logged("backtest"):
        result = backtest(project, slot, model_path=model_path, checkpoint=checkpoint)
        signals = write_newest(project, result.candidate) if generate_signals else None
    kinds = ["test", "backtest", *(["refit"] if project.config.backtest.refit_every else [])]
    items = [
        {
            "evidence": kind,
            "what": name,
            "value": scalar.value,
            "unit": scalar.unit,
            "better": {"min": "lower", "max": "higher"}.get(scalar.direction, ""),
        }
        for kind in kinds
        for name, scalar in result.evidence[kind].scalars.items()
    ]
    cli.out.result("evidence", result, items)
    if signals is not None:
        cli.out.say(f"signals of {signals.as_of} are in {signals.place}")
    cli.out.hint(f"podium promote {result.candidate.id}")
