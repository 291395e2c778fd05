"""Judge: what a hyperparameter has to do with a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import Output

if TYPE_CHECKING:
    from podium.steps.search.impact import HyperparameterImpact


@click.command()
@click.argument("hyperparam", required=False)
@click.option("--family", help="Runs of this model.  [default: the one with most runs]")
@click.option("--metric", help="What to look at.  [default: the default slot's, on validation]")
@options.forms("table", "json", "csv", "md")
@options.common
def command(
    cli: CliContext, hyperparam: str | None, family: str | None, metric: str | None
) -> None:
    """Show how a metric goes with HYPERPARAM, or which hyperparameters it goes with at all.

    Runs of other data, another task or split, and of other models are never mixed in; it says
    what it left out.
    """
    from podium.steps.search.impact import impact, impacts

    with cli.opened() as project:
        if hyperparam is None:
            _ranking(cli.out, impacts(project, family=family, metric=metric))
        else:
            _one(cli.out, impact(project, hyperparam, family=family, metric=metric))


def _ranking(out: Output, found: list[HyperparameterImpact]) -> None:
    columns = ["hyperparam", "rho", "eta_squared", "n", "values", "what"]
    facts = ("hyperparam", "family", "metric", "kind", "rho", "eta_squared", "n")
    items = [
        {
            **{name: getattr(one, name) for name in facts},
            "values": len({str(value) for _, value, _ in one.runs}),
            "what": one.sentence,
            "left_out": list(one.left_out),
        }
        for one in found
    ]
    out.listing("impact", items, columns)
    if found:
        out.say(f"{found[0].family}, {found[0].metric}; the strongest first")
        # Each tells what the group lacks, and runs of its own that do not count.
        _left_out(
            out, [told for told in found[0].left_out if all(told in f.left_out for f in found)]
        )


def _one(out: Output, found: HyperparameterImpact) -> None:
    rows: list[dict[str, Any]] = [
        {"run_id": run_id, found.hyperparam: value, found.metric: score}
        for run_id, value, score in found.runs
    ]
    if out.form == "json":
        item = {**vars(found), "runs": rows, "groups": [vars(group) for group in found.groups]}
        out.answer("impact", [item])
        return
    out.listing("impact", rows, ["run_id", found.hyperparam, found.metric])
    if out.form == "table" and found.groups:
        print()
        columns = [found.hyperparam, f"mean {found.metric}", "n"]
        groups = [dict(zip(columns, (g.value, g.mean, g.n), strict=True)) for g in found.groups]
        out.listing("groups", groups, columns)
    out.say(f"{found.family}: {found.sentence}")
    _left_out(out, found.left_out)


def _left_out(out: Output, told: Any) -> None:
    if told:
        out.say("left out: " + "; ".join(told))
