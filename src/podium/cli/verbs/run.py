"""Start: take every slot from search to decision; steps that are up to date are skipped.

Example: podium run us4/D/return --to extend
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli import options
from podium.cli.options import CliContext, setting
from podium.cli.output import Output
from podium.errors import UsageError

if TYPE_CHECKING:
    from podium.steps.pipeline.run import Run
    from podium.steps.pipeline.run_cache import KnownRun


@click.command()
@click.argument("slots", nargs=-1)
@click.option("--refresh", is_flag=True, help="Nightly job on new bars: docs/live.md.")
@click.option("--from", "first", default="", help="First step; earlier ones must be complete.")
@click.option("--to", "last", default="", help="Last step.")
@click.option("--only", multiple=True, metavar="FAMILY", help="Search these families now.")
@click.option("--keep-going", is_flag=True, help="Continue with the other slots when one fails.")
@click.option("--explain", is_flag=True, help="Print the due steps and the inputs that differ.")
@setting("tune.trials", help="Trials of each search.")
@options.jobs
@options.mlflow
@options.common
def command(
    cli: CliContext, slots: tuple[str, ...], refresh: bool, explain: bool, **part: Any
) -> None:
    """Tune, extend, analyze, finalize, backtest and request promotion, for SLOTS or all.

    Settings come from podium.toml, not from flags of earlier commands. Steps that are up to date
    are skipped; after an interruption the same command continues. A refusal is a result with exit
    code 0; podium promote ends with 4.
    """
    out = cli.out
    keep_going: bool = part.pop("keep_going")
    whole = not any(part.values())
    if refresh:
        if not whole or keep_going or explain:
            raise UsageError(
                "--refresh takes every slot through all steps, and continues after a failure",
                fix="leave out --from, --to, --only, --keep-going and --explain",
            )
        _refresh(cli, slots)
        return
    from podium.steps.pipeline import run_cache

    with cli.opened() as project:
        started_from = run_cache.inputs(project, slots) if whole else ""
        known = run_cache.load(project, slots, started_from)
        if known is not None:
            _show_known(out, known, project.root, explain=explain)
            return
        # Imported here: the modules that train take a second to import.
        from podium.steps.pipeline import run

        if explain:
            _show_plan(out, [vars(one) for one in run.explain(project, slots, **part)])
            return
        result = run.run(project, slots, keep_going=keep_going, **part)
        decided = whole and not result.failures and bool(result.report.slots)
        decided_run = run.to_known(project, result) if decided else None
    if decided_run is not None:
        # After the project is closed, since closing it writes files for other programs.
        run_cache.save(project, started_from, slots, decided_run)
    _show(out, result)
    if result.failures:
        raise result.failures[0]


def _show(out: Output, result: Run) -> None:
    from podium.render.run import run_dict

    if result.report.slots:
        out.result("run", result, run_dict(result.report)["items"] if out.as_json else None)
    else:
        out.result("steps", result, [vars(one) for one in result.outcomes])
    _show_details(out, result.lines, result.page, result.next)


def _show_details(
    out: Output, lines: Sequence[str], page: Path | None, commands: Sequence[str]
) -> None:
    for line in lines:
        out.say(line)
    if page is not None:
        out.say(f"report: {page}")
    out.hint(*commands)


def _refresh(cli: CliContext, slots: tuple[str, ...]) -> None:
    """Nightly job: a table on a terminal, one line for a log."""
    from podium.steps.pipeline.refresh import refresh

    out = cli.out
    with cli.opened() as project:
        result = refresh(project, slots or None)
    if out.as_json or sys.stdout.isatty():
        items = [
            {"slot": one.slot, "notes": one.notes, "failed": bool(one.error)}
            for one in result.slots
        ]
        out.result("refresh", result, items)
    else:
        print(result.line)
    if result.error:
        raise result.error


def _show_known(out: Output, known: KnownRun, root: Path, *, explain: bool) -> None:
    if explain:
        _show_plan(out, known.steps)
        return
    for step in known.steps:
        out.say(f"{step['slot']}: {step['step']} is up to date ({step['progress']})")
    out.result("run", known, known.items)
    _show_details(out, known.lines, root / known.page, known.next)


def _show_plan(out: Output, steps: Sequence[Mapping[str, Any]]) -> None:
    due = sum(step["state"] != "up to date" for step in steps)
    out.lead(f"{due} of {len(steps)} steps are due\n")
    columns = ["slot", "step", "state", "progress"]
    out.answer("plan", steps, [*columns, "why"] if due else columns)
