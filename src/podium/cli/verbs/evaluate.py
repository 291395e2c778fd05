"""Judge: every figure of a classifier, beside naive and the champion, and the bundle to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from podium.cli import options
from podium.cli.options import FILE, FOLDER, CliContext

if TYPE_CHECKING:
    from podium.evidence import Evidence

# Figures that the answer tells of a child beside its parent; the page tells all.
_TOLD = {"macro_f1": "macro-F1", "balanced_accuracy": "balanced accuracy", "log_loss": "log loss"}


@click.command()
@click.argument("what")
@click.option("--data", type=FILE, help="Other samples (.npz).")
@click.option("--cost", type=FILE, help="Cost matrix: a CSV square.")
@click.option(
    "--attach",
    type=FOLDER,
    help="Check and take a bundle made elsewhere.",
)
@options.mlflow
@options.common
def command(
    cli: CliContext, what: str, data: Path | None, cost: Path | None, attach: Path | None
) -> None:
    """Evaluate WHAT, a candidate's id or a slot (its newest candidate).

    Writes artifacts/evaluations/RUN/ with a page, figures, curves and predictions, and puts the
    findings on record. Without --data the samples are the slot's own, and gates read the findings.
    """
    from podium.steps.decisions.evaluate import cost_of, evaluate

    with cli.opened() as project:
        matrix = None if cost is None else cost_of(cost)
        found = evaluate(project, what, data=data, cost=matrix, attach=attach)
    mine, naive = found.report.model, found.report.figures["naive"]
    items = [
        {
            "class": name,
            "samples": int(mine.support[k]),
            "precision": float(mine.precision[k]),
            "recall": float(mine.recall[k]),
            "f1": float(mine.f1[k]),
            "pr_auc": float(mine.pr_auc[k]),
            "naive_f1": float(naive.f1[k]),
        }
        for k, name in enumerate(mine.class_names)
    ]
    cli.out.answer("classes", items)
    cli.out.say(
        f"on {found.evidence.notes['data']}: macro-F1 {mine.macro_f1:.4g}, weighted-F1 "
        f"{mine.weighted_f1:.4g}, accuracy {mine.accuracy:.4g}; the naive rule "
        f"({found.evidence.notes['naive_method']}) has macro-F1 {naive.macro_f1:.4g}"
    )
    if found.against is not None:
        other = found.against
        cli.out.say(
            f"champion {other.notes['champion']} on the same samples: macro-F1 "
            f"{other.scalar('champion_macro_f1'):.4g} (p = {other.scalar('p_value'):.2g})"
        )
    if found.improvement is not None:
        cli.out.say(_improved(found.improvement))
    cli.out.say(f"to look at: {found.folder / 'evaluation.html'}")
    if found.evidence.kind == "evaluation":
        cli.out.hint(
            f'podium sign {found.candidate.id} --reason "..."',
            f"podium promote {found.candidate.id}",
        )


def _improved(found: Evidence) -> str:
    """How much better a child is than its parent, with intervals, in one sentence."""
    told = []
    for name, words in _TOLD.items():
        share = found.scalars.get(f"improvement_{name}")
        low = found.scalars.get(f"improvement_{name}_low")
        if share is None:
            told.append(f"{words} {found.notes.get(f'improvement_{name}', 'not known')}")
            continue
        said = f"{words} {share.value:+.3g} %"
        if low is not None:
            said += f" ({low.value:+.3g} to {found.scalar(f'improvement_{name}_high'):+.3g})"
        told.append(said)
    return (
        f"over its parent {found.notes['parent']} on the same samples (above 0 is better, 95 % "
        f"interval): {', '.join(told)}"
    )
