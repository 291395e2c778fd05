"""JSON columns and stored arrays of the record as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from podium.errors import DataError
from podium.hashing import digest_bytes
from podium.ledger.chain import changed_outside
from podium.ledger.champions import RESTORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
_LISTS = ("tickers", "evidence", "verdicts")


def json_column(row: Mapping[str, Any], name: str) -> Any:
    """Value of a JSON column; an empty object for NULL or an empty text.

    Raises
    ------
    DataError
        The text is not JSON, or not of the column's shape.
    """
    try:
        value = json.loads(row[name] or "{}")
    except ValueError:
        value = None
    is_whole = isinstance(value, list if name in _LISTS else dict)
    if is_whole and name == "verdicts":
        is_whole = all(isinstance(each, dict) for each in value)
    if is_whole and name == "scalars":
        is_whole = all(isinstance(each, list) and len(each) == 3 for each in value.values())
    if not is_whole:
        owner = row.get("id") or row.get("trial_id") or row.get("hash") or "a row"
        raise changed_outside(f"the {name} of {owner}")
    return value


def read_mark(kind: type[T], text: str) -> T:
    """Mark of a projection's position from its JSON; an empty text is that of a new projection.

    Raises
    ------
    DataError
    """
    try:
        return kind(**json.loads(text or "{}"))
    except (TypeError, ValueError):
        message = f"the record has {text!r:.60} as the mark of a projection"
        raise DataError(message, "a mark as podium writes it", RESTORE) from None


def blob_hash(row: Mapping[str, Any]) -> str:
    """Hash of a stored array from its row."""
    return digest_bytes(row["dtype"].encode(), bytes(row["data"]))


def stored_array(row: Mapping[str, Any]) -> NDArray[Any]:
    """Array of a row with ``hash``, ``dtype`` and ``data``.

    Raises
    ------
    DataError
        The row differs from its hash.
    """
    import numpy as np

    if blob_hash(row) != row["hash"]:
        raise changed_outside(f"the stored series {row['hash'][:12]}")
    return np.frombuffer(row["data"], dtype=np.dtype(row["dtype"]))
