"""Ages and sizes as people write them."""

from __future__ import annotations

import re

from podium.errors import UsageError

SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
BYTES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def told_bytes(count: float) -> str:
    """A size for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def seconds_of(text: str | None) -> float | None:
    """Seconds of an age such as ``30d``."""
    return None if text is None else _amount(text, SECONDS, "--older-than", "30d, 12h, 45m or 2w")


def bytes_of(text: str | None) -> int | None:
    """Bytes of a size such as ``5GiB``."""
    return None if text is None else int(_amount(text, BYTES, "--max-size", "5GiB, 500MB or bytes"))


def _amount(text: str, units: dict[str, int], flag: str, expected: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if match is None or match[2] not in units:
        raise UsageError(f"{flag} is '{text}'", expected)
    return float(match[1]) * units[match[2]]
