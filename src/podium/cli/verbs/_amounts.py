"""Sizes as users write them, and the table of removals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from podium.cli.output import Output
from podium.errors import UsageError
from podium.render.table import size
from podium.sections import size_of

if TYPE_CHECKING:
    from podium.steps.archive.gc import Removal


def show_removals(out: Output, kind: str, removals: Sequence[Removal]) -> None:
    """Print the removals as a table, if any."""
    if removals:
        items = [{**vars(removal), "size": size(removal.bytes)} for removal in removals]
        out.answer(kind, items, ["path", "what", "why", "size"])


def bytes_of(text: str | None) -> int | None:
    """Bytes of a size such as ``5GiB``."""
    if text is None:
        return None
    amount = int(text) if text.isdecimal() else size_of(text)
    if not amount and text != "0":
        raise UsageError(f"--max-size is '{text}'", "5GiB, 500MB or a number of bytes")
    return amount
