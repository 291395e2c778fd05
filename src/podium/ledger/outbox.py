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

# Not a target: under it stands what a command asked the runs of its trials to be called.
RUN_NAME = "run name"


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
    table = schema.projection.c
    row = tx.execute(
        sa.select(table.position, table.mark).where(
            table.project_id == ledger.project_id, table.target == target
        )
    ).first()
    return (row.position, row.mark) if row else (0, "")


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
    table = schema.outbox.c
    position = position_of(ledger, tx, target)[0] if after is None else after
    query = (
        sa.select(table.seq, table.kind, table.subject_id, table.created_at)
        .where(table.project_id == ledger.project_id, table.seq > position)
        .order_by(table.seq)
        .limit(limit)
    )
    if kinds is not None:
        query = query.where(table.kind.in_(kinds))
    return [Item(*row) for row in tx.execute(query)]


def count_waiting(ledger: Ledger, tx: sa.Connection, target: str) -> int:
    """How many items a target has not seen yet."""
    table = schema.outbox.c
    position, _ = position_of(ledger, tx, target)
    query = sa.select(sa.func.count()).where(
        table.project_id == ledger.project_id, table.seq > position
    )
    return int(tx.execute(query).scalar_one())


def last_position(ledger: Ledger, tx: sa.Connection) -> int:
    """Position of the newest item; 0 when nothing ever happened."""
    table = schema.outbox.c
    newest = sa.select(sa.func.max(table.seq)).where(table.project_id == ledger.project_id)
    return int(tx.execute(newest).scalar() or 0)


def advance(
    ledger: Ledger, tx: sa.Connection, target: str, position: int, mark: str | None = None
) -> None:
    """Move a target's position; a mark is kept when none is given."""
    table = schema.projection
    mine = sa.and_(table.c.project_id == ledger.project_id, table.c.target == target)
    values = {"position": position, "updated_at": now()}
    if mark is not None:
        values["mark"] = mark
    if not tx.execute(sa.update(table).where(mine).values(values)).rowcount:
        row = {"project_id": ledger.project_id, "target": target, "mark": "", **values}
        tx.execute(table.insert().values(row))


def remember(
    ledger: Ledger, tx: sa.Connection, target: str, subject_id: str, remote_id: str, name: str = ""
) -> None:
    """Keep what a thing is called at a target; the last word counts."""
    table = schema.projected
    mine = sa.and_(
        table.c.project_id == ledger.project_id,
        table.c.target == target,
        table.c.subject_id == subject_id,
    )
    values = {"remote_id": remote_id, "remote_name": name}
    if not tx.execute(sa.update(table).where(mine).values(values)).rowcount:
        keys = {"project_id": ledger.project_id, "target": target, "subject_id": subject_id}
        tx.execute(table.insert().values({**keys, **values}))


def remote_id(ledger: Ledger, tx: sa.Connection, target: str, subject_id: str) -> str | None:
    """What a thing is called at a target, or None when it is not there yet."""
    table = schema.projected.c
    return tx.execute(
        sa.select(table.remote_id).where(
            table.project_id == ledger.project_id,
            table.target == target,
            table.subject_id == subject_id,
        )
    ).scalar()


def set_stuck(ledger: Ledger, tx: sa.Connection, target: str, item: Item, error: str) -> None:
    """Remember that a target refused an item; counts the attempts."""
    table = schema.stuck
    mine = sa.and_(
        table.c.project_id == ledger.project_id,
        table.c.target == target,
        table.c.position == item.position,
    )
    again = {"attempts": table.c.attempts + 1, "error": error, "updated_at": now()}
    if not tx.execute(sa.update(table).where(mine).values(again)).rowcount:
        tx.execute(
            table.insert().values(
                project_id=ledger.project_id,
                target=target,
                position=item.position,
                error=error,
                updated_at=now(),
            )
        )


def stuck(ledger: Ledger, tx: sa.Connection, target: str) -> list[Stuck]:
    """What a target refused so far, in order."""
    table, box = schema.stuck.c, schema.outbox.c
    rows = tx.execute(
        sa.select(box.seq, box.kind, box.subject_id, box.created_at, table.error, table.attempts)
        .select_from(schema.stuck.join(schema.outbox, table.position == box.seq))
        .where(table.project_id == ledger.project_id, table.target == target)
        .order_by(box.seq)
    )
    return [Stuck(Item(*row[:4]), row.error, row.attempts) for row in rows]


def unstick(ledger: Ledger, tx: sa.Connection, target: str, position: int) -> None:
    """Forget a refusal: the item is there now."""
    table = schema.stuck
    tx.execute(
        sa.delete(table).where(
            table.c.project_id == ledger.project_id,
            table.c.target == target,
            table.c.position == position,
        )
    )
