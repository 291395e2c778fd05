"""Read-only access for the runtime and the command line, without SQLAlchemy.

Opening the record with SQLAlchemy takes longer than the whole answer of ``podium resolve``,
``list`` or ``show``, so this module uses the standard library for SQLite, psycopg for PostgreSQL.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from podium.config import without_password
from podium.errors import DataError, NotFoundError, UsageError, suggest
from podium.ledger import champions, failures
from podium.ledger.columns import json_column, stored_array
from podium.ledger.pieces import in_pieces, is_many
from podium.ledger.query import Parameter, Sql, condition
from podium.slot import Champion

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from psycopg import Connection

TABLES = {
    "studies": "study",
    "trials": "trial",
    "candidates": "candidate",
    "decisions": "decision",
    "evidence": "evidence",
    "datasets": "dataset",
}
JSON_COLUMNS = (
    "config",
    "contents",
    "evidence",
    "notes",
    "policy",
    "question",
    "extras",
    "scalars",
    "series",
    "tickers",
    "verdicts",
)
_DECODED = (*JSON_COLUMNS, "inputs", "machine", "outputs", "packages", "spec", "statistics")
# Looks of studies: trials with their place in the study.
LOOKS = (
    "(SELECT t.*, l.study_id, l.phase, l.number, l.seq AS look FROM study_trial l JOIN trial t "
    "ON t.project_id = l.project_id AND t.id = l.trial_id) AS looks"
)
# A SELECT with question marks, and its parameters.
Query: TypeAlias = tuple[str, Sequence[object]]
_FREE_TEXT = [(kind, "notes") for kind in ("trials", "trial", LOOKS)]
_OF_SLOT = {
    "trials": "t.id IN (SELECT l.trial_id FROM study_trial l JOIN study s "
    "ON s.project_id = l.project_id AND s.id = l.study_id WHERE s.slot = ?)",
    "evidence": "t.candidate_id IN (SELECT c.id FROM candidate c WHERE c.slot = ?)",
    "datasets": "t.fingerprint IN (SELECT c.dataset_fingerprint FROM candidate c WHERE c.slot = ?)",
}
_VERSION = "SELECT max(version) AS version FROM schema_version"
_STAGE = "(SELECT s.stage FROM stage s WHERE s.project_id = t.project_id AND s.candidate_id = t.id)"
_RESULT = (
    "(SELECT r.value FROM result r WHERE r.project_id = t.project_id AND r.trial_id = t.id "
    "AND r.metric = ?)"
)


class _Sqlite:
    """SQL of SQLite; :class:`_Postgres` has the same methods."""

    contains, name = "instr({}, ?) > 0", "sqlite"

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root

    def rows(self, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
        """Rows of a SELECT."""
        return self.snapshot([(sql, parameters)])[0]

    def snapshot(self, queries: Sequence[Query]) -> list[list[dict[str, Any]]]:
        """Rows of several SELECTs at one moment."""
        champions.require_record(self.path, self.root)
        return champions.snapshot(self.path, queries)

    def triggers(self) -> dict[str, str]:
        """Statement of each trigger by name."""
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        return {row["name"]: row["sql"] for row in self.rows(sql, ())}

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns in their order."""
        return [row["name"] for row in self.rows(f"PRAGMA table_info({table})", ())]

    def inside(self, column: str, name: str, *, number: bool) -> Sql:
        """SQL of a key of a JSON column, as a number if ``number``."""
        return Sql(f"json_extract({column}, ?)", (f'$."{name}"',))

    def keys(self, table: str, column: str, project_id: str) -> list[str]:
        """Every key that occurs in a JSON column."""
        source = f"{table} t, json_each(t.{column}) j"
        sql = f"SELECT DISTINCT j.key FROM {source} WHERE t.project_id = ?"
        return [row["key"] for row in self.rows(sql, (project_id,))]


class _Postgres:
    """SQL of PostgreSQL, and its connection."""

    contains, name = "strpos(({})::text, ?) > 0", "postgresql"

    def __init__(self, url: str) -> None:
        self.url = "postgresql://" + url.partition("://")[2]
        self.place = without_password(url)
        self._connection: Connection[dict[str, Any]] | None = None
        self._owner, self._lock = 0, threading.Lock()

    def rows(self, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
        return self.snapshot([(sql, parameters)])[0]

    def snapshot(self, queries: Sequence[Query]) -> list[list[dict[str, Any]]]:
        try:
            import psycopg
        except ImportError:
            raise failures.no_driver() from None
        plain = [
            (sql.replace("%", "%%").replace("?", "%s").encode(), parameters)
            for sql, parameters in queries
        ]
        try:
            try:
                return self._execute(plain)
            except psycopg.OperationalError:
                if self._connection is None or not self._connection.closed:
                    raise
                # The server was restarted since the last statement.
                return self._execute(plain)
        except psycopg.errors.UndefinedTable:
            raise NotFoundError("this database has no record yet", fix="run: podium run") from None
        except psycopg.errors.UndefinedColumn as error:
            raise DataError(
                f"{self.place}: {failures.first_line(error)}", "podium's record", champions.OLDER
            ) from None
        except (
            psycopg.errors.UndefinedFunction,
            psycopg.errors.InvalidTextRepresentation,
        ) as error:
            raise UsageError(
                f"a filter compares values of different types: {failures.first_line(error)}",
                "numbers with numbers and texts with texts",
            ) from None
        except psycopg.ProgrammingError:
            if self._connection is not None:
                raise
            # The URL cannot be read; the driver's message would repeat the password.
            raise failures.unknown(self.url) from None
        except psycopg.Error as error:
            raise failures.of_postgresql(error, self.place) from None

    def _execute(
        self, queries: Sequence[tuple[bytes, Sequence[object]]]
    ) -> list[list[dict[str, Any]]]:
        with self._lock:
            connection = self._connected()
            with connection.transaction():
                [row] = connection.execute(_VERSION)
                champions.require_version(row["version"], self.place)
                return [connection.execute(*query).fetchall() for query in queries]

    def triggers(self) -> dict[str, str]:
        """Body of the function that each active trigger calls, by the trigger's name."""
        rows = self.rows(
            "SELECT t.tgname AS name, p.prosrc AS body FROM pg_trigger t "
            "JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = current_schema() AND t.tgenabled IN ('O', 'A')",
            (),
        )
        return {row["name"]: row["body"] for row in rows}

    def _connected(self) -> Connection[dict[str, Any]]:
        """The reader's one connection, kept because making it costs more than most statements."""
        import psycopg
        from psycopg import IsolationLevel
        from psycopg.conninfo import conninfo_to_dict
        from psycopg.rows import dict_row

        if self._connection is None or self._connection.closed or self._owner != os.getpid():
            self._connection = None
            options: dict[str, Any] = {**conninfo_to_dict(self.url), "client_encoding": "utf8"}
            if "PGCONNECT_TIMEOUT" not in os.environ:
                options.setdefault("connect_timeout", failures.CONNECT_SECONDS)
            new = psycopg.connect(**options, autocommit=True, row_factory=dict_row)
            new.read_only, new.isolation_level = True, IsolationLevel.REPEATABLE_READ
            weakref.finalize(self, _close, new, os.getpid())
            self._connection, self._owner = new, os.getpid()
        return self._connection

    def columns(self, table: str) -> list[str]:
        rows = self.rows(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
            (table,),
        )
        return [row["column_name"] for row in rows]

    def inside(self, column: str, name: str, *, number: bool) -> Sql:
        json_ = _jsonb(column)
        text = f"({json_} ->> ?)"
        if not number:
            return Sql(text, (name,))
        return Sql(
            f"(CASE jsonb_typeof({json_} -> ?) WHEN 'number' THEN {text}::float8 "
            f"WHEN 'boolean' THEN {text}::boolean::int END)",
            (name, name, name),
        )

    def keys(self, table: str, column: str, project_id: str) -> list[str]:
        key = f"jsonb_object_keys({_jsonb(f't.{column}')}) AS key"
        sql = f"SELECT DISTINCT {key} FROM {table} t WHERE t.project_id = ?"
        return [row["key"] for row in self.rows(sql, (project_id,))]


def _close(connection: Connection[Any], owner: int) -> None:
    # A forked child shares the socket and would close its parent's connection.
    if owner == os.getpid():
        connection.close()


def _jsonb(column: str) -> str:
    """SQL of a column as JSON; NULL for texts with the character NUL, which PostgreSQL refuses."""
    return f"(CASE WHEN strpos({column}, '\\u0000') = 0 THEN {column}::jsonb END)"


class RecordReader:
    """Read-only access to a project's record.

    Every read raises NotFoundError if there is no record, DataError if it cannot be read.

    Parameters
    ----------
    url : str
        ``sqlite:///path`` or ``postgresql+psycopg://...``.
    root : Path
        The project's folder; relative SQLite paths start there.
    project_id : str
    """

    def __init__(self, url: str, root: Path, project_id: str) -> None:
        self.project_id = project_id
        self.root = root
        # The record's file; None for a record on a server.
        self.path: Path | None = None
        if url.startswith(champions.SCHEME):
            self.path = root / url.removeprefix(champions.SCHEME)
            self._database: _Sqlite | _Postgres = _Sqlite(self.path, root)
        elif url.partition("://")[0] in ("postgresql", "postgresql+psycopg"):
            self._database = _Postgres(url)
        else:
            raise failures.unknown(url)

    @property
    def exists(self) -> bool:
        """Whether there is a record to read."""
        if self.path is not None:
            return self.path.is_file() and self.path.stat().st_size > 0
        try:
            self.version()
        except NotFoundError:
            return False
        return True

    @property
    def begun(self) -> bool:
        """Whether the database has a record of the project."""
        return self.exists and bool(self._database.columns("project") and self.first("project"))

    def version(self) -> int:
        """Version of the record's schema."""
        [row] = self.query(_VERSION)
        return int(row["version"])

    def damage(self) -> str:
        """Damage that SQLite reports of the file; empty if there is none."""
        [row, *_] = self.query("PRAGMA integrity_check")
        [answer] = row.values()
        return "" if answer == "ok" else str(answer)

    def triggers(self) -> tuple[str, dict[str, str]]:
        """Name of the database's dialect, and the definition of each trigger by name."""
        return self._database.name, self._database.triggers()

    def snapshot(self, *queries: Query) -> list[list[dict[str, Any]]]:
        """Rows of several SELECTs at one moment, JSON columns as text."""
        return self._database.snapshot(queries)

    def query(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of a SELECT whose parameters are written as question marks."""
        return self._database.rows(sql, parameters)

    def select(
        self, table: str, columns: str = "*", *, order: str = "seq", **equal: Any
    ) -> list[dict[str, Any]]:
        """Rows of a table of the project, JSON columns decoded.

        Parameters
        ----------
        table : str
            Or :data:`LOOKS`.
        columns, order : str
            Names separated by commas; an empty order sorts nothing.
        equal : value, or collection of values
            Accepted values by column. A long collection is read in pieces, each in the order.
        """
        rows: list[dict[str, Any]] = []
        for some in in_pieces({"project_id": self.project_id, **equal}):
            accepted = {
                name: [*some[name]] if is_many(some[name]) else [some[name]] for name in some
            }
            where = " AND ".join(
                f"{name} IN ({', '.join('?' * len(values))})" for name, values in accepted.items()
            )
            ordered = f" ORDER BY {order}" if order else ""
            rows += self.query(
                f"SELECT {columns} FROM {table} WHERE {where}{ordered}",
                *(value for values in accepted.values() for value in values),
            )
        return [_decoded(table, row) for row in rows]

    def first(
        self, table: str, columns: str = "*", *, order: str = "seq", **equal: Any
    ) -> dict[str, Any] | None:
        """The first row of :meth:`select`, or None."""
        rows = self.select(table, columns, order=f"{order} LIMIT 1", **equal)
        return rows[0] if rows else None

    def array(self, name: str) -> NDArray[Any]:
        """Stored array with this hash.

        Raises
        ------
        NotFoundError
        """
        row = self.first("blob", hash=name)
        if row is None:
            raise NotFoundError(f"no stored series {name[:12]}", fix="run: podium doctor")
        return stored_array(row)

    def sequence(self) -> int:
        """Number of the newest decision; 0 if there is none."""
        rows = self.query(champions.SEQUENCE, self.project_id)
        return int(rows[0]["seq"]) if rows else 0

    def champions(self) -> dict[str, Champion]:
        """Champions by slot, after a comparison with the decisions that made them."""
        rows = self.query(champions.HOLDERS, self.project_id)
        return {row["slot"]: Champion(**champions.champion_facts(row)) for row in rows}

    def rows(
        self,
        kind: str,
        *,
        slot: str | None = None,
        where: str = "",
        sort: str = "",
        limit: int = -1,
    ) -> list[dict[str, Any]]:
        """Rows of one kind, JSON columns decoded; newest first.

        Parameters
        ----------
        kind : str
            A key of :data:`TABLES`.
        slot : str, optional
            Only rows of this slot.
        where : str
            A filter: ``val_loss<0.02 and family=lstm``; see :func:`podium.ledger.query.condition`.
        sort : str
            A name, after a minus for descending order; rows without a value come last.
        limit : int
            Largest number of rows; negative: all.

        Raises
        ------
        UsageError
            The filter cannot be read.
        NotFoundError
            The filter has an unknown name; near names are suggested.
        """
        conditions = ["t.project_id = ?"]
        values: list[Parameter] = [self.project_id]
        if slot is not None:
            conditions.append(_OF_SLOT.get(kind, "t.slot = ?"))
            values.append(slot)
        if where:
            filtered = condition(
                where,
                lambda name, *, number: self._column(kind, name, number=number),
                self._database.contains,
            )
            conditions.append(filtered.text)
            values.extend(filtered.values)
        fits = Sql(" AND ".join(conditions), tuple(values))
        if sort:
            order = self._sorted(kind, fits, sort, limit)
            by_seq = {row["seq"]: row for row in self.select(TABLES[kind], seq=order)}
            return [by_seq[seq] for seq in order]
        cut = f" LIMIT {limit}" if limit >= 0 else ""
        sql = f"SELECT t.* FROM {TABLES[kind]} t WHERE {fits.text} ORDER BY t.seq DESC{cut}"
        return [_decoded(kind, row) for row in self.query(sql, *fits.values)]

    def _sorted(self, kind: str, fits: Sql, sort: str, limit: int) -> list[int]:
        """Sorted sequence numbers of the rows that fit; whole rows are too wide to sort."""
        name, way = sort.removeprefix("-"), "DESC" if sort.startswith("-") else "ASC"
        cut = f" LIMIT {limit}" if limit >= 0 else ""
        if kind == "trials" and name not in self._columns(kind) and self._is_result(name):
            rows = self.query(
                "SELECT t.seq FROM result r JOIN trial t ON t.project_id = r.project_id "
                "AND t.id = r.trial_id WHERE r.project_id = ? AND r.metric = ? "
                f"AND r.value IS NOT NULL AND {fits.text} ORDER BY r.value {way}, t.seq DESC{cut}",
                self.project_id,
                name,
                *fits.values,
            )
            if len(rows) == limit:
                # The index returned the rows in order, without reading the others.
                return [row["seq"] for row in rows]
        keys = dict.fromkeys(self._column(kind, name, number=n) for n in (True, False))
        order = ", ".join(f"{key.text} {way} NULLS LAST" for key in keys)
        rows = self.query(
            f"SELECT t.seq FROM {TABLES[kind]} t WHERE {fits.text} "
            f"ORDER BY {order}, t.seq DESC{cut}",
            *fits.values,
            *(value for key in keys for value in key.values),
        )
        return [row["seq"] for row in rows]

    def _is_result(self, name: str) -> bool:
        return self.first("result", "metric", order="metric", metric=name) is not None

    def metrics(self) -> list[str]:
        """Names of all metrics that trials have results of; skips through the index."""
        names: list[str] = []
        sql = "SELECT min(metric) AS metric FROM result WHERE project_id = ? AND metric > ?"
        while True:
            [row] = self.query(sql, self.project_id, names[-1] if names else "")
            if row["metric"] is None:
                return names
            names.append(row["metric"])

    def _columns(self, kind: str) -> list[str]:
        return [name for name in self._database.columns(TABLES[kind]) if name != "project_id"]

    def _column(self, kind: str, name: str, *, number: bool) -> Sql:
        """SQL of a name: a column, a stage, a metric's result, or a config's parameter."""
        columns = self._columns(kind)
        if name in columns:
            return Sql(f"t.{name}")
        if kind == "candidates" and name == "stage":
            return Sql(_STAGE)
        if kind == "trials" and self._is_result(name):
            return Sql(_RESULT, (name,))
        if "config" in columns:
            inside = self._database.inside("t.config", name, number=number)
            fits = f"t.project_id = ? AND {inside.text} IS NOT NULL"
            sql = f"SELECT 1 AS yes FROM {TABLES[kind]} t WHERE {fits} LIMIT 1"
            if self.query(sql, self.project_id, *inside.values):
                return inside
            keys = self._database.keys(TABLES[kind], "config", self.project_id)
            if name in keys:
                return inside
            columns += keys
        columns += ["stage"] if kind == "candidates" else []
        columns += self.metrics() if kind == "trials" else []
        raise NotFoundError(f"{kind} have no '{name}'", fix=suggest(name, columns))

    def targets(self) -> list[dict[str, Any]]:
        """Target, mark and numbers of waiting and refused items of each projection."""
        return self.query(
            "SELECT p.target, p.mark, (SELECT count(*) FROM outbox o "
            "WHERE o.project_id = p.project_id AND o.seq > p.position) AS waiting, "
            "(SELECT count(*) FROM stuck s "
            "WHERE s.project_id = p.project_id AND s.target = p.target) AS refused "
            "FROM projection p WHERE p.project_id = ? ORDER BY p.target",
            self.project_id,
        )

    def stages(self) -> dict[str, str]:
        """Stages by candidate id."""
        rows = self.select("stage", order="candidate_id")
        return {row["candidate_id"]: row["stage"] for row in rows}

    def find(self, start: str) -> tuple[str, dict[str, Any]]:
        """Kind and row of the only id or run id that starts with a text.

        Raises
        ------
        NotFoundError
            No id, or more than one, starts with it.
        """
        names = [(kind, "id") for kind in TABLES if kind != "datasets"] + [("trials", "run_id")]
        matches = []
        for kind, name in names:
            # Bounds, unlike LIKE, use the column's index.
            fits = f"project_id = ? AND {name} >= ? AND {name} < ?"
            sql = f"SELECT * FROM {TABLES[kind]} WHERE {fits} ORDER BY {name} LIMIT 3"
            rows = self.query(sql, self.project_id, start, start + "\U0010ffff")
            matches += [(kind, _decoded(kind, row)) for row in rows]
        exact = [each for each in matches if start in (each[1]["id"], each[1].get("run_id"))]
        matches = exact or matches
        if len(matches) > 1:
            ids = ", ".join(row.get("run_id") or row["id"] for _, row in matches)
            raise NotFoundError(f"several ids start with '{start}': {ids}", fix="type more of it")
        if not matches:
            raise NotFoundError(
                f"no id starts with '{start}'",
                fix="run: podium list candidates, or: podium list trials",
            )
        return matches[0]


def _decoded(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """Row with decoded JSON columns and without ``project_id``."""
    for name in _DECODED:
        # A trial's notes are free text.
        if isinstance(row.get(name), str) and (kind, name) not in _FREE_TEXT:
            row[name] = json_column(row, name)
    row.pop("project_id", None)
    return row


def by(
    name: str, ids: Sequence[str], rows: Sequence[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Rows grouped by id, without that column; ids without rows have an empty list."""
    groups: dict[str, list[dict[str, Any]]] = {id_: [] for id_ in ids}
    for row in rows:
        groups[row.pop(name)].append(row)
    return groups
