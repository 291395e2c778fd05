"""Options and limits of readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from podium.errors import DataError


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """Limits on untrusted files.

    Parameters
    ----------
    bytes : int
        Size of a file, packed and unpacked.
    rows, columns : int
        Size of a table.
    files : int
        Files of one dataset.
    entries : int
        Entries of an ``.npz`` archive.
    """

    bytes: int = 8 * 2**30
    rows: int = 100_000_000
    columns: int = 20_000
    files: int = 20_000
    entries: int = 64


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options of a dataset's files; docs/config.md explains each.

    Parameters
    ----------
    columns : mapping
        Column of the files by role (``time open high low close volume adj_close factor ticker``);
        other roles are inferred from usual names.
    layout : {"", "files", "long", "wide"}
        One file per ticker, a ticker column, or columns of every ticker; empty: inferred.
    timezone : str
        Zone of stamps that name none.
    exchange_timezone : str
        Zone of the exchange's sessions; empty: ``timezone``.
    stamp : {"", "open", "close"}
        The moment of a bar that is stamped. Empty: the close; for days and weeks their date.
    date_format : str
        A ``strptime`` format, or ``s ms us ns`` for numbers since 1970; empty: inferred.
    separator, decimal, thousands : str
        Of a CSV file; empty: inferred, and no thousands separator.
    absent : tuple of str
        Fields that the files lack: prices are the close, the volume is 0.
    repair : tuple of str
        Repairs to apply, see ``_repair.py``.
    align : {"intersection", "union"}
        Bars span the latest first bar to the earliest last bar; or each ticker keeps its own span,
        and NaN outside of it.
    limits : ReadLimits
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
    """Refuse a file larger than the limit before reading it."""
    size = path.stat().st_size
    if size > limits.bytes:
        raise DataError(
            f"{path} has {size:,} bytes", f"at most {limits.bytes:,}", "split it into several files"
        )


def require_count(path: Path, count: int, limit: int, what: str) -> None:
    """Refuse a file with more rows, columns or entries than the limit."""
    if count > limit:
        raise DataError(
            f"{path} has {count:,} {what}", f"at most {limit:,}", "split or thin it out"
        )
