"""Start: take every slot from search to decision, doing what is not done yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
@click.option("--refresh", is_flag=True, help="The nightly job: take in new bars. docs/live.md.")
@click.option("--from", "first", default="", help="First step; the ones before must be complete.")
@click.option("--to", "last", default="", help="Last step.")
@click.option("--only", multiple=True, metavar="FAMILY", help="Search these families now.")
@click.option("--keep-going", is_flag=True, help="Take the other slots on when one fails.")
@click.option("--explain", is_flag=True, help="Print what is due and which inputs differ.")
@setting("tune.trials", help="Trials of each search.")
@options.jobs
@options.mlflow
@options.common
def command(
    cli: CliContext,
    slots: tuple[str, ...],
    refresh: bool,
    first: str,
    last: str,
    only: tuple[str, ...],
    keep_going: bool,
    explain: bool,
) -> None:
    """Tune, extend, analyze, finalize, backtest and ask for promotion, for SLOTS or all.

    The settings are those of podium.toml, whatever flags single verbs had. What is up to date is
    not done again; after an interruption the same command goes on. A refusal is a result, so the
    exit code is 0 too; podium promote ends with 4.
    """
    from podium.steps.pipeline import run_cache

    out = cli.out
    whole = not (first or last or only)
    if refresh:
        if not whole or keep_going or explain:
            raise UsageError(
                "--refresh goes the whole road of every slot whatever fails",
                fix="leave out --from, --to, --only, --keep-going and --explain",
            )
        _refresh(cli, slots)
        return
    with cli.opened() as project:
        started_from = run_cache.inputs(project, slots) if whole else ""
        known = run_cache.load(project, slots, started_from)
        if known is not None:
            _tell_known(out, known, project.root, explain=explain)
            return
        # Only now: what trains takes a second to import.
        from podium.steps.pipeline import run

        if explain:
            plan = run.explain(project, slots, first=first, last=last, only=only)
            out.answer("plan", [vars(one) for one in plan])
            return
        found = run.run(project, slots, first=first, last=last, only=only, keep_going=keep_going)
        decided = whole and not found.failures and bool(found.report.slots)
        decided_run = run.to_known(project, found) if decided else None
    if decided_run is not None:
        # Now that what is written after a step, for other programs, is written too.
        run_cache.save(project, started_from, slots, decided_run)
    _tell(out, found)
    if found.failures:
        raise found.failures[0]


def _tell(out: Output, found: Run) -> None:
    from podium.render.run import run_dict, summary_rows

    columns, rows = summary_rows(found.report)
    items = [dict(zip(columns, row, strict=True)) for row in rows]
    if not items:
        out.answer("steps", [vars(one) for one in found.outcomes])
    else:
        out.answer("run", run_dict(found.report)["items"] if out.as_json else items, columns)
    out.say("")
    for slot in found.report.slots:
        out.say(slot.sentence)
    if found.page is not None:
        out.say(f"report: {found.page}")
    out.hint(*found.next)


def _refresh(cli: CliContext, slots: tuple[str, ...]) -> None:
    """The nightly job: one line of outcome for a log, a line a slot for people."""
    from podium.steps.pipeline.refresh import refresh

    out = cli.out
    with cli.opened() as project:
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


def _tell_known(out: Output, known: KnownRun, root: Path, *, explain: bool) -> None:
    if explain:
        out.answer("plan", known.steps)
        return
    for step in known.steps:
        out.say(f"{step['slot']}: {step['step']} is up to date ({step['told']})")
    items = [dict(zip(known.columns, row, strict=True)) for row in known.rows]
    out.answer("run", known.items if out.as_json else items, known.columns)
    out.say("")
    for sentence in known.sentences:
        out.say(sentence)
    out.say(f"report: {root / known.page}")
    out.hint(*known.next)
