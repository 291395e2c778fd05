"""Start: name files as a dataset, or make the demo bars and the glucose windows.

Example: podium data add us4 data/us4 --timeframe D
Example: podium data add us4 data/us4 --timeframe D --repair sort
Example: podium data make glucose
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import Output
from podium.sections import TIMEFRAMES

if TYPE_CHECKING:
    from podium.steps.data.data import Added


def _list(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Parts of a text between commas."""
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


def _pairs(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Mapping of each ``role=column``; several with commas or by repeating the option."""
    pairs = {}
    for pair in (part for value in values for part in value.split(",")):
        role, sign, column = pair.partition("=")
        if not sign or not role.strip() or not column.strip():
            raise click.BadParameter(f"'{pair}': expected time=Time,close=Last")
        pairs[role.strip()] = column.strip()
    return pairs


# Options that describe the format of files.
understanding = options.stacked(
    click.option("--tickers", callback=_list, help="A,B in this order.  [default: all]"),
    click.option("--timeframe", type=click.Choice(TIMEFRAMES), help="[default: detected]"),
    click.option("--columns", multiple=True, callback=_pairs, help="time=Time,close=Last."),
    click.option(
        "--layout",
        type=click.Choice(["files", "long", "wide"]),
        help="One file a ticker, a ticker column, or columns of each.  [default: detected]",
    ),
    click.option("--timezone", default="", help="Zone of stamps without one: Europe/Berlin."),
    click.option("--exchange-timezone", default="", help="Zone of sessions, if another."),
    click.option(
        "--stamp",
        type=click.Choice(["open", "close"]),
        help="Meaning of intraday stamps.  [default: open]",
    ),
    click.option("--date-format", default="", help="'%d.%m.%Y %H:%M:%S', or s, ms, us, ns."),
    click.option("--separator", default="", help="Separator of a CSV file."),
    click.option("--decimal", default="", help="Decimal sign of a CSV file."),
    click.option("--thousands", default="", help="Thousands separator of a CSV file."),
    click.option("--absent", callback=_list, help="Fields the files lack: volume."),
    click.option(
        "--align",
        type=click.Choice(["intersection", "union"]),
        help="Bars of all tickers, or bars of any ticker.  [default: intersection]",
    ),
    click.option("--repair", callback=_list, help="sort,forward_fill:3 ...: docs/config.md."),
)


@click.group()
def command() -> None:
    """Bring data into the project.

    A dataset is a [datasets.NAME] table of podium.toml and the files it names; podium check NAME
    checks them at any time.
    """


@command.command()
@click.argument("name")
@click.argument("paths", nargs=-1, required=True, type=options.PATH)
@understanding
@click.option("--resample", type=click.Choice(TIMEFRAMES), help="Aggregate to coarser bars.")
@click.option("--day-starts-at", default="", help="Start of days: 17:00.  [default: 00:00]")
@click.option("--week-ends", type=click.Choice(["friday", "sunday"]), help="[default: friday]")
@click.option("--adjust/--no-adjust", default=None, help="Use adj_close or factor columns.")
@click.option("--validation", type=options.PATH, help="Second .npz of sequences.")
@click.option("--copy", is_flag=True, help="Copy the files into data/NAME.")
@options.common
def add(cli: CliContext, name: str, paths: tuple[Path, ...], **settings: Any) -> None:
    """Name a FILE, folder or 'pattern' of bars or sequences as dataset NAME.

    CSV, Parquet and .npz. Reads all files, prints a summary, and appends a table to podium.toml.
    Files that loading would refuse are an error, and nothing is written (exit code 7).
    """
    from podium.steps.data.data import add as add_dataset

    out = cli.out
    _answer(out, add_dataset(cli.root, name, paths, **options.without_empty(settings)))


@command.command()
@click.argument("what", type=click.Choice(["demo", "glucose"]))
@click.option("--name", default="", help="Name of the dataset.  [default: us4, glucose]")
@options.common
def make(cli: CliContext, what: str, name: str) -> None:
    """Write the demo bars, or windows of a glucose sensor, into data/ and name them."""
    from podium.steps.data.data import make as make_dataset

    out = cli.out
    _answer(out, make_dataset(cli.root, what, name=name))


def _answer(out: Output, added: Added) -> None:
    if out.as_json:
        out.facts("dataset", {"name": added.name, **added.found, "table": added.table})
    else:
        out.facts("dataset", {"name": added.name, **added.found})
        print(f"\n{added.table}", end="")
    for words in added.assumed:
        out.say(f"assumed: {words}")
    for finding in added.findings:
        out.say(f"{finding.severity}: {finding.problem}")
    out.hint(f"podium check {added.name}")
