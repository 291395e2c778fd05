"""Ages and sizes as people write them, and what goes by them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from podium.cli.output import Output
from podium.errors import UsageError
from podium.render.table import size

if TYPE_CHECKING:
    from podium.steps.archive.gc import Removal

SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
BYTES = {
    **{"": 1, "B": 1},
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}


def show_removals(out: Output, kind: str, removals: Sequence[Removal]) -> None:
    """Table of what goes, or would go; nothing where that is nothing."""
    if removals:
        items = [{**vars(removal), "size": size(removal.bytes)} for removal in removals]
        out.answer(kind, items, ["path", "what", "why", "size"])


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
