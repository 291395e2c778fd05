"""Judge: choose a config from the folds, with the reasons.

Example: podium analyze us4/D/return
"""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.render.table import counted, number


@click.command()
@options.slot
@options.common
def command(cli: CliContext, slot: str | None) -> None:
    """Choose a config of SLOT's newest cross-validation; nothing is trained.

    The choice is the best mean, or a simpler config within one standard error of it. The table has
    intervals, tests against the best baseline, and the configs that are not distinguishable from
    the best; --verbose adds the selection bias: docs/judgement.md. A baseline is chosen where no
    config is significantly better: docs/baselines.md.
    """
    from podium.steps.pipeline.run_report import luck_basis, luck_rows
    from podium.steps.search.analysis_files import compared
    from podium.steps.search.analyze import analyze

    with cli.opened() as project:
        analysis = analyze(project, slot)
        comparison = compared(project, analysis)
    files = ", ".join(project.shown(path) for path in analysis.files)
    name, metric = analysis.extension.tuned.data.slot, analysis.extension.tuned.metric
    luck = analysis.luck
    item = {
        "slot": name,
        "family": analysis.chosen.family,
        "config": analysis.chosen.config,
        "mean": analysis.chosen.mean,
        "standard error": analysis.chosen.standard_error,
        "why": analysis.reason,
        "against the next": analysis.distinguishable,
        "naive": analysis.reference.config,
        "naive mean": analysis.reference.mean,
        "p-value against naive": analysis.against_naive.p_value,
        "configs looked at": analysis.looked_at,
        "files": files,
        "compared": comparison,
        "ranking": [
            {
                "config": row.label,
                "chosen": row.chosen,
                metric: row.mean,
                "low": row.low,
                "high": row.high,
                f"naive_{metric}": analysis.reference.mean,
                "dm_pvalue_vs_naive": row.p_value,
                "dm_pvalue_vs_naive_corrected": row.p_corrected,
                "in_confidence_set": row.in_set,
            }
            for row in analysis.ranked()
        ],
        **{key: scalar.value for key, scalar in luck.scalars().items()},
        **luck.notes(),
    }
    out = cli.out
    out.result("analysis", analysis, [item])
    if not out.as_json:
        out.write(f"\nchosen config: {analysis.distinguishable}")
        out.write(
            f"selection bias: deflated Sharpe {number(luck.deflated_sharpe)}, PBO "
            f"{number(luck.pbo)}, {counted(analysis.looked_at, 'config')} looked at"
        )
        if out.verbose:
            out.write(f"\n{luck_basis(analysis)}")
            rows = luck_rows(analysis)
            out.answer(
                "luck", [{"figure": r.name, "value": r.value, "meaning": r.meaning} for r in rows]
            )
    if files:
        out.say(f"files: {files}")
    out.hint(f"podium finalize {name}")
