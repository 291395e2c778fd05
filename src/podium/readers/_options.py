"""What a dataset's table says about reading its files, and how much a reader takes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from podium.errors import DataError


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """The most a reader takes from one file that somebody else wrote.

    Parameters
    ----------
    bytes : int
        Of a file, and of what it unpacks to.
    rows, columns : int
        Of a table.
    files : int
        Of one dataset.
    entries : int
        Of an ``.npz`` archive.
    """

    bytes: int = 8 * 2**30
    rows: int = 100_000_000
    columns: int = 20_000
    files: int = 20_000
    entries: int = 64


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How the files of a dataset are to be understood; docs/config.md explains each.

    Parameters
    ----------
    columns : mapping
        Column of the files by role (``time open high low close volume adj_close factor ticker``);
        roles that are not named are found by usual names.
    layout : {"", "files", "long", "wide"}
        One file a ticker, a ticker column, or columns of every ticker; empty: found out.
    timezone : str
        Zone of stamps that name none.
    exchange_timezone : str
        Zone by whose clock sessions begin and end; empty: ``timezone``.
    stamp : {"", "open", "close"}
        What a stamp is of its bar. Empty: the close; for days and weeks their date.
    date_format : str
        In ``strptime``'s letters, or ``s ms us ns`` for numbers since 1970; empty: found out.
    separator, decimal, thousands : str
        Of a CSV file; empty: found out, and no thousands separator.
    absent : tuple of str
        Fields the files do not have: prices are then the close, the volume is 0.
    repair : tuple of str
        Repairs to apply, see ``_repair.py``.
    align : {"intersection", "union"}
        Bars begin where the youngest ticker begins and end where the first one ends; or each
        ticker has its own first and last bar, and NaN outside of them.
    limits : Limits
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    layout: str = ""
    timezone: str = "UTC"
    exchange_timezone: str = ""
    stamp: str = ""
    date_format: str = ""
    separator: str = ""
    decimal: str = ""
    thousands: str = ""
    absent: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()
    align: str = "intersection"
    limits: ReadLimits = field(default_factory=ReadLimits)


def require_size(path: Path, limits: ReadLimits) -> None:
    """Refuse a file that is larger than the limit, before any of it is read."""
    size = path.stat().st_size
    if size > limits.bytes:
        raise DataError(
            f"{path} has {size:,} bytes", f"at most {limits.bytes:,}", "split it into several files"
        )


def require_count(path: Path, found: int, most: int, what: str) -> None:
    """Refuse a file with more rows, columns or entries than the limit."""
    if found > most:
        raise DataError(f"{path} has {found:,} {what}", f"at most {most:,}", "split or thin it out")
