"""Canonical JSON and SHA-256: the same value has the same hash on every machine."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

_compact = partial(json.JSONEncoder, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_encode = _compact(allow_nan=False).encode


def canonical(value: object) -> str:
    """JSON text with sorted keys and no spaces; NaN is refused.

    Examples
    --------
    >>> canonical({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return _encode(value)


def json_text(value: object) -> str:
    """JSON in Python's dialect, which keeps NaN and infinities; sorted keys, no spaces.

    For values of users; podium hashes :func:`canonical`, which refuses NaN and infinities.

    Examples
    --------
    >>> json_text({"loss": float("nan")})
    '{"loss":NaN}'
    """
    return _compact(default=_plain).encode(value)


def _plain(value: object) -> object:
    """A number of numpy or torch as a Python number, other objects as text."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "size", 1) == 1 else str(value)


def strict(value: Any) -> Any:
    """Value for strict JSON: NaN becomes null, an infinity the text that float() reads."""
    if isinstance(value, Mapping):
        return {str(k): strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def read_json(path: Path) -> dict[str, Any]:
    """JSON object in a file; empty where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def json_file(value: Any) -> str:
    """Indented text of a strict JSON file."""
    return json.dumps(strict(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_bytes(*parts: bytes | memoryview) -> str:
    """SHA-256 of the concatenated byte strings."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def digest_folder(folder: Path) -> Mapping[str, str]:
    """SHA-256 of every file below a folder, by its relative POSIX path."""
    return {
        path.relative_to(folder).as_posix(): digest_bytes(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def new_id(prefix: str) -> str:
    """New id such as ``t-3k9x0a7m2q5vd`` with 65 random bits."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    bits = int.from_bytes(os.urandom(9))
    return prefix + "-" + "".join(alphabet[(bits >> (5 * i)) & 31] for i in range(13))
