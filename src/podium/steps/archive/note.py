"""Say something about a thing on record: a dated note that stays."""

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
    """A note and what it is about.

    Parameters
    ----------
    kind : str
        ``trials``, ``candidates``, ``studies``, ``decisions`` or ``evidence``.
    subject_id : str
    name : str
        What people call it: its run id, else its id.
    """

    kind: str
    subject_id: str
    name: str
    created_at: str
    actor: str
    text: str


def note(project: Project, name: str, text: str) -> Noted:
    """Append a note about the thing whose id or run id starts like ``name``.

    Parameters
    ----------
    name : str
    text : str
        Kept as it is, without the space round it.

    Raises
    ------
    UsageError
        There is nothing in the text.
    NotFoundError
        Nothing, or more than one thing, has such an id.
    """
    words = text.strip()
    if not words:
        raise UsageError("the note is empty", "something to remember")
    reader: RecordReader = project.reader
    if not reader.exists:
        raise NotFoundError("nothing is on record yet", fix="run: podium run")
    kind, row = reader.find(name)
    with full_disk_explained(project.root), project.ledger.transaction(durable=True) as tx:
        writes.put_note(tx, row["id"], words, project.actor)
    mine = [said for said in notes_of(reader, [row["id"]])[row["id"]] if said["text"] == words]
    return Noted(kind, row["id"], row.get("run_id") or row["id"], **mine[-1])
