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

from podium.errors import DataError, NotFoundError, UsageError
from podium.slot import Champion

TABLES = {
    "studies": "study",
    "trials": "trial",
    "candidates": "candidate",
    "decisions": "decision",
    "evidence": "evidence",
    "datasets": "dataset",
}
_CHAMPION = """
    SELECT h.slot, h.candidate_id, c.version, c.artifact_hash, c.artifact_path, h.since,
           h.decision_id
    FROM champion h JOIN candidate c ON c.project_id = h.project_id AND c.id = h.candidate_id
    WHERE h.project_id = ?"""


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

    def rows(self, kind: str, *, slot: str | None = None, limit: int = -1) -> list[dict[str, Any]]:
        """Newest first rows of one kind of thing in the record, JSON columns decoded."""
        table = TABLES[kind]
        where, parameters = "WHERE project_id = ?", [self.project_id]
        if slot is not None and kind in ("studies", "candidates", "decisions"):
            where += " AND slot = ?"
            parameters.append(slot)
        rows = self.query(
            f"SELECT * FROM {table} {where} ORDER BY seq DESC LIMIT ?", *parameters, limit
        )
        return [_decoded(row) for row in rows]

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
    for name in ("config", "question", "policy", "verdicts", "evidence", "scalars", "series"):
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    for name in ("notes", "tickers"):
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    row.pop("project_id", None)
    return row
