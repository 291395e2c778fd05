"""Judge: list slots, candidates, trials, decisions, families, gates ..."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podium import registry
from podium.cli import options
from podium.cli.output import Output
from podium.config import Config, find_root, load
from podium.errors import NotFoundError, suggest
from podium.ledger.door import TABLES, Door

COLUMNS = {
    "studies": ["id", "slot", "created_at"],
    "trials": ["id", "family", "state", "score", "metric", "seconds", "config"],
    "candidates": ["id", "slot", "version", "stage", "family", "created_at", "trained_until"],
    "decisions": ["id", "slot", "kind", "candidate_id", "from_stage", "to_stage", "accepted"],
    "evidence": ["id", "kind", "candidate_id", "created_at"],
    "datasets": ["name", "timeframe", "tickers", "bars", "first_at", "last_at", "fingerprint"],
}


@click.command()
@click.argument("kind", default="slots")
@click.option("--slot", help="Only of this slot (studies, candidates, decisions).")
@click.option("--limit", type=int, default=50, show_default=True, help="At most so many.")
@options.common
def command(
    kind: str, slot: str | None, limit: int, folder: Path, as_json: bool, quiet: bool
) -> None:
    """List things of one KIND, newest first.

    KIND: slots, candidates, trials, studies, decisions, evidence, datasets; families, features,
    targets, metrics, searches, signals, gates, splitters, readers, runners.
    """
    out = Output(as_json=as_json, quiet=quiet)
    if kind in registry.KINDS:
        told = registry.describe(kind)
        out.answer(kind, [{"name": name, "what": what} for name, what in told.items()])
        return
    if kind != "slots" and kind not in TABLES:
        known = ["slots", *TABLES, *registry.KINDS]
        raise NotFoundError(f"no kind '{kind}' to list", fix=suggest(kind, known))
    root = find_root(folder)
    config = load(root)
    if slot is not None:
        config.slot(slot)
    door = Door(config.ledger.url, root, config.project.id)
    if kind == "slots":
        out.answer("slots", _slots(config, door))
        return
    items = door.rows(kind, slot=slot, limit=limit)
    if kind == "candidates":
        stages = door.stages()
        items = [{**item, "stage": stages.get(item["id"])} for item in items]
    out.answer(kind, items, COLUMNS[kind])


def _slots(config: Config, door: Door) -> list[dict[str, Any]]:
    """Each declared slot with its champion; a project without a record has none."""
    champions = door.champions() if door.path.is_file() else {}
    found = []
    for name in config.slots:
        holder = champions.get(name)
        found.append(
            {
                "slot": name,
                "champion": holder.candidate_id if holder else None,
                "version": holder.version if holder else None,
                "since": holder.since if holder else None,
            }
        )
    return found
