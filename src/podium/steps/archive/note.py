"""Add a dated note to an item on record."""

from __future__ import annotations

from dataclasses import dataclass

from podium.errors import NotFoundError, UsageError
from podium.files import full_disk_explained
from podium.ledger import writes
from podium.ledger.notes import notes_of
from podium.ledger.record_reader import RecordReader
from podium.steps.workspace.project import Project


@dataclass(frozen=True)
class Noted:
    """A note and its subject.

    Parameters
    ----------
    kind : str
        ``trials``, ``candidates``, ``studies``, ``decisions`` or ``evidence``.
    subject_id : str
    name : str
        Run id of the subject, else its id.
    """

    kind: str
    subject_id: str
    name: str
    created_at: str
    actor: str
    text: str


def note(project: Project, name: str, text: str) -> Noted:
    """Append a note to an item on record.

    Parameters
    ----------
    name : str
        Id or run id of the item, or its beginning.
    text : str
        Stored without the space around it.

    Returns
    -------
    Noted

    Raises
    ------
    UsageError
        The text is empty.
    NotFoundError
        No item, or more than one, has such an id.
    """
    words = text.strip()
    if not words:
        raise UsageError("the note is empty", "a text")
    reader: RecordReader = project.reader
    if not reader.exists:
        raise NotFoundError("nothing is on record yet", fix="run: podium run")
    kind, row = reader.find(name)
    with full_disk_explained(project.root), project.ledger.transaction(durable=True) as tx:
        writes.put_note(tx, row["id"], words, project.actor)
    mine = [one for one in notes_of(reader, [row["id"]])[row["id"]] if one["text"] == words]
    return Noted(kind, row["id"], row.get("run_id") or row["id"], **mine[-1])
