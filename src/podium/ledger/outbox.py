"""The outbox: changes of the record in order, and the position of each projection in them.

A projection (an MLflow store, a file of the users) is called a target. It reads from its position,
applies the items outside the record, and then advances its position, so pending items survive any
kill; applying an item twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.ledger import Transaction, now
from podium.ledger.statements import delete, first, insert, select, update, upsert, value

# Not targets: the run name templates that commands set for their trials, and those commands.
RUN_NAME, VERB = "run name", "verb"
_ITEM = [schema.outbox.c[name] for name in ("seq", "kind", "subject_id", "created_at")]


@dataclass(frozen=True)
class Item:
    """One change of the record.

    Parameters
    ----------
    position : int
        Place in the order of commits.
    kind : str
        ``study``, ``trial`` (one that ended), ``candidate``, ``decision``, ``note`` or ``grid``.
    subject_id : str
        Id of the changed row; for a note, the id of its subject.
    """

    position: int
    kind: str
    subject_id: str
    created_at: str


@dataclass(frozen=True)
class Stuck:
    """An item that its target refused, with the error."""

    item: Item
    error: str
    attempts: int


def position_of(tx: Transaction, target: str) -> tuple[int, str]:
    """Position and mark of a target; 0 and an empty text for a new one."""
    row = first(tx, schema.projection, target=target)
    return (row["position"], row["mark"]) if row else (0, "")


def waiting(
    tx: Transaction,
    target: str,
    *,
    kinds: Sequence[str] | None = None,
    limit: int | None = None,
    after: int | None = None,
) -> list[Item]:
    """Items after a target's position, or after ``after``, in order; default: of all kinds."""
    item = schema.outbox.c
    position = position_of(tx, target)[0] if after is None else after
    of_kinds = {} if kinds is None else {"kind": kinds}
    later = item.seq > position
    rows = select(tx, _ITEM, later, order=item.seq, limit=limit, **of_kinds)
    return [Item(*row.values()) for row in rows]


def count_waiting(tx: Transaction, target: str) -> int:
    """Number of items after a target's position."""
    item = schema.outbox.c
    position, _ = position_of(tx, target)
    return value(tx, sa.func.count(item.seq), item.seq > position) or 0


def last_position(tx: Transaction) -> int:
    """Position of the newest item; 0 if there is none."""
    return value(tx, sa.func.max(schema.outbox.c.seq)) or 0


def advance(tx: Transaction, target: str, position: int, mark: str | None = None) -> None:
    """Set a target's position, and its mark unless that is None."""
    new = {"position": position, "updated_at": now()}
    marked = {} if mark is None else {"mark": mark}
    upsert(tx, schema.projection, {**new, **marked}, target=target)


def remember(tx: Transaction, target: str, subject_id: str, remote_id: str, name: str = "") -> None:
    """Store the id and name of a subject at a target, replacing earlier ones."""
    new = {"remote_id": remote_id, "remote_name": name}
    upsert(tx, schema.projected, new, target=target, subject_id=subject_id)


def remote_id(tx: Transaction, target: str, subject_id: str) -> str | None:
    """Id of a subject at a target, or None before it is sent."""
    column = schema.projected.c.remote_id
    return value(tx, column, target=target, subject_id=subject_id)


def set_stuck(tx: Transaction, target: str, item: Item, error: str) -> None:
    """Store that a target refused an item, and count the attempt."""
    table, place = schema.stuck, {"target": target, "position": item.position}
    new = {"error": error, "updated_at": now()}
    if not update(tx, table, {**new, "attempts": table.c.attempts + 1}, **place):
        insert(tx, table, [{**place, **new}])


def stuck(tx: Transaction, target: str) -> list[Stuck]:
    """Items that a target refused, in order."""
    table, item = schema.stuck.c, schema.outbox.c
    columns = [*_ITEM, table.error, table.attempts]
    where = (table.position == item.seq, table.target == target)
    rows = select(tx, columns, *where, order=item.seq)
    return [
        Stuck(Item(*(row[column.name] for column in _ITEM)), row["error"], row["attempts"])
        for row in rows
    ]


def unstick(tx: Transaction, target: str, position: int) -> None:
    """Delete the refusal of an item."""
    delete(tx, schema.stuck, target=target, position=position)


def forget(tx: Transaction, target: str) -> None:
    """Delete the position of a target, and its sent and refused items."""
    for table in (schema.projection, schema.projected, schema.stuck):
        delete(tx, table, target=target)
