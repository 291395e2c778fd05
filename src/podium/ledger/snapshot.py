"""Consistent copies of a record as one SQLite file, and the artefacts such a file refers to."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from podium.errors import DataError
from podium.ledger import schema
from podium.ledger.champions import rows
from podium.ledger.ledger import Ledger, Transaction

PIECE = 1000


def snapshot(ledger: Ledger, target: Path) -> None:
    """Write every row of the ledger's project, with its sequence number, into a new file.

    One read transaction: writers are not blocked, and their later changes are not copied.
    """
    # A new record starts with its own project row, which the copied one replaces.
    copy = Ledger(f"sqlite:///{target.name}", target.parent, ledger.project_id, "")
    try:
        with ledger.reading() as source, copy.transaction(durable=True) as tx:
            tx.execute(sa.delete(schema.project))
            for table in schema.metadata.sorted_tables:
                if "project_id" in table.c:
                    _copy(source, tx, table)
    finally:
        copy.close()


def _copy(source: Transaction, target: Transaction, table: sa.Table) -> None:
    rows = source.execute(
        sa.select(table)
        .where(table.c.project_id == source.project_id)
        .order_by(*table.primary_key)
        .execution_options(yield_per=PIECE)
    )
    for piece in rows.mappings().partitions():
        target.execute(table.insert(), [dict(row) for row in piece])


def copy_of_file(source: Path, target: Path) -> None:
    """Copy an SQLite record consistently, as one file without a separate log.

    Raises
    ------
    DataError
        The file is damaged, or no record.
    """
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
            [answer] = new.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise DataError(f"{source}: {error}", "podium's record", "run: podium doctor") from None
    if answer != "ok":
        raise DataError(f"{source} is damaged: {answer}", "an intact record", "run: podium doctor")


def evaluation_folders(record: Path) -> set[str]:
    """Folders of evaluation files that the evidence of an SQLite record names."""
    evidence = rows(record, "SELECT notes FROM evidence WHERE kind LIKE 'evaluation%'", ())
    return {json.loads(row["notes"]).get("folder", "") for row in evidence} - {""}


def artifacts_named(record: Path) -> tuple[dict[str, str], list[str]]:
    """Hashes of candidates' artefacts in an SQLite record by folder, and those of trials."""
    candidates = rows(record, "SELECT artifact_path, artifact_hash FROM candidate", ())
    trials = rows(record, "SELECT artifact_hash FROM trial WHERE artifact_hash NOT NULL", ())
    folders = {row["artifact_path"]: row["artifact_hash"] for row in candidates}
    return folders, [row["artifact_hash"] for row in trials]
