"""Start: look at a dataset or a file: gaps, duplicates, impossible bars, splits, fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.output import Output
from podium.cli.verbs.data import understanding
from podium.config import Config, find_root, load
from podium.errors import DataError, NotFoundError

COLUMNS = ("severity", "what", "count", "found", "fix")


@click.command()
@click.argument("what")
@understanding
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "md"]),
    help="How to print.  [default: table]",
)
@options.common
def command(
    what: str, form: str | None, folder: Path, as_json: bool, quiet: bool, **settings: Any
) -> None:
    """Check WHAT: a dataset of podium.toml, or a file, folder or 'pattern'.

    Errors are what loading refuses; each names the repair that would help. Exit code 7 when there
    are errors, else 0. The options say how a path is to be understood; a dataset's table says it
    for a dataset.
    """
    from podium.steps.check import check

    form = form or ("json" if as_json else "table")
    out = Output(as_json=form == "json", quiet=quiet)
    given = {key: value for key, value in settings.items() if value not in (None, "", (), {})}
    found = check(_config(folder), what, **given)
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


def _expected(item: Mapping[str, Any]) -> str:
    return f"expected {item['expected']}" if item["expected"] else ""


def _config(folder: Path) -> Config | None:
    """The project's config, None outside of one: a file can be checked anywhere."""
    try:
        return load(find_root(folder))
    except NotFoundError:
        return None
