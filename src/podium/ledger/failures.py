"""Errors of the databases as podium's errors, with their remedies."""

from __future__ import annotations

from podium.config import without_password
from podium.errors import DataError, MissingExtraError, UsageError

# Longest wait of a writer for another one.
BUSY_SECONDS = 30
# Short enough that a command does not seem to hang when the server does not answer.
CONNECT_SECONDS = 10
NO_RIGHT = "42501"
AGAIN = "run the same command again; every finished trial is kept"


def first_line(error: BaseException) -> str:
    """First line of an error's text, or the name of its class if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def unknown(url: str) -> UsageError:
    """Error for a URL that cannot be read or names no database podium supports."""
    return UsageError(
        f"ledger.url is {without_password(url)!r}",
        "sqlite:///path or postgresql+psycopg://user@host/database",
    )


def no_driver() -> MissingExtraError:
    """Error for a missing PostgreSQL driver."""
    return MissingExtraError(
        "ledger.url needs the package 'psycopg', which is not installed",
        fix="run: pip install 'podium[postgresql]'",
    )


def locked(place: object) -> DataError:
    """Error for a lock that another writer did not release."""
    return DataError(
        f"{place} was locked by another process for {BUSY_SECONDS} s",
        "a lock that is released between writes",
        "run: podium doctor; if a program holds the record open for writing, end that program",
    )


def unreadable(place: object, error: BaseException | None) -> DataError:
    """Error for a file or database that is no record, or a damaged one."""
    return DataError(
        f"{place} cannot be read as podium's record: {error}",
        "a database made by podium",
        "restore it from a backup, or set ledger.url to another database",
    )


def is_full(error: BaseException) -> bool:
    """Whether an error of the sqlite3 module means that the disk is full."""
    # The file shared by connections could not grow; SQLite reports that as an input/output error.
    no_room = getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE"
    return "full" in str(error) or no_room


def of_sqlite(error: BaseException, place: object) -> DataError:
    """Error that explains one of the sqlite3 module."""
    text = str(error)
    if "locked" in text:
        return locked(place)
    if is_full(error):
        return DataError(
            f"the disk of {place} is full", "space for the record", f"free some space and {AGAIN}"
        )
    if "malformed" in text or "not a database" in text:
        return unreadable(place, error)
    return DataError(f"{place}: {text}", "a writable record", "run: podium doctor")


def of_postgresql(error: BaseException, place: object) -> DataError:
    """Error that explains one of psycopg; ``place`` is the URL without its password."""
    state = getattr(error, "sqlstate", None) or ""
    if state == "55P03":
        return locked(place)
    if state == "53100":
        return DataError(
            f"the disk of the server of {place} is full",
            "space for the record",
            f"free some space there and {AGAIN}",
        )
    if state == "25006":
        return DataError(
            f"{place} is read-only: {first_line(error)}",
            "the primary server, not a replica",
            "correct ledger.url",
        )
    if state == NO_RIGHT:
        return DataError(
            f"{place} refuses podium's role: {first_line(error)}",
            "a role that may create tables in its schema and write to them",
            "grant these rights to the role, or set another role in ledger.url",
        )
    if state[:2] in ("", "08", "28", "3D", "40", "53", "57"):
        return DataError(
            f"{place} cannot be used: {first_line(error)}",
            "a PostgreSQL server that accepts podium's connections",
            f"start it or correct ledger.url; then {AGAIN}",
        )
    return DataError(f"{place}: {first_line(error)}", "podium's record", "run: podium doctor")
