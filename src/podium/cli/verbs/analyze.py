"""Judge: choose a config from the folds and say why."""

from __future__ import annotations

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.slot
@options.common
def command(cli: CliContext, slot: str | None) -> None:
    """Choose a config of SLOT's newest cross-validation; nothing is trained.

    The rule is the best mean, or a simpler config within one standard error of it. Beside the
    choice are the ranking with intervals, the naive forecast, the configs that are not
    distinguishable from the best, and how much of the choice is luck: docs/judgement.md.
    """
    from podium.render.blocks import distinction, interval
    from podium.render.table import p_value
    from podium.steps.pipeline.run_report import luck_basis, luck_rows, ranking_rows
    from podium.steps.search.analysis_files import compared
    from podium.steps.search.analyze import analyze

    with cli.opened() as project:
        name = project.default_slot(slot)
        found = analyze(project, name)
        told = compared(project, found)
        files = [project.shown(path) for path in found.files]
    metric = found.extension.tuned.data.section.metric
    ranking, luck = ranking_rows(found), luck_rows(found)
    chosen = {
        "slot": name,
        "family": found.chosen.family,
        "config": found.chosen.config,
        "mean": found.chosen.mean,
        "standard error": found.chosen.standard_error,
        "why": found.reason,
        "against the next": found.distinguishable,
        "naive": found.reference.config,
        "naive mean": found.reference.mean,
        "p-value against naive": found.against_naive.p_value,
        "configs looked at": found.looked_at,
        "files": ", ".join(files),
    }
    if cli.out.as_json:
        rows = [
            {
                "config": row.label,
                "chosen": row.chosen,
                metric: row.mean,
                "low": row.low,
                "high": row.high,
                f"naive_{metric}": found.reference.mean,
                "dm_pvalue_vs_naive": row.p_value,
                "dm_pvalue_vs_naive_corrected": row.p_corrected,
                "in_confidence_set": row.in_set,
            }
            for row in ranking
        ]
        figures = {key: scalar.value for key, scalar in found.luck.scalars().items()}
        more = {"compared": told, "ranking": rows, **figures, **found.luck.notes()}
        cli.out.facts("analysis", {**chosen, **more})
        return
    cli.out.facts("analysis", chosen)
    print(f"\nwhat the search saw, and what the folds say, {metric}")
    cli.out.answer(
        "compared",
        [
            {
                "config": ("* " if one["chosen"] else "  ") + row.label,
                "tuned": one["tuned_score"],
                "folds": one["mean"],
                "rank": f"{one['tuned_rank']} to {one['rank']}",
                "accuracy improvement": f"{one['accuracy_improvement']:+.2%}",
            }
            for one, row in zip(told, ranking, strict=False)
        ],
    )
    print(f"\nranking on the folds, {metric}")
    cli.out.answer(
        "ranking",
        [
            {
                "config": ("* " if row.chosen else "  ") + row.label,
                "mean": row.mean,
                "95 % interval": interval(row),
                f"naive {metric}": found.reference.mean,
                "p against naive": p_value(row.p_value),
                "corrected": p_value(row.p_corrected),
                "against the best": distinction(row),
            }
            for row in ranking
        ],
    )
    print(f"\nselection bias. {luck_basis(found)}")
    cli.out.answer(
        "luck", [{"figure": r.name, "value": r.value, "meaning": r.meaning} for r in luck]
    )
    cli.out.hint(f"podium finalize {name}")
