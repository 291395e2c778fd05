"""Judge: report of a slot's runs as Markdown and as a page with charts.

Example: podium report us4/D/return --out report.md
"""

from __future__ import annotations

from pathlib import Path

import click

from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@options.slot
@click.option(
    "--out",
    type=options.PATH,
    help="Markdown file; the page lies beside it.  [default: hyperparams/sweep_report_<stamp>.md]",
)
@options.common
def command(cli: CliContext, slot: str | None, out: Path | None) -> None:
    """Write a report of SLOT's runs (or the default slot's) as Markdown and as an HTML page.

    It has the best run of each family, baselines, a comparison with intervals, coverage, the
    impact of hyperparameters and learning curves. Nothing is trained and no test is read.
    """
    from podium.steps.search.report import report

    with cli.opened() as project:
        result = report(project, slot, out)
    rows = [{**row, "markdown": str(result.markdown)} for row in result.rows()]
    items = [{**row, "html": str(result.html)} for row in rows]
    cli.out.result("report", result, items)
    cli.out.say(f"files: {result.markdown}, {result.html}")
