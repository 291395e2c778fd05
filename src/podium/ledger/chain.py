"""Hashes of recorded rows and of the chains they form, computed with the standard library alone.

Each row of a chained table has the hash of the row before it and its own hash. ``podium resolve``
uses this module, so it imports no JSON: the JSON columns of a row are canonical texts already.
"""

from __future__ import annotations

import hashlib

from podium.errors import DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

# Chained tables beside ``decision``; decisions carry the last hash of each under its name.
CHAINED = ("evidence", "test_look")
# Columns of a decision that its hash covers as JSON values, and those that it does not cover.
_NESTED = ("contents", "evidence", "policy", "verdicts")
_DERIVED = ("seq", "project_id", "hash", "policy_hash")
_ESCAPES = {n: f"\\u{n:04x}" for n in range(32)} | {
    ord(character): f"\\{letter}"
    for character, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)
}


def first_link(project_id: str) -> str:
    """``previous_hash`` of the first row of each chain of a project."""
    return sha(f'["podium",{_json(project_id)}]')


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row of the record, without ``seq``, ``project_id`` and its own ``hash``.

    Parameters
    ----------
    row : mapping of column to str, int or None
        Values as stored, JSON columns as text.

    Examples
    --------
    >>> from podium.hashing import digest
    >>> row_hash({"seq": 1, "id": "e-1", "notes": '{"a":1}'}) == digest(
    ...     {"id": "e-1", "notes": '{"a":1}'}
    ... )
    True
    """
    return _hash_of(row, _DERIVED)


def decision_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 of a decision from its row; equal to :attr:`podium.decision.Decision.hash`."""
    return _hash_of({**row, "accepted": bool(row["accepted"])}, _DERIVED, _NESTED)


def names(contents: str, id_: str, hash_: str) -> bool:
    """Whether the column ``contents`` of a decision has this hash for this id."""
    return f"{_json(id_)}:{_json(hash_)}" in contents


def changed_outside(what: str) -> DataError:
    """Error for rows that differ from the hashes or decisions on record."""
    return DataError(
        f"{what} was changed outside podium",
        "the content whose hash is on record",
        "run: podium doctor",
    )


def sha(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of(row: Mapping[str, Any], without: Collection[str], nested: Collection[str] = ()) -> str:
    parts = (
        f"{_json(name)}:{row[name] if name in nested else _json(row[name])}"
        for name in sorted(row)
        if name not in without
    )
    return sha("{" + ",".join(parts) + "}")


def _json(value: str | int | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    return str(value).lower()
