"""Champions of all slots, read from an SQLite record with the standard library alone.

``podium resolve`` uses this module, so it imports no more than an answer needs.
"""

from __future__ import annotations

import os
import sqlite3

from podium.errors import DataError, NotFoundError
from podium.ledger.chain import changed_outside, decision_hash, names, row_hash
from podium.manifest import DIGITS, MANIFEST
from podium.project_file import CACHE, REGISTRY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

SCHEME = "sqlite:///"
# Columns of a candidate, and of the decision that made it champion.
CANDIDATE = (
    "id", "slot", "version", "model_type", "family", "config", "made_by", "study_id", "trial_id",
    "artifact_hash", "artifact_path", "dataset_fingerprint", "trained_until", "parent_id",
    "root_id", "created_at",
)  # fmt: skip
DECISION = (
    "seq", "id", "kind", "slot", "candidate_id", "from_stage", "to_stage", "accepted", "actor",
    "reason", "expected_champion", "policy", "verdicts", "evidence", "contents", "created_at",
    "previous_hash", "hash",
)  # fmt: skip
# Accepted decisions that change a stage, and those of them that begin or end a time as champion.
MOVES = "accepted = 1 AND kind IN ('register', 'move', 'rollback')"
CHAMPION_MOVES = f"{MOVES} AND (from_stage = 'champion' OR to_stage = 'champion')"
# Champion of each slot, its stage, and the newest decision about the champion.
HOLDERS = f"""
    SELECT s.slot, h.candidate_id, h.since, h.decision_id, t.decision_id AS stage_by,
           {", ".join(f'c.{name} AS "c.{name}"' for name in CANDIDATE)},
           {", ".join(f'd.{name} AS "d.{name}"' for name in DECISION)}
    FROM (
        SELECT project_id, slot FROM champion
        UNION SELECT project_id, slot FROM decision WHERE {CHAMPION_MOVES}) s
    LEFT JOIN champion h ON h.project_id = s.project_id AND h.slot = s.slot
    LEFT JOIN candidate c ON c.project_id = h.project_id AND c.id = h.candidate_id
    LEFT JOIN stage t ON t.project_id = h.project_id AND t.candidate_id = h.candidate_id
        AND t.stage = 'champion'
    LEFT JOIN decision d ON d.seq = (
        SELECT max(seq) FROM decision
        WHERE project_id = s.project_id AND slot = s.slot AND {CHAMPION_MOVES})
    WHERE s.project_id = ? AND (h.slot IS NOT NULL OR d.to_stage = 'champion')"""
_HEX = frozenset("0123456789abcdef")
# Number of the newest decision. Decisions are in this order; clocks of machines differ.
SEQUENCE = "SELECT seq FROM decision WHERE project_id = ? ORDER BY seq DESC LIMIT 1"
OLDER = "a record from before the first release cannot be read: move it away, then run: podium run"
RESTORE = "restore the record: podium restore BACKUP FOLDER"
PATIENCE_SECONDS = 30
# More than the champions of thousands of slots.
MOST_BYTES = 2**24
NO_TABLES, HAS_TABLES = "the file holds no tables", "SELECT 1 FROM sqlite_master"
# Version of the record's schema; a new one comes with a migration.
VERSION = 1


def champion_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of :class:`podium.slot.Champion` from a row of :data:`HOLDERS`.

    Raises
    ------
    DataError
        The newest decision about the slot's champion is not intact or not about this candidate, or
        the candidate's row or stage has changed since.
    """
    candidate = {name: row[f"c.{name}"] for name in CANDIDATE}
    decision = {name: row[f"d.{name}"] for name in DECISION}
    slot, id_ = row["slot"], row["candidate_id"]
    if (
        id_ is None
        or not decision["id"] == row["decision_id"] == row["stage_by"]
        or (decision["candidate_id"], decision["to_stage"]) != (id_, "champion")
        or decision_hash(decision) != decision["hash"]
        or not names(decision["contents"], id_, row_hash(candidate))
    ):
        by = row["decision_id"] or decision["id"]
        raise changed_outside(
            f"the champion of {slot}, {id_ or decision['candidate_id']} by decision {by},"
        )
    facts = {name: row[name] for name in ("slot", "candidate_id", "since", "decision_id")}
    return facts | {n: candidate[n] for n in ("version", "artifact_hash", "artifact_path")}


def remains(root: str | os.PathLike[str], registry: str) -> str:
    """Names of files that only a record leaves in a project: champions, artefacts; else empty."""
    left = []
    try:
        with open(os.path.join(root, CACHE), "rb") as handle:
            has_champions = b'"candidate_id"' in handle.read(MOST_BYTES)
    except OSError as error:
        has_champions = not isinstance(error, FileNotFoundError)
    if has_champions:
        left.append(CACHE)
    store = os.path.realpath(os.path.join(root, registry))
    # A store outside the project may belong to other projects.
    inside = store.startswith(os.path.realpath(root) + os.sep) and os.path.isdir(store)
    # Other tools keep models in folders of this name too; podium's have a hash as name.
    if inside and any(
        len(name) == DIGITS and set(name) <= _HEX and os.path.isfile(f"{store}/{name}/{MANIFEST}")
        for name in os.listdir(store)
    ):
        left.append(registry)
    return " and ".join(left)


def lost(place: object, remains: str) -> DataError:
    """Error for a missing or empty record of a project that had one."""
    return DataError(
        f"{place} has no record of this project, and the project has {remains}",
        "the record that they were written with",
        f"{RESTORE}; to begin anew, first move {remains} away",
    )


def require_record(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> None:
    """Raise where an SQLite record is missing or empty in a project that had one.

    Raises
    ------
    NotFoundError
        The project has no record yet.
    DataError
        Its record was lost.
    """
    if os.path.isfile(path) and os.path.getsize(path):
        return
    if left := remains(root, REGISTRY):
        raise lost(path, left)
    raise NotFoundError(f"no record at {os.fspath(path)} yet", fix="run: podium run")


def rows(
    path: str | os.PathLike[str], sql: str, parameters: Sequence[object]
) -> list[dict[str, Any]]:
    """Rows of a SELECT on an SQLite file, opened read-only.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    return snapshot(path, [(sql, parameters)])[0]


def snapshot(
    path: str | os.PathLike[str], queries: Sequence[tuple[str, Sequence[object]]]
) -> list[list[dict[str, Any]]]:
    """Rows of several SELECTs at one moment; errors as of :func:`rows`."""
    path = os.fspath(path)
    # Characters that a file's name may contain and a URI may not.
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        try:
            return _select(f"file:{name}?mode=ro", queries)
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error) or _has_log(path):
                raise
            # A read-only file system has no room for the log's index, which an empty log needs not.
            return _select(f"file:{name}?immutable=1", queries)
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: {error}", "podium's record", _fix_of(str(error), path)) from None


def require_version(version: int | None, place: object) -> None:
    """Raise DataError for a record that a newer podium wrote, or without a version."""
    if version is None:
        raise DataError(f"{place} has no schema version", f"version {VERSION}", RESTORE)
    if version > VERSION:
        raise DataError(
            f"{place} has schema version {version}, written by a newer podium",
            f"at most {VERSION}",
            "run: pip install --upgrade podium",
        )


def _select(
    uri: str, queries: Sequence[tuple[str, Sequence[object]]]
) -> list[list[dict[str, Any]]]:
    connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE_SECONDS)
    try:
        [version] = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        require_version(version, uri.removeprefix("file:").partition("?")[0])
        connection.row_factory = sqlite3.Row
        if len(queries) > 1:
            connection.execute("BEGIN")
        return [[dict(row) for row in connection.execute(*query)] for query in queries]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) and not connection.execute(HAS_TABLES).fetchone():
            raise sqlite3.DatabaseError(NO_TABLES) from None
        raise
    finally:
        connection.close()


def _has_log(path: str) -> bool:
    """Whether a record has changes that are not merged into its file."""
    try:
        return os.path.getsize(f"{path}-wal") > 0
    except OSError:
        return False


def _fix_of(error: str, path: str) -> str:
    if error == NO_TABLES:
        return RESTORE
    if "no such column" in error or "no such table" in error:
        return OLDER
    if "unable to open" in error and _has_log(path):
        return "make its folder writable once: the newest changes are in its log"
    return "run: podium doctor"
