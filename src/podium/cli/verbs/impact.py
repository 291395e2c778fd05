"""Judge: association of hyperparameters with a metric.

Example: podium impact learning_rate --family lstm
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import Output
from podium.render.table import counted

if TYPE_CHECKING:
    from podium.steps.search.impact import HyperparameterImpact


@click.command()
@click.argument("hyperparam", required=False)
@click.option("--family", help="Runs of this family.  [default: the one with most runs]")
@click.option("--metric", help="Default: the default slot's, on validation.")
@options.forms("table", "json", "csv", "md")
@options.common
def command(
    cli: CliContext, hyperparam: str | None, family: str | None, metric: str | None
) -> None:
    """Show the association of a metric with HYPERPARAM, or with every hyperparameter.

    Runs of other data, another task or split, and of other families are left out.
    """
    from podium.steps.search.impact import impact, impacts

    with cli.opened() as project:
        if hyperparam is None:
            _ranking(cli.out, impacts(project, family=family, metric=metric))
        else:
            _one(cli.out, impact(project, hyperparam, family=family, metric=metric))


def _ranking(out: Output, impacts: list[HyperparameterImpact]) -> None:
    columns = ["hyperparam", "rho", "eta_squared", "n", "values", "what"]
    facts = ("hyperparam", "family", "metric", "kind", "rho", "eta_squared", "n")
    items = [
        {
            **{name: getattr(one, name) for name in facts},
            "values": len({str(value) for _, value, _ in one.runs}),
            "what": one.finding,
            "left_out": list(one.left_out),
        }
        for one in impacts
    ]
    if impacts:
        out.lead(f"strongest of {counted(len(impacts), 'hyperparameter')}: {impacts[0].sentence}")
    _table(out, items, columns)
    if impacts:
        # Each also has excluded runs of its own.
        _left_out(out, [o for o in impacts[0].left_out if all(o in f.left_out for f in impacts)])


def _one(out: Output, impact: HyperparameterImpact) -> None:
    runs = replace(impact, groups=()).rows()
    if out.form == "json":
        item = {**vars(impact), "runs": runs, "groups": [vars(group) for group in impact.groups]}
        item["sentence"] = item.pop("finding")
        out.answer("impact", [item])
        return
    out.lead(impact.sentence)
    rows = impact.rows() if out.form == "table" else runs
    _table(out, rows, list(rows[0]))
    _left_out(out, impact.left_out)


def _table(out: Output, items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    if out.form == "table":
        print()
        out.answer("impact", items, columns)
    else:
        out.listing("impact", items, columns)


def _left_out(out: Output, excluded: Sequence[str]) -> None:
    if excluded:
        out.say("left out: " + "; ".join(excluded))
