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
OLDER = "a record from before the first release cannot be read: move it away, then run: podium run"
PATIENCE_SECONDS = 30
# Version of the record's schema; a new one comes with a migration.
VERSION = 1


def holders(path: str, project_id: str) -> dict[str, dict[str, Any]]:
    """Fields of :class:`podium.slot.Champion` of each slot's champion, by slot.

    Raises
    ------
    NotFoundError
        There is no record.
    DataError
        The record cannot be read.
    """
    return {row["slot"]: row for row in rows(path, HOLDERS, (project_id,))}


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
    try:
        try:
            return _select(f"file:{name}?mode=ro", sql, parameters)
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error) or _has_log(path):
                raise
            # A read-only file system has no room for the log's index, which an empty log needs not.
            return _select(f"file:{name}?immutable=1", sql, parameters)
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: {error}", "podium's record", _fix_of(str(error), path)) from None


def newer(place: object, version: int) -> DataError:
    """Error for a record that a newer podium wrote."""
    return DataError(
        f"{place} has schema version {version}, written by a newer podium",
        f"at most {VERSION}",
        "run: pip install --upgrade podium",
    )


def _select(uri: str, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
    connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE_SECONDS)
    try:
        [version] = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        if version is not None and version > VERSION:
            raise newer(uri.removeprefix("file:").partition("?")[0], version)
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]
    finally:
        connection.close()


def _has_log(path: str) -> bool:
    """Whether a record has changes that are not merged into its file."""
    try:
        return os.path.getsize(f"{path}-wal") > 0
    except OSError:
        return False


def _fix_of(error: str, path: str) -> str:
    if "no such column" in error or "no such table" in error:
        return OLDER
    if "unable to open" in error and _has_log(path):
        return "make its folder writable once: the newest changes are in its log"
    return "run: podium doctor"
