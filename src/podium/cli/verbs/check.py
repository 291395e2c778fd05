"""Start: check a dataset or a file as loading would, or a slot's champion on new bars.

Example: podium check us4
"""

from __future__ import annotations

from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.verbs.data import understanding
from podium.config import Config
from podium.errors import DataError, UsageError
from podium.render.table import counted

COLUMNS = ("severity", "what", "count", "found", "fix")
FACTS = ("severity", "what", "ticker", "count", "first", "found", "expected", "fix", "repair")


@click.command()
@click.argument("what")
@understanding
@click.option(
    "--as",
    "kind",
    type=click.Choice(["dataset", "slot"]),
    help="Kind of WHAT, where both have that name.",
)
@options.forms("table", "json", "md")
@options.common
def command(cli: CliContext, what: str, kind: str | None, **settings: Any) -> None:
    """Check WHAT: a dataset of podium.toml, a file, folder or 'pattern', or a slot.

    Errors are findings that loading refuses; each names the repair that would help. Exit code 7
    with errors, else 0. The options describe the format of a path; for a dataset they are in
    podium.toml.

    For a slot: its champion on bars newer than its training, compared with its baseline, its own
    test, the data of its training, and its shadow. Nothing is written, and the exit code is 0.
    """
    from podium.steps.data.check import check

    config = cli.config_if_any
    if _is_slot(config, what, kind):
        _check_slot(cli, what)
        return
    result = check(config, what, **options.without_empty(settings))
    items = [
        {**{name: getattr(one, name) for name in FACTS}, "fix": one.problem.fix}
        for one in result.findings
    ]
    errors = [one for one in result.findings if one.severity == "error"]
    if not cli.out.as_json:
        # Without a fix, the expected value is the advice.
        for item in items:
            expected = f"expected {item['expected']}" if item["expected"] else ""
            item["fix"] = item["fix"] or expected
    cli.out.lead(
        f"{what}: {counted(len(errors), 'error')}, {counted(len(items), 'finding')} in all\n"
    )
    if items or cli.out.form != "table":
        cli.out.listing("findings", items, COLUMNS)
    if result.refused:
        repairs = ", ".join(f'"{name}"' for name in dict.fromkeys(one.repair for one in errors))
        repaired = all(one.repair for one in errors)
        raise DataError(
            f"{what}: loading would refuse {counted(len(errors), 'finding')}",
            "files without errors",
            f"correct the files, or set repair = [{repairs}]" if repaired else "correct the files",
        )


def _is_slot(config: Config | None, what: str, kind: str | None) -> bool:
    """Whether a name is a slot's.

    Raises
    ------
    UsageError
        It is a dataset's too, and ``--as`` is not given.
    """
    slots, datasets = (config.slots, config.datasets) if config else ({}, {})
    if kind is None and what in slots and what in datasets:
        raise UsageError(
            f"'{what}' is a slot and a dataset", "which of them", f"podium check {what} --as slot"
        )
    return kind == "slot" or (kind is None and what in slots)


def _check_slot(cli: CliContext, slot: str) -> None:
    from podium.steps.serving.check_slot import COLUMNS, check_slot

    with cli.opened() as project:
        result = check_slot(project, slot)
    if cli.out.form == "table":
        cli.out.result("findings", result)
    else:
        cli.out.listing("findings", [vars(one) for one in result.findings], COLUMNS)
