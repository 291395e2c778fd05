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
HOLDERS = f"""
    SELECT h.slot, h.candidate_id, h.since, h.decision_id,
           {", ".join(f'c.{name} AS "c.{name}"' for name in CANDIDATE)},
           {", ".join(f'd.{name} AS "d.{name}"' for name in DECISION)}
    FROM champion h
    LEFT JOIN candidate c ON c.project_id = h.project_id AND c.id = h.candidate_id
    LEFT JOIN decision d ON d.project_id = h.project_id AND d.id = h.decision_id
    WHERE h.project_id = ?"""
_HEX = frozenset("0123456789abcdef")
# Number of the newest decision. Decisions are in this order; clocks of machines differ.
SEQUENCE = "SELECT seq FROM decision WHERE project_id = ? ORDER BY seq DESC LIMIT 1"
OLDER = "a record from before the first release cannot be read: move it away, then run: podium run"
RESTORE = "restore the record: podium restore BACKUP FOLDER"
PATIENCE_SECONDS = 30
# More than the champions of thousands of slots.
MOST_BYTES = 2**24


def champion_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of :class:`podium.slot.Champion` from a row of :data:`HOLDERS`.

    Raises
    ------
    DataError
        No intact decision on record made this candidate the champion, or the candidate's row has
        changed since.
    """
    candidate = {name: row[f"c.{name}"] for name in CANDIDATE}
    decision = {name: row[f"d.{name}"] for name in DECISION}
    slot, id_ = row["slot"], row["candidate_id"]
    if (
        decision["id"] is None
        or (decision["slot"], decision["candidate_id"]) != (slot, id_)
        or (decision["accepted"], decision["to_stage"]) != (1, "champion")
        or decision_hash(decision) != decision["hash"]
        or not names(decision["contents"], id_, row_hash(candidate))
    ):
        raise changed_outside(f"the champion of {slot}, {id_} by decision {row['decision_id']},")
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
    connection = None
    try:
        connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
        connection.row_factory = sqlite3.Row
        if len(queries) > 1:
            connection.execute("BEGIN")
        return [[dict(row) for row in connection.execute(*query)] for query in queries]
    except sqlite3.DatabaseError as error:
        raise _explained(path, str(error), connection) from None
    finally:
        if connection is not None:
            connection.close()


def _explained(path: str, error: str, connection: sqlite3.Connection | None) -> DataError:
    fix = "run: podium doctor"
    if "no such column" in error or "no such table" in error:
        fix = OLDER
        if connection and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            error, fix = "the file holds no tables", RESTORE
    return DataError(f"{path}: {error}", "podium's record", fix)
