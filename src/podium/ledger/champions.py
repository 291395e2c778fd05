"""Who holds each slot, straight from an SQLite record, by the standard library alone.

``podium resolve`` comes through here, so nothing is imported that it does not need.
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
OLDER = "one from before the first release is not read: move it away, then run: podium run"
PATIENCE_SECONDS = 30


def holders(path: str, project_id: str) -> dict[str, dict[str, Any]]:
    """What each slot's champion is, as :class:`podium.slot.Champion` has it.

    Raises
    ------
    NotFoundError
        There is no record.
    DataError
        It cannot be read.
    """
    return {row["slot"]: row for row in rows(path, HOLDERS, (project_id,))}


def rows(
    path: str | os.PathLike[str], sql: str, parameters: Sequence[object]
) -> list[dict[str, Any]]:
    """Rows of a SELECT on an SQLite file, which is not made and not written.

    Raises
    ------
    NotFoundError
        There is no such file.
    DataError
        It cannot be read.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise NotFoundError(f"no record at {path} yet", fix="run: podium run")
    # What a file's name may hold and a URI may not.
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
