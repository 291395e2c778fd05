"""Dated notes of things, read without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podium.ledger.record_reader import RecordReader, by


def notes_of(reader: RecordReader, subject_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Dated notes (created_at, actor, text) by subject, oldest first; only subjects with notes."""
    columns = "subject_id, created_at, actor, text"
    rows = reader.select("note", columns, subject_id=subject_ids)
    return {id_: notes for id_, notes in by("subject_id", subject_ids, rows).items() if notes}


def note_line(note: dict[str, Any]) -> str:
    """One line of a note: date, actor, text."""
    return f"[{note['created_at'][:10]} {note['actor']}] {note['text']}"
