"""``hyperparams/sweep_results.json``: every run as the older tracker kept them."""

from __future__ import annotations

from pathlib import Path

from podium.ledger.ledger import Ledger


def write(ledger: Ledger, root: Path) -> list[str]:
    """Update the file; returns what was written, relative to the project."""
    del ledger, root
    return []
