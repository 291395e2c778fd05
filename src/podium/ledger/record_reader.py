"""Plain reads for the runtime and the command line: one small driver, never a write.

Opening podium's record with SQLAlchemy costs more than the whole answer; ``podium resolve``,
``list`` and ``show`` come through here: the standard library for SQLite, psycopg for PostgreSQL.
"""

from __future__ import annotations

import abc
import json
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium.config import without_password
from podium.errors import DataError, NotFoundError, UsageError, suggest
from podium.ledger import champions, failures
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
    "said",
    "scalars",
    "series",
    "tickers",
    "verdicts",
)
_DECODED = (*JSON_COLUMNS, "inputs", "machine", "outputs", "packages", "spec", "told")
# What a study looked at: its trials, each with its place in the study.
LOOKS = (
    "(SELECT t.*, l.study_id, l.phase, l.number, l.seq AS look FROM study_trial l JOIN trial t "
    "ON t.project_id = l.project_id AND t.id = l.trial_id) AS looks"
)
_WORDS = [(kind, "notes") for kind in ("trials", "trial", LOOKS)]
_OF_SLOT = {
    "trials": "t.id IN (SELECT l.trial_id FROM study_trial l JOIN study s "
    "ON s.project_id = l.project_id AND s.id = l.study_id WHERE s.slot = ?)",
    "evidence": "t.candidate_id IN (SELECT c.id FROM candidate c WHERE c.slot = ?)",
    "datasets": "t.fingerprint IN (SELECT c.dataset_fingerprint FROM candidate c WHERE c.slot = ?)",
}
_STAGE = "(SELECT s.stage FROM stage s WHERE s.project_id = t.project_id AND s.candidate_id = t.id)"
_RESULT = (
    "(SELECT r.value FROM result r WHERE r.project_id = t.project_id AND r.trial_id = t.id "
    "AND r.metric = ?)"
)


class _Database(abc.ABC):
    """What the two databases say differently."""

    contains: str

    @abc.abstractmethod
    def rows(self, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
        """Rows of a SELECT."""

    @abc.abstractmethod
    def columns(self, table: str) -> list[str]:
        """Names of a table's columns in their order."""

    @abc.abstractmethod
    def inside(self, column: str, name: str, *, number: bool) -> Sql:
        """Value of a key of a JSON column, as a number or as it is."""

    def starting(self, column: str, text: str) -> Sql:
        """Whether a column starts with a text, found through its index where it has one."""
        return Sql(f"{column} >= ? AND {column} < ?", (text, text + "\U0010ffff"))

    @abc.abstractmethod
    def keys(self, table: str, column: str, project_id: str) -> list[str]:
        """Every key that occurs in a JSON column."""


class _Sqlite(_Database):
    contains = "instr({}, ?) > 0"

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
        return champions.rows(self.path, sql, parameters)

    def columns(self, table: str) -> list[str]:
        return [row["name"] for row in self.rows(f"PRAGMA table_info({table})", ())]

    def inside(self, column: str, name: str, *, number: bool) -> Sql:
        return Sql(f"json_extract({column}, ?)", (f'$."{name}"',))

    def keys(self, table: str, column: str, project_id: str) -> list[str]:
        rows = self.rows(
            f"SELECT DISTINCT j.key FROM {table} t, json_each(t.{column}) j WHERE t.project_id = ?",
            (project_id,),
        )
        return [row["key"] for row in rows]


class _Postgres(_Database):
    contains = "strpos(({})::text, ?) > 0"

    def __init__(self, url: str) -> None:
        self.url = "postgresql://" + url.partition("://")[2]
        self.place = without_password(url)
        self._connection: Connection[dict[str, Any]] | None = None
        self._owner, self._turn = 0, threading.Lock()

    def rows(self, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
        try:
            import psycopg
        except ImportError:
            raise failures.no_driver() from None
        plain = sql.replace("%", "%%").replace("?", "%s").encode()
        try:
            try:
                return self._ask(plain, parameters)
            except psycopg.OperationalError:
                if self._connection is None or not self._connection.closed:
                    raise
                # The server was restarted since the last question.
                return self._ask(plain, parameters)
        except psycopg.errors.UndefinedTable:
            raise NotFoundError("no record in this database yet", fix="run: podium run") from None
        except psycopg.errors.UndefinedColumn as error:
            raise DataError(
                f"{self.place}: {failures.told(error)}", "podium's record", champions.OLDER
            ) from None
        except (
            psycopg.errors.UndefinedFunction,
            psycopg.errors.InvalidTextRepresentation,
        ) as error:
            raise UsageError(
                f"a filter compares things of different types: {failures.told(error)}",
                "numbers with numbers and texts with texts",
            ) from None
        except psycopg.ProgrammingError:
            if self._connection is not None:
                raise
            # It cannot be read as a URL; the driver's own words would repeat the password.
            raise failures.unknown(self.url) from None
        except psycopg.Error as error:
            raise failures.of_postgresql(error, self.place) from None

    def _ask(self, plain: bytes, parameters: Sequence[object]) -> list[dict[str, Any]]:
        with self._turn:
            connection = self._connected()
            with connection.transaction():
                return connection.execute(plain, parameters).fetchall()

    def _connected(self) -> Connection[dict[str, Any]]:
        """The one connection of this reader: making one costs more than most questions."""
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
        from psycopg.rows import dict_row

        if self._connection is None or self._connection.closed or self._owner != os.getpid():
            self._connection = None
            facts: dict[str, Any] = {**conninfo_to_dict(self.url), "client_encoding": "utf8"}
            if "PGCONNECT_TIMEOUT" not in os.environ:
                facts.setdefault("connect_timeout", failures.CONNECT_SECONDS)
            made = psycopg.connect(**facts, autocommit=True, row_factory=dict_row)
            made.read_only = True
            weakref.finalize(self, _close, made, os.getpid())
            self._connection, self._owner = made, os.getpid()
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
        rows = self.rows(
            f"SELECT DISTINCT jsonb_object_keys({_jsonb(f't.{column}')}) AS key FROM {table} t "
            "WHERE t.project_id = ?",
            (project_id,),
        )
        return [row["key"] for row in rows]


def _close(connection: Connection[Any], owner: int) -> None:
    # A forked child shares the socket and would end its parent's connection.
    if owner == os.getpid():
        connection.close()


def _jsonb(column: str) -> str:
    """A column as JSON; PostgreSQL refuses the character NUL there, SQLite does not."""
    return f"(CASE WHEN strpos({column}, '\\u0000') = 0 THEN {column}::jsonb END)"


class RecordReader:
    """Read-only look into a project's record.

    Every read raises NotFoundError while there is no record, DataError when it cannot be read.

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
        # The file of the record; None where a server holds it.
        self.path: Path | None = None
        if url.startswith(champions.SCHEME):
            self.path = root / url.removeprefix(champions.SCHEME)
            self._database: _Database = _Sqlite(self.path)
        elif url.partition("://")[0] in ("postgresql", "postgresql+psycopg"):
            self._database = _Postgres(url)
        else:
            raise failures.unknown(url)

    @property
    def exists(self) -> bool:
        """Whether there is a record to read."""
        if self.path is not None:
            return self.path.is_file()
        return bool(self._database.columns("schema_version"))

    def version(self) -> int:
        """Version of the record's schema."""
        [row] = self.query("SELECT max(version) AS version FROM schema_version")
        return int(row["version"])

    def damage(self) -> str:
        """What SQLite says is wrong with the file; empty where nothing is."""
        [row, *_] = self.query("PRAGMA integrity_check")
        [answer] = row.values()
        return "" if answer == "ok" else str(answer)

    def query(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of a SELECT, with question marks for its parameters, as dictionaries."""
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
            Names separated by commas; an empty order is none.
        equal : value, or collection of values
            What columns hold. A long collection is read in pieces, each in the order.
        """
        found: list[dict[str, Any]] = []
        for some in in_pieces({"project_id": self.project_id, **equal}):
            held = {name: [*told] if is_many(told) else [told] for name, told in some.items()}
            where = " AND ".join(
                f"{name} IN ({', '.join('?' * len(told))})" for name, told in held.items()
            )
            ordered = f" ORDER BY {order}" if order else ""
            found += self.query(
                f"SELECT {columns} FROM {table} WHERE {where}{ordered}",
                *(value for told in held.values() for value in told),
            )
        return [_decoded(table, row) for row in found]

    def first(
        self, table: str, columns: str = "*", *, order: str = "seq", **equal: Any
    ) -> dict[str, Any] | None:
        """The first of the rows that :meth:`select` gives; None where there is none."""
        found = self.select(table, columns, order=f"{order} LIMIT 1", **equal)
        return found[0] if found else None

    def array(self, name: str) -> NDArray[Any]:
        """Stored array of that hash.

        Raises
        ------
        NotFoundError
        """
        import numpy as np

        row = self.first("blob", hash=name)
        if row is None:
            raise NotFoundError(f"no stored series {name[:12]}", fix="run: podium doctor")
        return np.frombuffer(row["data"], dtype=np.dtype(row["dtype"]))

    def champions(self) -> dict[str, Champion]:
        """Champion of every slot that has one."""
        rows = self.query(champions.HOLDERS, self.project_id)
        return {row["slot"]: Champion(**row) for row in rows}

    def rows(
        self,
        kind: str,
        *,
        slot: str | None = None,
        where: str = "",
        sort: str = "",
        limit: int = -1,
    ) -> list[dict[str, Any]]:
        """Rows of one kind of thing in the record, JSON columns decoded; newest first.

        Parameters
        ----------
        slot : str, optional
            Only what belongs to this slot.
        where : str
            A filter: ``val_loss<0.02 and family=lstm``; see :func:`podium.ledger.query.condition`.
        sort : str
            A name, with a minus before it for the largest first; rows without a value come last.
        limit : int
            At most so many; negative: all.

        Raises
        ------
        UsageError
            The filter cannot be read.
        NotFoundError
            It names what no such thing has; near names are suggested.
        """
        conditions = ["t.project_id = ?"]
        values: list[Parameter] = [self.project_id]
        if slot is not None:
            conditions.append(_OF_SLOT.get(kind, "t.slot = ?"))
            values.append(slot)
        if where:
            found = condition(
                where,
                lambda name, *, number: self._column(kind, name, number=number),
                self._database.contains,
            )
            conditions.append(found.text)
            values.extend(found.values)
        fits = Sql(" AND ".join(conditions), tuple(values))
        table, cut = TABLES[kind], f" LIMIT {limit}" if limit >= 0 else ""
        if sort:
            return self._in_order(kind, self._sorted(kind, fits, sort, limit))
        found_rows = self.query(
            f"SELECT t.* FROM {table} t WHERE {fits.text} ORDER BY t.seq DESC{cut}", *fits.values
        )
        return [_decoded(kind, row) for row in found_rows]

    def _sorted(self, kind: str, fits: Sql, sort: str, limit: int) -> list[int]:
        """Sequence numbers of what fits, in order; whole rows are too wide to be sorted."""
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
                # The index gave them in order; the others were not even looked at.
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

    def _in_order(self, kind: str, order: Sequence[int]) -> list[dict[str, Any]]:
        found = {row["seq"]: row for row in self.select(TABLES[kind], seq=order)}
        return [found[seq] for seq in order]

    def _is_result(self, name: str) -> bool:
        return self.first("result", "metric", order="metric", metric=name) is not None

    def metrics(self) -> list[str]:
        """Every metric a trial has a result of; jumps through the index instead of reading it."""
        found: list[str] = []
        while True:
            [row] = self.query(
                "SELECT min(metric) AS metric FROM result WHERE project_id = ? AND metric > ?",
                self.project_id,
                found[-1] if found else "",
            )
            if row["metric"] is None:
                return found
            found.append(row["metric"])

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
            there = self.query(
                f"SELECT 1 AS yes FROM {TABLES[kind]} t WHERE t.project_id = ? "
                f"AND {inside.text} IS NOT NULL LIMIT 1",
                self.project_id,
                *inside.values,
            )
            if there or name in (
                keys := self._database.keys(TABLES[kind], "config", self.project_id)
            ):
                return inside
            columns += keys
        columns += ["stage"] if kind == "candidates" else []
        columns += self.metrics() if kind == "trials" else []
        raise NotFoundError(f"{kind} have no '{name}'", fix=suggest(name, columns))

    def targets(self) -> list[dict[str, Any]]:
        """Target, mark, and how many things wait for it and were refused, of each projection."""
        return self.query(
            "SELECT p.target, p.mark, (SELECT count(*) FROM outbox o "
            "WHERE o.project_id = p.project_id AND o.seq > p.position) AS waiting, "
            "(SELECT count(*) FROM stuck s "
            "WHERE s.project_id = p.project_id AND s.target = p.target) AS refused "
            "FROM projection p WHERE p.project_id = ? ORDER BY p.target",
            self.project_id,
        )

    def stages(self) -> dict[str, str]:
        """Stage of every candidate, by its id."""
        rows = self.select("stage", order="candidate_id")
        return {row["candidate_id"]: row["stage"] for row in rows}

    def find(self, start: str) -> tuple[str, dict[str, Any]]:
        """Kind and row of the one thing whose id starts like this.

        Raises
        ------
        NotFoundError
            Nothing, or more than one thing, starts like this.
        """
        names = [(kind, "id") for kind in TABLES if kind != "datasets"] + [("trials", "run_id")]
        starts = [(kind, name, self._database.starting(name, start)) for kind, name in names]
        found = [
            (kind, _decoded(kind, row))
            for kind, name, starting in starts
            for row in self.query(
                f"SELECT * FROM {TABLES[kind]} WHERE project_id = ? AND {starting.text} "
                f"ORDER BY {name} LIMIT 3",
                self.project_id,
                *starting.values,
            )
        ]
        exact = [each for each in found if start in (each[1]["id"], each[1].get("run_id"))]
        found = exact or found
        if len(found) > 1:
            ids = ", ".join(row.get("run_id") or row["id"] for _, row in found)
            raise NotFoundError(f"several ids start with '{start}': {ids}", fix="type more of it")
        if not found:
            raise NotFoundError(
                f"nothing has an id like '{start}'",
                fix="run: podium list candidates, or: podium list trials",
            )
        return found[0]


def _decoded(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """Row with its JSON columns as values and without what only the database needs."""
    for name in _DECODED:
        # A trial's notes are a person's words.
        if isinstance(row.get(name), str) and (kind, name) not in _WORDS:
            row[name] = json.loads(row[name])
    row.pop("project_id", None)
    return row


def by(
    name: str, ids: Sequence[str], rows: Sequence[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Rows of each id; empty for one that has none."""
    found: dict[str, list[dict[str, Any]]] = {id_: [] for id_ in ids}
    for row in rows:
        found[row.pop(name)].append(row)
    return found
