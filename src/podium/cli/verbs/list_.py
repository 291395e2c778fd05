"""Judge: list slots, candidates, trials, decisions, families, gates and more.

Example: podium list trials --slot us4/D/return --sort score --limit 5
"""

from __future__ import annotations

import contextlib
from typing import Any

import click

from podium import plugin, registry
from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import FORMS, Output
from podium.config import Config
from podium.decision import Stage
from podium.errors import NotFoundError, UsageError, suggest
from podium.ledger.models import models
from podium.ledger.notes import notes_of
from podium.ledger.record_reader import TABLES, RecordReader

MODELS = ("models", "candidates")
COLUMNS = {
    "studies": ["id", "slot", "created_at"],
    "trials": ["id", "family", "state", "score", "metric", "seconds", "config"],
    "candidates": ["id", "slot", "version", "stage", "family", "created_at", "trained_until"],
    "models": ["id", "slot", "timeframe", "version", "model_type", "version_type", "stage"],
    "decisions": ["id", "slot", "kind", "candidate_id", "from_stage", "to_stage", "accepted"],
    "evidence": ["id", "kind", "candidate_id", "created_at"],
    "datasets": ["name", "timeframe", "tickers", "bars", "first_at", "last_at", "fingerprint"],
}


@click.command()
@click.argument("kind", default="slots")
@click.option("--slot", help="Only what belongs to this slot.")
@click.option("--timeframe", help="Models on bars of this length: 1H.")
@click.option(
    "--stage", type=click.Choice([stage.value for stage in Stage]), help="Models in this stage."
)
@click.option("--where", default="", help="A filter: 'val_loss<0.02 and family=lstm'.")
@click.option("--sort", default="", help="A name; -name for the largest first.")
@options.forms(*FORMS, purpose="Form of the answer; ids is for xargs.")
@click.option("--limit", type=int, default=50, show_default=True, help="Maximum number of rows.")
@options.common
def command(
    cli: CliContext, kind: str, slot: str | None, where: str, sort: str, limit: int, **tags: Any
) -> None:
    """List items of one KIND, newest first.

    A filter has terms NAME OP VALUE with = != < <= > >= and ~ (contains), joined by and, or, not
    and parentheses. A name is a column of the JSON answer, a parameter of the config, and for
    trials a reported metric such as val_loss (its best epoch).

    KIND: slots, models (candidates with what their tags say), candidates, trials, studies,
    decisions, evidence, datasets; families, losses, features, targets, metrics, searches, signals,
    schedules, gates, splitters, readers, runners, importers, tasks.
    """
    out = cli.out
    if kind in registry.KINDS:
        with contextlib.suppress(NotFoundError):
            plugin.use(cli.root)
        members = registry.describe(kind)
        out.answer(kind, [{"name": name, "what": what} for name, what in members.items()])
        return
    if any(tags.values()) and kind not in MODELS:
        raise UsageError(f"--timeframe and --stage are not for {kind}", "podium list models")
    if kind not in ("slots", "models") and kind not in TABLES:
        known = ["slots", "models", *TABLES, *registry.KINDS]
        raise NotFoundError(f"no kind '{kind}' to list", fix=suggest(kind, known))
    config, reader = cli.config, cli.reader
    if slot is not None and slot not in config.slots:
        _require_slot(config, reader, slot)
    if kind == "slots":
        out.answer("slots", _slots(config, reader))
        return
    if kind in MODELS:
        items = models(reader, slot=slot, where=where, sort=sort, **tags)
        items = items[:limit] if limit >= 0 else items
    else:
        items = reader.rows(kind, slot=slot, where=where, sort=sort, limit=limit)
    if kind == "trials" and out.form in ("json", "jsonl"):
        notes = notes_of(reader, [item["id"] for item in items])
        items = [{**item, "dated_notes": notes.get(item["id"], [])} for item in items]
    if not items and (where or slot):
        out.say(f"no {kind} match {where or slot}")
    if kind == "trials" and sort:
        _warn_of_ranking(out, items)
    out.listing(kind, items, COLUMNS[kind])


def _warn_of_ranking(out: Output, trials: list[dict[str, Any]]) -> None:
    """Warn where scores are of several data sets, tasks, splits, folds or metrics."""
    parts = ("dataset_fingerprint", "task_hash", "split_hash", "fold", "metric")
    groups = {tuple(trial[part] for part in parts) for trial in trials}
    if len(groups) > 1:
        out.say(
            f"warning: these trials differ in data, task, split, fold or metric ({len(groups)} "
            "groups), so their scores are not comparable; filter with --slot, or --where "
            "'split_hash=... and fold=...'"
        )


def _require_slot(config: Config, reader: RecordReader, slot: str) -> None:
    """Refuse a slot that is neither in podium.toml nor, as of own code, on record."""
    recorded = {row["slot"] for row in reader.rows("studies")} if reader.exists else set()
    if slot not in recorded:
        raise NotFoundError(f"no slot '{slot}'", fix=suggest(slot, {*config.slots, *recorded}))


def _slots(config: Config, reader: RecordReader) -> list[dict[str, Any]]:
    """Declared slots with their champions, if any."""
    facts = {"champion": "candidate_id", "version": "version", "since": "since"}
    champions = reader.champions() if reader.exists else {}
    return [
        {"slot": slot, **{key: getattr(champions.get(slot), of, None) for key, of in facts.items()}}
        for slot in config.slots
    ]
