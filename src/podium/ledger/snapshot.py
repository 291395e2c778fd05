"""A project's part of a server's record as one SQLite file, all of one moment."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from podium.ledger import schema
from podium.ledger.ledger import Ledger

PIECE = 1000


def snapshot(ledger: Ledger, target: Path) -> None:
    """Write every row of the ledger's project, with its sequence number, into a new file.

    Read in one transaction, so writers are not disturbed and what they do meanwhile is not in it.
    """
    # The new record starts with a row about the project; the one to be copied is older.
    copy = Ledger(f"sqlite:///{target.name}", target.parent, ledger.project_id, "")
    try:
        with ledger.reading() as source, copy.transaction(durable=True) as tx:
            tx.execute(sa.delete(schema.project))
            for table in schema.metadata.sorted_tables:
                if "project_id" in table.c:
                    _copy(source, tx, table, ledger.project_id)
    finally:
        copy.close()


def _copy(source: sa.Connection, target: sa.Connection, table: sa.Table, project_id: str) -> None:
    rows = source.execute(
        sa.select(table)
        .where(table.c.project_id == project_id)
        .order_by(*table.primary_key)
        .execution_options(yield_per=PIECE)
    )
    for piece in rows.mappings().partitions():
        target.execute(table.insert(), [dict(row) for row in piece])
