"""Ledger: the connection to the record, its transactions, its schema version."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from podium.errors import DataError, MissingExtraError, UsageError
from podium.hashing import digest
from podium.ledger import schema
from podium.ledger.migrations import MIGRATIONS

BUSY_SECONDS = 30


def now() -> str:
    """Current UTC time, ISO 8601 with milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def first_link(project_id: str) -> str:
    """What the first decision of a project has in place of the hash before it."""
    return digest(["podium", project_id])


class Ledger:
    """The record of one project in one database; only the driver opens it.

    Parameters
    ----------
    url : str
        ``sqlite:///path`` or ``postgresql+psycopg://...``.
    root : Path
        The project's folder; relative SQLite paths start there.
    project_id, project_name : str

    Raises
    ------
    UsageError
        The URL cannot be understood.
    DataError
        The file is no database, or was written by a newer podium.
    """

    def __init__(self, url: str, root: Path, project_id: str, project_name: str) -> None:
        self.project_id = project_id
        try:
            parsed = sa.make_url(url)
            if parsed.get_backend_name() == "sqlite":
                if not parsed.database or parsed.database == ":memory:":
                    raise UsageError(
                        f"ledger.url is {url!r}", "a file, such as sqlite:///podium.db"
                    )
                parsed = parsed.set(database=str(root / parsed.database))
            self.engine = sa.create_engine(parsed, connect_args=_connect_args(parsed))
        except sa.exc.ArgumentError:
            raise UsageError(f"ledger.url is {url!r}", "an SQLAlchemy URL") from None
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"ledger.url needs the package '{error.name}', which is not installed",
                fix=f"run: pip install {error.name}",
            ) from None
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_immediate)
        self.place = str(parsed.database) if self.is_sqlite else parsed.render_as_string()
        self._open(project_name)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sa.Connection]:
        """One write transaction; ``durable`` returns only when its end is on the disk.

        Starts may be lost with the machine (they are asked again, identically), so they are not
        flushed; ends and decisions are.
        """
        with self._connection() as connection:
            if self.is_sqlite:
                # Outside a transaction, and through the driver: SQLAlchemy would begin one.
                raw = connection.connection.cursor()
                raw.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                raw.close()
            try:
                with connection.begin():
                    if not self.is_sqlite:
                        self._take_turns(connection, durable)
                    yield connection
            except sa.exc.OperationalError as error:
                raise _explained(error, self.place) from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One consistent view of the record that takes no write lock."""
        with self._connection() as connection:
            if self.is_sqlite:
                connection.execution_options(podium_reading=True)
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            try:
                with connection.begin():
                    yield connection
            except sa.exc.OperationalError as error:
                raise _explained(error, self.place) from error

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        try:
            connection = self.engine.connect()
        except sa.exc.OperationalError as error:
            raise _explained(error, self.place) from None
        with connection:
            yield connection

    def _take_turns(self, connection: sa.Connection, durable: bool) -> None:
        """Let one writer of a project in at a time, as SQLite does by itself.

        So sequence numbers appear in the order of commits, which the outbox and the chain of
        decisions rely on. What need not be flushed is not waited for.
        """
        turn = int(digest(["podium", self.project_id])[:15], 16)
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": turn})
        if not durable:
            connection.execute(sa.text("SET LOCAL synchronous_commit TO OFF"))

    def _open(self, project_name: str) -> None:
        if self.is_sqlite:
            _require_own(Path(self.place))
        try:
            with self.transaction() as connection:
                self._upgrade(connection)
                present = connection.execute(
                    sa.select(schema.project.c.name).where(
                        schema.project.c.project_id == self.project_id
                    )
                ).first()
                if present is None:
                    connection.execute(
                        schema.project.insert().values(
                            project_id=self.project_id, name=project_name, created_at=now()
                        )
                    )
        except sa.exc.DatabaseError as error:
            raise _unreadable(self.place, error.orig) from None

    def _upgrade(self, connection: sa.Connection) -> None:
        if not self.is_sqlite:
            # One schema for all projects of a database, so their first writers wait too.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7063)"))
        tables = sa.inspect(connection).get_table_names()
        if "schema_version" not in tables:
            schema.metadata.create_all(connection)
            found = schema.VERSION
            _stamp(connection, found)
        else:
            newest = sa.select(sa.func.max(schema.schema_version.c.version))
            found = int(connection.execute(newest).scalar_one())
        if found > schema.VERSION:
            raise DataError(
                f"{self.place} has schema version {found}, written by a newer podium",
                f"at most {schema.VERSION}",
                "run: pip install --upgrade podium",
            )
        for version in range(found, schema.VERSION):
            MIGRATIONS[version](connection)
            _stamp(connection, version + 1)


def _stamp(connection: sa.Connection, version: int) -> None:
    connection.execute(schema.schema_version.insert().values(version=version, applied_at=now()))


def _connect_args(url: sa.URL) -> dict[str, Any]:
    return {"timeout": BUSY_SECONDS} if url.get_backend_name() == "sqlite" else {}


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver must not begin by itself: BEGIN IMMEDIATE below takes the write lock up front, so
    # two writers queue instead of failing half way.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=NORMAL")
    # Changing the mode does not wait for other processes the way statements do.
    give_up = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _require_own(path: Path) -> None:
    """Refuse a file that is not podium's, before anything is written to it."""
    if not path.is_file() or not path.stat().st_size:
        return
    # Immutable leaves no files beside it, but must not be said of one whose log is still waiting.
    waiting = path.with_name(path.name + "-wal").exists()
    how = "mode=ro" if waiting else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in rows}
    except sqlite3.OperationalError:
        # Being made by another process at this moment; the transaction below will wait for it.
        return
    except sqlite3.DatabaseError as error:
        raise _unreadable(path, error) from None
    if tables and "schema_version" not in tables:
        raise DataError(
            f"{path} holds other tables ({', '.join(sorted(tables)[:3])} ...)",
            "an empty database or podium's own",
            "set ledger.url to another file",
        )


def _unreadable(place: object, error: object) -> DataError:
    return DataError(
        f"{place} cannot be read as podium's record: {error}",
        "a database that podium made",
        "restore it from a backup, or set ledger.url to another file",
    )


def _begin_immediate(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("podium_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _explained(error: sa.exc.OperationalError, place: str) -> DataError:
    text = str(error.orig)
    if place.startswith("postgresql"):
        return DataError(
            f"{place} does not answer: {text.strip().splitlines()[0]}",
            "a PostgreSQL server that takes podium's connections",
            "start it or correct ledger.url; then run the same command again",
        )
    if "locked" in text:
        return DataError(
            f"{place} was locked by another process for {BUSY_SECONDS} s",
            "writers that take turns",
            "run: podium doctor; if a program holds the file open for writing, end it",
        )
    if "full" in text:
        return DataError(
            f"the disk under {place} is full",
            "room for the record",
            "free some space and run the same command again; every finished trial is kept",
        )
    return DataError(f"{place}: {text}", "a record that can be written", "run: podium doctor")
