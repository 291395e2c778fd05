"""Judge: evaluate a classifier beside baseline and champion, and write a bundle for reviewers.

Example: podium evaluate glucose/class
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import FILE, FOLDER, CliContext

FIGURES = ("precision", "recall", "f1", "pr_auc")


@click.command()
@click.argument("what")
@click.option("--data", type=FILE, help="Other samples (.npz).")
@click.option("--cost", type=FILE, help="Cost matrix: a CSV square.")
@click.option("--attach", type=FOLDER, help="A bundle made elsewhere, checked and used.")
@options.mlflow
@options.common
def command(
    cli: CliContext, what: str, data: Path | None, cost: Path | None, attach: Path | None
) -> None:
    """Evaluate WHAT, a candidate's id or a slot (its newest candidate).

    Writes artifacts/evaluations/RUN/ with a page, figures, curves and predictions, and records
    the figures as evidence; gates read the evidence on the slot's own samples, without --data.
    """
    from podium.steps.decisions.evaluate import cost_of, evaluate

    with cli.opened() as project:
        matrix = None if cost is None else cost_of(cost)
        result = evaluate(project, what, data=data, cost=matrix, attach=attach)
    mine, naive = result.report.model, result.report.figures["naive"]
    items = [
        {
            "class": name,
            "samples": int(mine.support[k]),
            **{figure: float(getattr(mine, figure)[k]) for figure in FIGURES},
            "naive_f1": float(naive.f1[k]),
        }
        for k, name in enumerate(mine.class_names)
    ]
    cli.out.result("classes", result, items)
    if result.improved:
        cli.out.say(result.improved)
    cli.out.say(f"report: {result.folder / 'evaluation.html'}")
    if result.evidence.kind == "evaluation":
        cli.out.hint(
            f'podium sign {result.candidate.id} --reason "..."',
            f"podium promote {result.candidate.id}",
        )
