"""The experiments log, the best config and the active model of grids, as files."""

from __future__ import annotations

from pathlib import Path

from podium.ledger.ledger import Ledger


def write(ledger: Ledger, root: Path, slot: str) -> list[str]:
    """Update the files; returns what was written, relative to the project."""
    del ledger, root, slot
    return []
