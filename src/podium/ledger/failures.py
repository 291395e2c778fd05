"""What the databases' own errors mean to a person, and what to do about them."""

from __future__ import annotations

from podium.config import without_password
from podium.errors import DataError, MissingExtraError, UsageError

# How long a writer waits for another one.
BUSY_SECONDS = 30
# A server that does not answer is found out before anybody thinks the command hangs.
CONNECT_SECONDS = 10
NO_RIGHT = "42501"
AGAIN = "run the same command again; every finished trial is kept"


def told(error: BaseException) -> str:
    """First line of an error's text, or its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def unknown(url: str) -> UsageError:
    """The URL names no database podium knows, or cannot be read."""
    return UsageError(
        f"ledger.url is {without_password(url)!r}",
        "sqlite:///path or postgresql+psycopg://user@host/database",
    )


def no_driver() -> MissingExtraError:
    """PostgreSQL's driver cannot be imported."""
    return MissingExtraError(
        "ledger.url needs the package 'psycopg', which is not installed",
        fix="run: pip install 'podium[postgresql]'",
    )


def locked(place: object) -> DataError:
    """Another writer did not end."""
    return DataError(
        f"{place} was locked by another process for {BUSY_SECONDS} s",
        "writers that take turns",
        "run: podium doctor; if a program holds it open for writing, end it",
    )


def unreadable(place: object, error: BaseException | None) -> DataError:
    """It is no record, or a damaged one."""
    return DataError(
        f"{place} cannot be read as podium's record: {error}",
        "a database that podium made",
        "restore it from a backup, or set ledger.url to another one",
    )


def is_full(error: BaseException) -> bool:
    """Whether an error of the sqlite3 module means that the disk is full."""
    # The file that connections share could not grow; SQLite calls that an input/output error.
    no_room = getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE"
    return "full" in str(error) or no_room


def of_sqlite(error: BaseException, place: object) -> DataError:
    """What an error of the sqlite3 module means."""
    text = str(error)
    if "locked" in text:
        return locked(place)
    if is_full(error):
        return DataError(
            f"the disk under {place} is full", "room for the record", f"free some space and {AGAIN}"
        )
    if "malformed" in text or "not a database" in text:
        return unreadable(place, error)
    return DataError(f"{place}: {text}", "a record that can be written", "run: podium doctor")


def of_postgresql(error: BaseException, place: object) -> DataError:
    """What an error of psycopg means; ``place`` is the URL without its password."""
    state = getattr(error, "sqlstate", None) or ""
    if state == "55P03":
        return locked(place)
    if state == "53100":
        return DataError(
            f"the disk of the server of {place} is full",
            "room for the record",
            f"free some space there and {AGAIN}",
        )
    if state == "25006":
        return DataError(
            f"{place} takes no writes: {told(error)}",
            "the primary server, not a copy of it",
            "correct ledger.url",
        )
    if state == NO_RIGHT:
        return DataError(
            f"{place} refuses podium's role: {told(error)}",
            "a role that may make tables in its schema and write to them",
            "grant it these rights, or name another role in ledger.url",
        )
    if state[:2] in ("", "08", "28", "3D", "40", "53", "57"):
        return DataError(
            f"{place} cannot be used: {told(error)}",
            "a PostgreSQL server that takes podium's connections",
            f"start it or correct ledger.url; then {AGAIN}",
        )
    return DataError(f"{place}: {told(error)}", "podium's record", "run: podium doctor")
