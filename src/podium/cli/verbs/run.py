"""Start: take every slot from search to decision, doing what is not done yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output


@click.command()
@click.argument("slots", nargs=-1)
@click.option("--refresh", is_flag=True, help="The nightly job: take in new bars. docs/live.md.")
@click.option("--trials", type=int, help="Trials of each search.")
@options.jobs
@options.mlflow
@options.common
def command(
    slots: tuple[str, ...],
    refresh: bool,
    trials: int | None,
    jobs: int | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
    mlflow: dict[str, Any],
) -> None:
    """Tune, extend, analyze, finalize, backtest and ask for promotion, for SLOTS or all.

    What is up to date is not done again; after an interruption the same command goes on. A refusal
    is a result, so it ends with 0 too; ask a single slot with podium promote for exit code 4.
    """
    from podium.report.run import run_dict, summary_rows
    from podium.steps.run import run

    out = Output(as_json=as_json, quiet=quiet)
    if refresh:
        _refresh(out, folder, slots, tune__trials=trials, runner__jobs=jobs, **mlflow)
        return
    with options.opened(folder, out, tune__trials=trials, runner__jobs=jobs, **mlflow) as project:
        found = run(project, slots or None)
    columns, rows = summary_rows(found.report)
    items = [dict(zip(columns, row, strict=True)) for row in rows]
    out.answer("run", run_dict(found.report)["items"] if as_json else items, columns)
    out.say("")
    for slot in found.report.slots:
        out.say(slot.sentence)
    out.say(f"report: {found.page}")
    if found.report.slots:
        out.hint(*found.report.slots[0].commands)


def _refresh(out: Output, folder: Path, slots: tuple[str, ...], **flags: Any) -> None:
    """The nightly job: one line of outcome for a log, a line a slot for people."""
    from podium.steps.refresh import refresh

    with options.opened(folder, out, **flags) as project:
        found = refresh(project, slots or None)
    if out.as_json:
        items = [
            {"slot": one.slot, "told": one.told, "failed": bool(one.error)} for one in found.slots
        ]
        out.answer("refresh", items)
    elif sys.stdout.isatty():
        print("\n".join(one.line for one in found.slots))
    else:
        print(found.line)
    if found.error:
        raise found.error
