"""Dated notes of things, read without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podium.ledger.record_reader import RecordReader, by


def notes_of(reader: RecordReader, subject_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Dated notes (created_at, actor, text) of each thing that has any, oldest first."""
    columns = "subject_id, created_at, actor, text"
    rows = reader.select("note", columns, subject_id=subject_ids)
    return {id_: mine for id_, mine in by("subject_id", subject_ids, rows).items() if mine}


def told_note(note: dict[str, Any]) -> str:
    """A note in one line: when, who, what."""
    return f"[{note['created_at'][:10]} {note['actor']}] {note['text']}"
