"""Ledger: the connection to the record, its transactions, its schema version."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import sqlalchemy as sa

from podium.config import without_password
from podium.errors import DataError
from podium.hashing import digest
from podium.ledger import failures, schema
from podium.ledger.champions import require_version
from podium.ledger.deferred_signals import deferred_signals
from podium.ledger.failures import BUSY_SECONDS, CONNECT_SECONDS

P = ParamSpec("P")
T = TypeVar("T")

# Options of a connection in a read transaction.
_SQLITE_READ: dict[str, Any] = {"podium_reading": True}
_POSTGRESQL_READ = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
# Longest time that a lost connection can block the other writers.
IDLE_SECONDS = 300
# Durable writes force synchronous_commit on; stronger settings of a server are kept.
_SETTINGS = """
    SELECT set_config('lock_timeout', :busy, true),
           set_config('idle_in_transaction_session_timeout', :idle, true),
           set_config('synchronous_commit',
                      CASE WHEN NOT :durable THEN 'off'
                           WHEN current_setting('synchronous_commit') = 'off' THEN 'on'
                           ELSE current_setting('synchronous_commit') END, true)
"""


def now() -> str:
    """Current UTC time, ISO 8601 with milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Transaction:
    """A read or write transaction of a ledger; code outside the ledger only passes it on."""

    def __init__(self, ledger: Ledger, connection: sa.Connection) -> None:
        self.ledger, self.connection = ledger, connection
        self.project_id, self.execute = ledger.project_id, connection.execute


# A function that runs in a transaction, with its further arguments.
Work: TypeAlias = Callable[Concatenate[Transaction, P], T]


class Ledger:
    """The record of one project in one database; only the driver opens it.

    Parameters
    ----------
    url : str
        ``sqlite:///path`` or ``postgresql+psycopg://...``.
    root : Path
        The project's folder; relative SQLite paths start there.
    project_id, project_name : str
    before_new : callable, optional
        Called before the project's record is created; an error of it prevents that.

    Raises
    ------
    UsageError
        The URL cannot be read.
    DataError
        The URL leads to no database or not to podium's, or to one that was written by a newer
        podium or does not answer.
    MissingExtraError
        PostgreSQL's driver is not installed.
    """

    def __init__(
        self,
        url: str,
        root: Path,
        project_id: str,
        project_name: str,
        before_new: Callable[[], None] = lambda: None,
    ) -> None:
        self.project_id, self._before_new = project_id, before_new
        # Template of MLflow run names set by the current command, and the command.
        self.run_name = self.verb = ""
        place = _parsed(url, root)
        self.is_sqlite = place.get_backend_name() == "sqlite"
        self.place = str(place.database) if self.is_sqlite else without_password(url)
        try:
            self.engine = sa.create_engine(
                place,
                connect_args=_connect_args(place),
                # A server may restart between two transactions of a long run.
                pool_pre_ping=not self.is_sqlite,
            )
        except ImportError:
            raise failures.no_driver() from None
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_immediate)
        try:
            self._open(project_name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Transaction]:
        """Open one write transaction; a ``durable`` one is flushed to the disk at its end.

        Starts of trials may be lost with the machine, because a run repeats them identically, so
        they are not flushed; ends and decisions are. Ctrl-C takes effect after the commit.
        """
        with deferred_signals(), self._connection() as connection:
            if self.is_sqlite:
                # Through the driver, because SQLAlchemy would begin a transaction first.
                raw = connection.connection.cursor()
                raw.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                raw.close()
            with connection.begin():
                if not self.is_sqlite:
                    self._lock_writers(connection, durable)
                yield Transaction(self, connection)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Open one consistent read transaction, without a write lock."""
        with self._connection() as connection:
            connection.execution_options(**(_SQLITE_READ if self.is_sqlite else _POSTGRESQL_READ))
            with connection.begin():
                yield Transaction(self, connection)

    def read(self, question: Work[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Return ``question(tx, ...)``, called in a new :meth:`reading`."""
        with self.reading() as tx:
            return question(tx, *arguments, **named)

    def write(self, work: Work[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Return ``work(tx, ...)``, called in a new :meth:`transaction`, not flushed."""
        with self.transaction() as tx:
            return work(tx, *arguments, **named)

    def write_durably(self, work: Work[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Return ``work(tx, ...)``, called in a new durable :meth:`transaction`."""
        with self.transaction(durable=True) as tx:
            return work(tx, *arguments, **named)

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """Connection whose database errors are raised as podium's errors."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            if error.orig is None or not _is_database_error(error):
                raise
            explain = failures.of_sqlite if self.is_sqlite else failures.of_postgresql
            raise explain(error.orig, self.place) from error
        except sqlite3.Error as error:
            raise failures.of_sqlite(error, self.place) from error

    def _lock_writers(self, connection: sa.Connection, durable: bool) -> None:
        """Allow one writer of a project at a time, as SQLite does.

        The outbox and the chain of decisions rely on sequence numbers in the order of commits.
        """
        settings = {"busy": f"{BUSY_SECONDS}s", "idle": f"{IDLE_SECONDS}s", "durable": durable}
        connection.execute(sa.text(_SETTINGS), settings)
        turn = int(digest(["podium", self.project_id])[:15], 16)
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": turn})

    def _open(self, project_name: str) -> None:
        if self.is_sqlite and not _has_tables(Path(self.place)):
            # Before SQLite creates the file.
            self._before_new()
        try:
            with self.transaction() as tx:
                self._upgrade(tx.connection)
                project = schema.project
                own = project.c.project_id == self.project_id
                if tx.execute(sa.select(project.c.name).where(own)).first() is None:
                    self._before_new()
                    row = {"project_id": self.project_id, "name": project_name}
                    tx.execute(project.insert().values(**row, created_at=now()))
        except sa.exc.DatabaseError as error:
            raise failures.unreadable(self.place, error.orig) from None

    def _upgrade(self, connection: sa.Connection) -> None:
        if not self.is_sqlite:
            # All projects of a database share one schema, so its creation is locked too.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7063)"))
            _require_utf8(connection, self.place)
        inspected = sa.inspect(connection)
        tables = inspected.get_table_names()
        if "schema_version" not in tables:
            # A server's database may also hold tables of other programs, under other names.
            _require_none(self.place, {*tables} & {*schema.metadata.tables})
            schema.metadata.create_all(connection)
            connection.execute(
                schema.schema_version.insert().values(version=schema.VERSION, applied_at=now())
            )
            return
        # Records from before the first release have version 1 too, but lack this column.
        if "hash" not in {column["name"] for column in inspected.get_columns("test_look")}:
            raise DataError(
                f"{self.place} was made before podium's first release",
                f"a record of schema version {schema.VERSION}",
                "move it away, then run: podium run",
            )
        newest = sa.select(sa.func.max(schema.schema_version.c.version))
        require_version(connection.execute(newest).scalar_one(), self.place)


def _parsed(url: str, root: Path) -> sa.URL:
    """URL with an absolute path, or with the driver's name."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise failures.unknown(url) from None
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise failures.unknown(url)
    return parsed.set(database=str(root / parsed.database))


def _connect_args(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": BUSY_SECONDS}
    is_set = "connect_timeout" in url.query or "PGCONNECT_TIMEOUT" in os.environ
    timeout = {} if is_set else {"connect_timeout": CONNECT_SECONDS}
    return {"client_encoding": "utf8", **timeout}


def _is_database_error(error: sa.exc.DBAPIError) -> bool:
    """Whether the database's state causes the error, not a defect of podium."""
    kinds = (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError)
    damaged = type(error) is sa.exc.DatabaseError
    no_right = getattr(error.orig, "sqlstate", None) == failures.NO_RIGHT
    return isinstance(error, kinds) or damaged or no_right


def _require_utf8(connection: sa.Connection, place: str) -> None:
    encoding = connection.execute(sa.text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise DataError(
            f"{place} stores texts as {encoding}",
            "UTF8",
            "make another database: createdb -E UTF8 -T template0 NAME",
        )


def _require_none(place: object, tables: set[str]) -> None:
    """Refuse a database whose tables are not podium's."""
    if tables:
        raise DataError(
            f"{place} holds other tables ({', '.join(sorted(tables)[:3])} ...)",
            "an empty database or podium's own",
            "set ledger.url to another database",
        )


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver must not begin transactions: BEGIN IMMEDIATE below takes the write lock first, so
    # a second writer waits instead of failing half way.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=NORMAL")
    # Unlike statements, a change of the mode does not wait for other processes.
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if failures.is_full(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _has_tables(path: Path) -> bool:
    """Whether a file holds a record; a file that is not podium's is refused before any write."""
    if not path.is_file() or not path.stat().st_size:
        return False
    # ``immutable`` makes no further files, but ignores a log that is not yet merged.
    has_log = path.with_name(path.name + "-wal").exists()
    mode = "mode=ro" if has_log else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in rows}
    except sqlite3.OperationalError:
        # Another process is making the file; the first transaction waits for it.
        return True
    except sqlite3.DatabaseError as error:
        raise failures.unreadable(path, error) from None
    if "schema_version" not in tables:
        _require_none(path, tables)
    return bool(tables)


def _begin_immediate(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("podium_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
