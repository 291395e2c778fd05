"""Champions of all slots, read from an SQLite record with the standard library alone.

``podium resolve`` uses this module, so it imports no more than an answer needs.
"""

from __future__ import annotations

import os
import sqlite3

from podium.errors import DataError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SCHEME = "sqlite:///"
HOLDERS = """
    SELECT h.slot, h.candidate_id, c.version, c.artifact_hash, c.artifact_path, h.since,
           h.decision_id
    FROM champion h JOIN candidate c ON c.project_id = h.project_id AND c.id = h.candidate_id
    WHERE h.project_id = ?"""
# Number of the newest decision. Decisions are in this order; clocks of machines differ.
SEQUENCE = "SELECT seq FROM decision WHERE project_id = ? ORDER BY seq DESC LIMIT 1"
OLDER = "a record from before the first release cannot be read: move it away, then run: podium run"
PATIENCE_SECONDS = 30


def holders(path: str, project_id: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Number of the newest decision, and fields of :class:`podium.slot.Champion` by slot.

    Raises
    ------
    NotFoundError
        There is no record.
    DataError
        The record cannot be read.
    """
    newest = rows(path, SEQUENCE, (project_id,))
    champions = {row["slot"]: row for row in rows(path, HOLDERS, (project_id,))}
    return newest[0]["seq"] if newest else 0, champions


def rows(
    path: str | os.PathLike[str], sql: str, parameters: Sequence[object]
) -> list[dict[str, Any]]:
    """Rows of a SELECT on an SQLite file, opened read-only.

    Raises
    ------
    NotFoundError
        There is no such file.
    DataError
        The file cannot be read.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise NotFoundError(f"no record at {path} yet", fix="run: podium run")
    # Characters that a file's name may contain and a URI may not.
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = None
    try:
        connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: {error}", "podium's record", _fix_of(str(error))) from None
    finally:
        if connection is not None:
            connection.close()


def _fix_of(error: str) -> str:
    if "no such column" in error or "no such table" in error:
        return OLDER
    return "run: podium doctor"
