"""Plain reads for the runtime and the command line: standard library only, never a write.

Opening podium's record with SQLAlchemy costs more than the whole answer; ``podium resolve``,
``list`` and ``show`` come through here.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium.errors import DataError, NotFoundError, UsageError, suggest
from podium.ledger.query import METRIC, Parameter, Sql, condition
from podium.slot import Champion

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
    "evidence",
    "notes",
    "policy",
    "question",
    "scalars",
    "series",
    "tickers",
    "verdicts",
)
_CHAMPION = """
    SELECT h.slot, h.candidate_id, c.version, c.artifact_hash, c.artifact_path, h.since,
           h.decision_id
    FROM champion h JOIN candidate c ON c.project_id = h.project_id AND c.id = h.candidate_id
    WHERE h.project_id = ?"""


_OF_SLOT = {
    "trials": "t.id IN (SELECT l.trial_id FROM study_trial l JOIN study s "
    "ON s.project_id = l.project_id AND s.id = l.study_id WHERE s.slot = ?)",
    "evidence": "t.candidate_id IN (SELECT c.id FROM candidate c WHERE c.slot = ?)",
    "datasets": "t.fingerprint IN (SELECT c.dataset_fingerprint FROM candidate c WHERE c.slot = ?)",
}
_STAGE = "(SELECT s.stage FROM stage s WHERE s.project_id = t.project_id AND s.candidate_id = t.id)"
# Losses and errors, so the lowest epoch is the best one.
_BEST_EPOCH = (
    "(SELECT min(m.value) FROM score m WHERE m.project_id = t.project_id AND m.trial_id = t.id "
    "AND m.part = ? AND m.metric = ?)"
)


class Door:
    """Read-only look into a project's record.

    Every read raises NotFoundError while there is no record, DataError when it cannot be read.
    """

    def __init__(self, url: str, root: Path, project_id: str) -> None:
        if not url.startswith("sqlite:///"):
            raise UsageError(f"ledger.url is {url!r}", "sqlite:///path; a server comes later")
        self.path = root / url.removeprefix("sqlite:///")
        self.project_id = project_id

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise NotFoundError(f"no record at {self.path} yet", fix="run: podium run")
        connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.path}: {error}", "podium's record", "run: podium doctor"
            ) from None
        finally:
            connection.close()

    def query(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of a SELECT as dictionaries."""
        with self._connect() as connection:
            return [dict(row) for row in connection.execute(sql, parameters)]

    def champions(self) -> dict[str, Champion]:
        """Champion of every slot that has one."""
        rows = self.query(_CHAMPION, self.project_id)
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
            found = condition(where, lambda name: self._column(kind, name))
            conditions.append(found.text)
            values.extend(found.values)
        order = "t.seq DESC"
        if sort:
            key = self._column(kind, sort.removeprefix("-"))
            direction = "DESC" if sort.startswith("-") else "ASC"
            order = f"{key.text} {direction} NULLS LAST, {order}"
            values.extend(key.values)
        rows = self.query(
            f"SELECT t.* FROM {TABLES[kind]} t WHERE {' AND '.join(conditions)} "
            f"ORDER BY {order} LIMIT ?",
            *values,
            limit,
        )
        return [_decoded(row) for row in rows]

    def _columns(self, kind: str) -> list[str]:
        described = self.query(f"PRAGMA table_info({TABLES[kind]})")
        return [row["name"] for row in described if row["name"] != "project_id"]

    def _column(self, kind: str, name: str) -> Sql:
        """SQL of a name: a column, a stage, a metric's best epoch, or a config's parameter."""
        columns = self._columns(kind)
        if name in columns:
            return Sql(f"t.{name}")
        if kind == "candidates" and name == "stage":
            return Sql(_STAGE)
        metric = METRIC.fullmatch(name)
        if kind == "trials" and metric:
            return Sql(_BEST_EPOCH, (metric[1], metric[2]))
        known = [*columns, *(["stage"] if kind == "candidates" else [])]
        if "config" in columns:
            parameters = self.query(
                f"SELECT DISTINCT j.key FROM {TABLES[kind]} t, json_each(t.config) j "
                "WHERE t.project_id = ?",
                self.project_id,
            )
            known += [row["key"] for row in parameters]
            if name in known:
                return Sql("json_extract(t.config, ?)", (f'$."{name}"',))
        raise NotFoundError(f"{kind} have no '{name}'", fix=suggest(name, known))

    def stages(self) -> dict[str, str]:
        """Stage of every candidate, by its id."""
        rows = self.query(
            "SELECT candidate_id, stage FROM stage WHERE project_id = ?", self.project_id
        )
        return {row["candidate_id"]: row["stage"] for row in rows}

    def find(self, start: str) -> tuple[str, dict[str, Any]]:
        """Kind and row of the one thing whose id starts like this.

        Raises
        ------
        NotFoundError
            Nothing, or more than one thing, starts like this.
        """
        found = [
            (kind, _decoded(row))
            for kind, table in TABLES.items()
            if kind != "datasets"
            for row in self.query(
                f"SELECT * FROM {table} WHERE project_id = ? AND substr(id, 1, ?) = ? LIMIT 3",
                self.project_id,
                len(start),
                start,
            )
        ]
        if len(found) > 1:
            ids = ", ".join(row["id"] for _, row in found)
            raise NotFoundError(f"several ids start with '{start}': {ids}", fix="type more of it")
        if not found:
            raise NotFoundError(
                f"nothing has an id like '{start}'", fix="run: podium list candidates"
            )
        return found[0]


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    """Row with its JSON columns as values and without what only the database needs."""
    for name in JSON_COLUMNS:
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    row.pop("project_id", None)
    return row
