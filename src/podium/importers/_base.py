"""The contract of an importer, and what all of them share.

``importers/<name>.py`` has two functions: ``recognizes(place) -> bool``, which looks at a file's
name and first bytes and never runs anything from it, and ``read(place, **options)``, one
``Imported`` for each group of records that can be compared. ``OPTIONS`` names the options it takes.
A place is a file or a URL. What a record has beside the fields of ``Record`` is in its ``said``
under ``told``; an ``id`` there is what the other tool calls it, and makes it the same record at the
next import even if it was edited meanwhile.
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
# Older tools wrote no time stamp; a made-up one would not be the same at the next import.
NO_MOMENT = "1970-01-01T00:00:00Z"
# Above this a number of seconds lies beyond the year 5000: it counts milliseconds.
_MILLISECONDS = 1e11


class UnusableError(Exception):
    """Why one record cannot be taken; the others can."""


@dataclass(frozen=True)
class Imported:
    """What a file holds.

    Parameters
    ----------
    source : str
        What it is, for people and for the record: records of one source are comparable among
        themselves, and the same record of the same source is written once.
    records : sequence of Record
        In the file's order.
    problems : sequence of str
        What could not be read and was left out, each with its place.
    """

    source: str
    records: Sequence[Record]
    problems: Sequence[str] = ()


def as_file(place: str | Path) -> Path | None:
    """The place as a path, also where a URL says it; None for a server.

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
    # Three slashes are followed by a path relative to here, four by one from the root.
    return Path(path[1:]) if scheme.partition("+")[0] == "sqlite" else None


def head(place: str | Path) -> bytes:
    """First bytes of a file; empty where there is none to read."""
    path = as_file(place)
    try:
        if path is None or not path.is_file():
            return b""
        with path.open("rb") as handle:
            return handle.read(HEAD)
    except OSError:
        return b""


def sqlite_tables(place: str | Path) -> set[str]:
    """Names of the tables of an SQLite file; empty where it is none or cannot be read."""
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
    """An SQLite file opened so that nothing can be written to it, its pages looked at first.

    Raises
    ------
    DataError
        It is damaged, or no such database.
    """
    # Immutable leaves no files beside it, but must not be said of one whose log is still waiting.
    waiting = path.with_name(path.name + "-wal").exists()
    how = "mode=ro" if waiting else "immutable=1"
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=30)
        ) as connection:
            connection.row_factory = sqlite3.Row
            if check:
                [answer] = connection.execute("PRAGMA quick_check(1)").fetchone()
                if answer != "ok":
                    raise sqlite3.DatabaseError(answer.strip())
            yield connection
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{path} cannot be read: {error}",
            "a whole SQLite database",
            "restore it from a copy; nothing was imported",
        ) from None


def whole(place: str | Path) -> bytes:
    """All bytes of a file.

    Raises
    ------
    NotFoundError
    """
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"{place} cannot be read: {(error.strerror or str(error)).lower()}", "a file to import"
        ) from None


def parsed(data: bytes, place: object) -> Any:
    """Value of a JSON file in Python's dialect, which has NaN and infinities.

    Raises
    ------
    DataError
        It is no JSON, with the line where it stops being so.

    Examples
    --------
    >>> parsed(b'{"loss": NaN}', "log.json")
    {'loss': nan}
    """
    expected = "a whole JSON file"
    fix = "restore it, or take out what is damaged; nothing was imported"
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
    """A time stamp as ISO 8601; one with a zone in UTC, one without as it was told.

    Raises
    ------
    UnusableError
        It is no time.

    Examples
    --------
    >>> moment("2025-11-12 03:05:00"), moment("2025-11-12T03:05:00+01:00"), moment(0)
    ('2025-11-12T03:05:00', '2025-11-12T02:05:00.000Z', '1970-01-01T00:00:00.000Z')
    """
    if value is None or value == "":
        return NO_MOMENT
    try:
        told = _datetime(value)
    except (ValueError, OverflowError, OSError, TypeError):
        raise UnusableError(f"timestamp {value!r} is no time") from None
    if told.tzinfo is None:
        return told.isoformat()
    return told.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _datetime(value: Any) -> dt.datetime:
    if isinstance(value, str):
        return dt.datetime.fromisoformat(value)
    return dt.datetime.fromtimestamp(value / 1000 if abs(value) > _MILLISECONDS else value, dt.UTC)


def number(name: str, value: object) -> float:
    """A metric's value; null is NaN.

    Raises
    ------
    UnusableError
        It is no number.
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
    """The record, if a database can hold every text of it.

    Raises
    ------
    UnusableError
        A text holds a zero character or half of a surrogate pair.
    """
    try:
        text = json_text(vars(record))
        held = "\\u0000" not in text
        text.encode()
    except UnicodeEncodeError:
        held = False
    if not held:
        raise UnusableError("a text in it holds characters that no database takes")
    return record


@contextmanager
def left_out(problems: list[str], place: str) -> Iterator[None]:
    """Take one record: where it is unusable, why is added to the problems, after its place."""
    try:
        yield
    except UnusableError as error:
        problems.append(f"{place}: {error}")


def source_of(name: str, records: Sequence[Record]) -> str:
    """Name of a source: the file's, and what its first record is.

    Logs grow at their end, so the first record stays; where the file lies does not matter. Of the
    record only what nobody edits later is looked at.
    """
    if not records:
        return name
    first = records[0]
    parts = [first.run_id, first.model_name, first.timestamp, first.hyperparams]
    return f"{name}#{digest_bytes(json_text(parts).encode())[:8]}"
