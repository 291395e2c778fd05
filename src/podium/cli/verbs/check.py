"""Start: look at a dataset or a file as loading would, or at how a slot's champion does."""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.verbs.data import understanding
from podium.config import Config
from podium.errors import DataError, UsageError

COLUMNS = ("severity", "what", "count", "found", "fix")
FACTS = ("severity", "what", "ticker", "count", "first", "found", "expected", "fix", "repair")


@click.command()
@click.argument("what")
@understanding
@click.option(
    "--as",
    "kind",
    type=click.Choice(["dataset", "slot"]),
    help="What WHAT is, where both have that name.",
)
@options.forms("table", "json", "md")
@options.common
def command(cli: CliContext, what: str, kind: str | None, **settings: Any) -> None:
    """Check WHAT: a dataset of podium.toml, a file, folder or 'pattern', or a slot.

    Errors are what loading refuses; each names the repair that would help. Exit code 7 when there
    are errors, else 0. The options say how a path is to be understood; a dataset's table says it
    for a dataset.

    Of a slot: its champion on bars newer than its training, against naive, its own test, the data
    of its training, and its shadow. Nothing is written, and nothing of that is an error.
    """
    from podium.steps.data.check import check

    config = cli.config_if_any
    if _is_slot(config, what, kind):
        _check_slot(cli, what)
        return
    found = check(config, what, **options.given(settings))
    items = [
        {**{name: getattr(one, name) for name in FACTS}, "fix": one.problem.fix}
        for one in found.findings
    ]
    if not cli.out.as_json:
        # Where nothing can be advised, what would be right is the advice.
        for item in items:
            expected = f"expected {item['expected']}" if item["expected"] else ""
            item["fix"] = item["fix"] or expected
    cli.out.listing("findings", items, COLUMNS)
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


def _check_slot(cli: CliContext, slot: str) -> None:
    from podium.steps.serving.check_slot import check_slot

    with cli.opened() as project:
        found = check_slot(project, slot)
    if cli.out.form == "table":
        # Sentences, which a table would cut to the width of the terminal.
        marks = {"warning": "warning: ", "note": ""}
        cli.out.facts(
            "findings", {one.what: marks[one.severity] + one.found for one in found.findings}
        )
        return
    columns = ("severity", "what", "found")
    cli.out.listing("findings", [vars(one) for one in found.findings], columns)
