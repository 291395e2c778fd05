"""The outbox: what happened in the record, and how far each projection of it has come.

A projection (an MLflow store, a file of the users) is called a target. It reads on from its
position, does what is to be done outside, and then moves its position, so what waits survives any
kill; a target does each item so that doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.ledger import Ledger, now
from podium.ledger.statements import delete, first, insert, select, update, upsert, value

# Not a target: under it stands what a command asked the runs of its trials to be called.
RUN_NAME = "run name"
_ITEM = [schema.outbox.c[name] for name in ("seq", "kind", "subject_id", "created_at")]


@dataclass(frozen=True)
class Item:
    """One thing that happened.

    Parameters
    ----------
    position : int
        Its place in the order of commits.
    kind : str
        ``study``, ``trial`` (one that ended), ``candidate``, ``decision``, ``note`` or ``grid``.
    subject_id : str
        Id of the thing; of a note: of what it is about.
    """

    position: int
    kind: str
    subject_id: str
    created_at: str


@dataclass(frozen=True)
class Stuck:
    """An item its target refused, and why."""

    item: Item
    error: str
    attempts: int


def position_of(ledger: Ledger, tx: sa.Connection, target: str) -> tuple[int, str]:
    """How far a target has come, and its mark; 0 and nothing for a new one."""
    row = first(ledger, tx, schema.projection, target=target)
    return (row["position"], row["mark"]) if row else (0, "")


def waiting(
    ledger: Ledger,
    tx: sa.Connection,
    target: str,
    *,
    kinds: Sequence[str] | None = None,
    limit: int | None = None,
    after: int | None = None,
) -> list[Item]:
    """Items after a target's position (or another one), in order; of some kinds when asked."""
    item = schema.outbox.c
    position = position_of(ledger, tx, target)[0] if after is None else after
    chosen = {} if kinds is None else {"kind": kinds}
    later = item.seq > position
    rows = select(ledger, tx, _ITEM, later, order=item.seq, limit=limit, **chosen)
    return [Item(*row.values()) for row in rows]


def count_waiting(ledger: Ledger, tx: sa.Connection, target: str) -> int:
    """How many items a target has not seen yet."""
    item = schema.outbox.c
    position, _ = position_of(ledger, tx, target)
    return value(ledger, tx, sa.func.count(item.seq), item.seq > position) or 0


def last_position(ledger: Ledger, tx: sa.Connection) -> int:
    """Position of the newest item; 0 when nothing ever happened."""
    return value(ledger, tx, sa.func.max(schema.outbox.c.seq)) or 0


def advance(
    ledger: Ledger, tx: sa.Connection, target: str, position: int, mark: str | None = None
) -> None:
    """Move a target's position; a mark is kept when none is given."""
    new = {"position": position, "updated_at": now()}
    marked = {} if mark is None else {"mark": mark}
    upsert(ledger, tx, schema.projection, {**new, **marked}, target=target)


def remember(
    ledger: Ledger, tx: sa.Connection, target: str, subject_id: str, remote_id: str, name: str = ""
) -> None:
    """Keep what a thing is called at a target; the last word counts."""
    new = {"remote_id": remote_id, "remote_name": name}
    upsert(ledger, tx, schema.projected, new, target=target, subject_id=subject_id)


def remote_id(ledger: Ledger, tx: sa.Connection, target: str, subject_id: str) -> str | None:
    """What a thing is called at a target, or None when it is not there yet."""
    column = schema.projected.c.remote_id
    return value(ledger, tx, column, target=target, subject_id=subject_id)


def set_stuck(ledger: Ledger, tx: sa.Connection, target: str, item: Item, error: str) -> None:
    """Remember that a target refused an item; counts the attempts."""
    table, place = schema.stuck, {"target": target, "position": item.position}
    new = {"error": error, "updated_at": now()}
    if not update(ledger, tx, table, {**new, "attempts": table.c.attempts + 1}, **place):
        insert(ledger, tx, table, [{**place, **new}])


def stuck(ledger: Ledger, tx: sa.Connection, target: str) -> list[Stuck]:
    """What a target refused so far, in order."""
    table, item = schema.stuck.c, schema.outbox.c
    columns = [*_ITEM, table.error, table.attempts]
    where = (table.position == item.seq, table.target == target)
    rows = select(ledger, tx, columns, *where, order=item.seq)
    return [
        Stuck(Item(*(row[column.name] for column in _ITEM)), row["error"], row["attempts"])
        for row in rows
    ]


def unstick(ledger: Ledger, tx: sa.Connection, target: str, position: int) -> None:
    """Forget a refusal: the item is there now."""
    delete(ledger, tx, schema.stuck, target=target, position=position)
