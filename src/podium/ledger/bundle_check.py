"""Checks of a bundle's rows before they are inserted: nothing in them is trusted."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import PurePosixPath
from typing import Any

import sqlalchemy as sa

from podium.errors import DataError
from podium.evidence import SCHEMA as EVIDENCE
from podium.hashing import digest, digest_bytes
from podium.ledger.bundle import ENDED, STORE, columns_of
from podium.ledger.record_reader import JSON_COLUMNS
from podium.manifest import inside, plain
from podium.study import Study
from podium.trial import Key

# Far above any diff of a working tree; stops a forged text from filling the memory.
MOST_TEXT = 2**28
_WIDEST = 2**63
_HASH = re.compile("[0-9a-f]{64}")
# Columns whose values name files and folders.
_NAMES = ("id", "run_id", "study_id", "trial_id", "candidate_id", "parent_id", "root_id", "slot")


def checked(table: str, row: object) -> dict[str, Any]:
    """Return a row of a bundle with its fields, their types and its hashes checked.

    Raises
    ------
    DataError
        The row does not fit a record of this version.
    """
    columns = {column.name: column for column in columns_of(table)}
    if not isinstance(row, dict):
        raise _refused(table, "a row is not an object")
    unknown = row.keys() - columns.keys()
    if unknown:
        raise _refused(table, f"a row has '{min(unknown)}', which a newer podium may have written")
    checked_row: dict[str, Any] = {}
    for name, column in columns.items():
        if name not in row:
            raise _refused(table, f"a row has no '{name}'")
        checked_row[name] = _typed(table, name, column, row[name])
        if name in JSON_COLUMNS and (table, name) != ("trial", "notes"):
            _require_json(table, name, checked_row[name])
    _require_hashes(table, checked_row)
    _require_places(table, checked_row)
    return checked_row


def _plain(blob: dict[str, Any]) -> bytes:
    """Bytes of an array, or of a text after decompression."""
    if blob["dtype"] != "text":
        data: bytes = blob["data"]
        return data
    try:
        return zlib.decompressobj().decompress(blob["data"], MOST_TEXT)
    except zlib.error:
        raise _refused("blob", f"the text {blob['hash'][:12]} is damaged") from None


def _typed(table: str, name: str, column: sa.Column[Any], value: Any) -> Any:
    kinds: tuple[type, ...] = (str,)
    if isinstance(column.type, sa.Integer):
        kinds = (int,)
    elif isinstance(column.type, sa.Double):
        kinds = (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        if value is None and column.nullable:
            return None
        raise _refused(table, f"'{name}' is {value!r:.60}")
    if isinstance(value, int) and abs(value) >= _WIDEST:
        raise _refused(table, f"'{name}' is too large a number")
    if not isinstance(column.type, sa.LargeBinary):
        return _text(table, name, value) if isinstance(value, str) else value
    try:
        return base64.b64decode(str(value), validate=True)
    except ValueError:
        raise _refused(table, f"'{name}' is not base 64") from None


def _text(table: str, name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refused(table, f"'{name}' is {value!r:.60}") from None
    return value


def _require_json(table: str, name: str, value: str | None) -> None:
    if value is None:
        return
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        raise _refused(table, f"'{name}' is not JSON: {value!r:.60}") from None


def _require_hashes(table: str, row: dict[str, Any]) -> None:
    """Refuse a row whose content does not match its hash or key."""
    if table == "blob":
        same = row["hash"] == digest_bytes(row["dtype"].encode(), _plain(row))
    elif table == "environment":
        same = row["hash"] == digest({k: v for k, v in row.items() if k != "hash"})
    elif table == "study":
        same = row["key"] == Study("", row["slot"], json.loads(row["question"])).key
    elif table == "trial" and not row["origin"]:
        key = Key(
            family=row["family"],
            family_version=row["family_version"],
            config=json.loads(row["config"]),
            dataset=row["dataset_fingerprint"],
            task=row["task_hash"],
            split=row["split_hash"],
            fold=row["fold"],
            seed=row["seed"],
        )
        same = row["key"] == key.hash
    else:
        same = True
    if not same:
        raise _refused(table, f"{row.get('id') or row['hash'][:12]} does not match its hash")
    if table == "trial" and row["state"] not in ENDED:
        raise _refused(table, f"{row['id']} is {row['state']}, not ended")
    if table == "evidence" and row["schema"] > EVIDENCE:
        raise _refused(table, f"{row['id']} has schema {row['schema']}, of a newer podium")


def _require_places(table: str, row: dict[str, Any]) -> None:
    """Refuse names that lead out of their folder or out of the store."""
    for column in _NAMES:
        name = row.get(column)
        if column == "run_id" and row.get("origin"):
            # A name of another tool, which names no file of podium's.
            continue
        if name is not None and not (inside(name) if column == "slot" else plain(name)):
            raise _refused(table, f"'{column}' is {name!r:.60}")
    if table == "evidence":
        notes = json.loads(row["notes"])
        folder = notes.get("folder", "x") if isinstance(notes, dict) else "x"
        if not (isinstance(folder, str) and inside(folder)):
            raise _refused(table, f"'folder' is {folder!r:.60}")
    name = row.get("artifact_hash")
    if name is not None and not _HASH.fullmatch(name):
        raise _refused(table, f"'artifact_hash' is {name!r:.60}")
    if table == "trial" and not row["origin"] and row["checkpoint"] is not None:
        parts = PurePosixPath(row["checkpoint"].removeprefix(STORE)).parts
        if not row["checkpoint"].startswith(STORE) or ".." in parts or not name:
            raise _refused(table, f"'checkpoint' is {row['checkpoint']!r:.60}")


def _refused(table: str, message: str) -> DataError:
    return DataError(f"rows/{table}.jsonl: {message}", "rows written by podium export --bundle")
