"""Start: look at a dataset or a file as loading would, or at how a slot's champion does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output
from podium.cli.verbs.data import understanding
from podium.config import Config, find_root, load
from podium.errors import DataError, NotFoundError, UsageError

COLUMNS = ("severity", "what", "count", "found", "fix")


@click.command()
@click.argument("what")
@understanding
@click.option(
    "--as",
    "kind",
    type=click.Choice(["dataset", "slot"]),
    help="What WHAT is, where both have that name.",
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "md"]),
    help="How to print.  [default: table]",
)
@options.common
def command(
    what: str,
    kind: str | None,
    form: str | None,
    folder: Path,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Check WHAT: a dataset of podium.toml, a file, folder or 'pattern', or a slot.

    Errors are what loading refuses; each names the repair that would help. Exit code 7 when there
    are errors, else 0. The options say how a path is to be understood; a dataset's table says it
    for a dataset.

    Of a slot: its champion on bars newer than its training, against naive, its own test, the data
    of its training, and its shadow. Nothing is written, and nothing of that is an error.
    """
    from podium.steps.data.check import check

    form = form or ("json" if as_json else "table")
    out = Output(as_json=form == "json", quiet=quiet)
    given = {key: value for key, value in settings.items() if value not in (None, "", (), {})}
    config = _config(folder)
    if _is_slot(config, what, kind):
        _check_slot(out, form, folder, what)
        return
    found = check(config, what, **given)
    items = [
        {
            "severity": one.severity,
            "what": one.what,
            "ticker": one.ticker,
            "count": one.count,
            "first": one.first,
            "found": one.found,
            "expected": one.expected,
            "fix": one.problem.fix,
            "repair": one.repair,
        }
        for one in found.findings
    ]
    if form != "json":
        # Where nothing can be advised, what would be right is the advice.
        items = [{**item, "fix": item["fix"] or _expected(item)} for item in items]
    out.listing("findings", items, COLUMNS, form)
    if found.refused:
        errors = [one for one in found.findings if one.severity == "error"]
        repairs = ", ".join(f'"{name}"' for name in dict.fromkeys(one.repair for one in errors))
        repaired = all(one.repair for one in errors)
        raise DataError(
            f"{what}: loading would refuse {len(errors)} of these findings",
            "files without errors",
            f"correct the files, or set repair = [{repairs}]" if repaired else "correct the files",
        )


def _is_slot(config: Config | None, what: str, kind: str | None) -> bool:
    """Whether a name is a slot's.

    Raises
    ------
    UsageError
        It is a dataset's too, and nothing says which is meant.
    """
    slots, datasets = (config.slots, config.datasets) if config else ({}, {})
    if kind is None and what in slots and what in datasets:
        raise UsageError(
            f"'{what}' is a slot and a dataset", "which of them", f"podium check {what} --as slot"
        )
    return kind == "slot" or (kind is None and what in slots)


def _check_slot(out: Output, form: str, folder: Path, slot: str) -> None:
    from podium.steps.serving.check_slot import check_slot

    with options.opened(folder, out) as project:
        found = check_slot(project, slot)
    if form == "table":
        # Sentences, which a table would cut to the width of the terminal.
        marks = {"warning": "warning: ", "note": ""}
        out.facts("findings", {one.what: marks[one.severity] + one.found for one in found.findings})
        return
    items = [
        {"severity": one.severity, "what": one.what, "found": one.found, "figures": one.figures}
        for one in found.findings
    ]
    out.listing("findings", items, ("severity", "what", "found"), form)


def _expected(item: Mapping[str, Any]) -> str:
    return f"expected {item['expected']}" if item["expected"] else ""


def _config(folder: Path) -> Config | None:
    """The project's config, None outside of one: a file can be checked anywhere."""
    try:
        return load(find_root(folder))
    except NotFoundError:
        return None
