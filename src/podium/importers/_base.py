"""The interface of importers, and shared helpers.

``importers/<name>.py`` has two functions: ``recognizes(place) -> bool`` checks a file's name and
first bytes and never runs code of the file; ``read(place, **options)`` returns one ``Imported`` for
each group of comparable records. ``OPTIONS`` lists the options. A place is a file or a URL. Data
without a field of ``Record`` are in its ``extras`` under ``other``; an ``id`` there is that of the
other tool, by which the next import recognizes an edited record.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from podium.errors import DataError, NotFoundError
from podium.hashing import digest_bytes, json_text
from podium.record import Record

HEAD = 2**16
SQLITE = b"SQLite format 3\0"
# Older tools wrote no time stamp; the current time would differ at the next import.
NO_MOMENT = "1970-01-01T00:00:00Z"
# Larger numbers are milliseconds: as seconds they lie beyond the year 5000.
_MILLISECONDS = 1e11


class UnusableError(Exception):
    """One record is unusable; the others are imported."""


@dataclass(frozen=True)
class Imported:
    """Records of a file.

    Parameters
    ----------
    source : str
        Name of the source. Its records are comparable, and each is stored once.
    records : sequence of Record
        In the file's order.
    problems : sequence of str
        Unreadable parts, each with its place.
    """

    source: str
    records: Sequence[Record]
    problems: Sequence[str] = ()


def as_file(place: str | Path) -> Path | None:
    """Return the place as a path, also of a file URL; None for a server.

    Examples
    --------
    >>> as_file("sqlite:///study.db").name, as_file("http://localhost:5000")
    ('study.db', None)
    """
    if isinstance(place, Path) or "://" not in place:
        return Path(place)
    scheme, _, path = place.partition("://")
    if scheme == "file":
        return Path(unquote(urlsplit(place).path))
    # Three slashes precede a relative path, four an absolute one.
    return Path(path[1:]) if scheme.partition("+")[0] == "sqlite" else None


def head(place: str | Path) -> bytes:
    """Return the first bytes of a file; empty if it is unreadable."""
    path = as_file(place)
    try:
        if path is None or not path.is_file():
            return b""
        with path.open("rb") as handle:
            return handle.read(HEAD)
    except OSError:
        return b""


def sqlite_tables(place: str | Path) -> set[str]:
    """Return the table names of an SQLite file; empty for other and unreadable files."""
    if not head(place).startswith(SQLITE):
        return set()
    try:
        with sqlite(Path(place), check=False) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in rows}
    except DataError:
        return set()


@contextmanager
def sqlite(path: Path, *, check: bool = True) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file read-only, after an integrity check.

    Raises
    ------
    DataError
        The file is damaged or no database.
    """
    # Immutable creates no files next to it, but is wrong for a database with a write-ahead log.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    uri = f"{path.resolve().as_uri()}?{mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            if check:
                [answer] = connection.execute("PRAGMA quick_check(1)").fetchone()
                if answer != "ok":
                    raise sqlite3.DatabaseError(answer.strip())
            yield connection
    except sqlite3.DatabaseError as error:
        fix = "restore it from a copy; nothing was imported"
        raise DataError(f"{path} cannot be read: {error}", "a whole SQLite database", fix) from None


def read_bytes(place: str | Path) -> bytes:
    """Return the content of a file; NotFoundError if it is unreadable."""
    try:
        return Path(place).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotFoundError(f"{place} cannot be read: {reason}", "a file to import") from None


def parsed(data: bytes, place: object) -> Any:
    """Parse a JSON file in Python's dialect, which has NaN and infinities.

    Raises
    ------
    DataError
        The file is no JSON; the message gives line and column.

    Examples
    --------
    >>> parsed(b'{"loss": NaN}', "log.json")
    {'loss': nan}
    """
    expected = "a whole JSON file"
    fix = "restore it, or remove the damaged part; nothing was imported"
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is no text: byte {error.start}", expected, fix) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise DataError(f"{place} is no JSON from {where}", expected, fix) from None
    except RecursionError:
        raise DataError(f"{place} is nested too deeply", expected, fix) from None


def moment(value: object) -> str:
    """Return a time stamp in ISO 8601; in UTC if it has a zone, else unchanged.

    Raises
    ------
    UnusableError
        The value is no time.

    Examples
    --------
    >>> moment("2025-11-12 03:05:00"), moment("2025-11-12T03:05:00+01:00"), moment(0)
    ('2025-11-12T03:05:00', '2025-11-12T02:05:00.000Z', '1970-01-01T00:00:00.000Z')
    """
    if value is None or value == "":
        return NO_MOMENT
    try:
        stamp = _datetime(value)
    except (ValueError, OverflowError, OSError, TypeError):
        raise UnusableError(f"timestamp {value!r} is no time") from None
    if stamp.tzinfo is None:
        return stamp.isoformat()
    return stamp.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _datetime(value: Any) -> dt.datetime:
    if isinstance(value, str):
        return dt.datetime.fromisoformat(value)
    return dt.datetime.fromtimestamp(value / 1000 if abs(value) > _MILLISECONDS else value, dt.UTC)


def number(name: str, value: object) -> float:
    """Return a metric's value; null is NaN.

    Raises
    ------
    UnusableError
        The value is no number.
    """
    if value is None:
        return float("nan")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UnusableError(f"{name} is {value!r:.60}, not a number")
    try:
        return float(value)
    except OverflowError:
        raise UnusableError(f"{name} is too large for a number") from None


def checked(record: Record) -> Record:
    """Return the record if a database can store its texts.

    Raises
    ------
    UnusableError
        A text contains a zero character or half of a surrogate pair.
    """
    try:
        text = json_text(vars(record))
        storable = "\\u0000" not in text
        text.encode()
    except UnicodeEncodeError:
        storable = False
    if not storable:
        raise UnusableError("a text has characters that no database can store")
    return record


@contextmanager
def skip_unusable(problems: list[str], place: str) -> Iterator[None]:
    """Skip an unusable record and add its place and the reason to the problems."""
    try:
        yield
    except UnusableError as error:
        problems.append(f"{place}: {error}")


def source_of(name: str, records: Sequence[Record]) -> str:
    """Return the name of a source: the file's name, and a hash of its first record.

    Logs grow at their end, so the first record stays; the folder does not matter. The hash covers
    only fields that are not edited later.
    """
    if not records:
        return name
    first = records[0]
    parts = [first.run_id, first.model_name, first.timestamp, first.hyperparams]
    return f"{name}#{digest_bytes(json_text(parts).encode())[:8]}"
