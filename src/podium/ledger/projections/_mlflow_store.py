"""MLflow's SQLite store: made once, whole or not at all, and kept quick to search."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from podium.errors import DataError
from podium.files import full_disk_explained, turn

# Statistics taken at n runs serve searches well until there are several times as many.
GROWTH = 2


def make(file: Path, artifacts: str) -> bool:
    """Make an empty store, unless there is one; tells whether it is new.

    MLflow makes a store in many steps without a lock, so two processes that start together break
    it. Here one makes it in a file beside and renames that in; the others wait for it.

    Parameters
    ----------
    file : Path
        The SQLite file.
    artifacts : str
        URI of the folder for artefacts of MLflow's own default experiment.

    Raises
    ------
    DataError
        The file is something else, or there is no room.
    """
    with full_disk_explained(file), turn(file.parent):
        if file.exists():
            _require_sqlite(file)
            return False
        beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            # Imported late: it takes a second, and most commands never come here.
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            store: Any = SqlAlchemyStore(f"sqlite:///{beside}", artifacts)  # type: ignore[no-untyped-call]
            store.engine.dispose()
            _use_wal(beside)
            for end in ("-wal", "-shm"):
                # Of a store that was removed; to this one they would be damage.
                file.with_name(file.name + end).unlink(missing_ok=True)
            beside.replace(file)
        finally:
            for rest in beside.parent.glob(f"{beside.name}*"):
                rest.unlink(missing_ok=True)
    return True


def _require_sqlite(file: Path) -> None:
    """Refuse a file that is no MLflow store; one of before gets the quicker journal."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
            [mode] = store.execute("PRAGMA journal_mode").fetchone()
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{file} cannot be read as MLflow's store: {error}",
            "a database that MLflow made",
            "move it away; podium sync then sends everything again",
        ) from None
    if "schema_version" in tables:
        raise DataError(f"{file} is podium's record", "another file", "correct mlflow.tracking_uri")
    if mode != "wal":
        _use_wal(file)


def _use_wal(file: Path) -> None:
    """Let the UI read while runs are written, and commits cost one flush instead of several."""
    with closing(sqlite3.connect(file, timeout=30)) as store:
        store.execute("PRAGMA journal_mode=WAL")


def analyze(file: Path) -> None:
    """Take statistics once a store has grown.

    Without any, SQLite before 3.51 plans MLflow's search by a metric as a product of all runs with
    all runs: half a minute at 20,000 runs instead of a tenth of a second.
    """
    try:
        with closing(sqlite3.connect(file, timeout=5)) as store:
            [runs] = store.execute("SELECT count(*) FROM runs").fetchone()
            if runs >= GROWTH * max(_runs_then(store), 1):
                # A bound keeps this short in a store of any size.
                store.execute("PRAGMA analysis_limit=1000")
                store.execute("ANALYZE")
                store.commit()
    except sqlite3.DatabaseError:
        # Somebody else is writing, or the tables are others; it is only about speed.
        return


def _runs_then(store: sqlite3.Connection) -> int:
    """Runs at the time of the last statistics; 0 when there are none."""
    if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
        return 0
    rows = store.execute("SELECT stat FROM sqlite_stat1 WHERE tbl = 'runs'")
    return max((int(stat.split()[0]) for (stat,) in rows), default=0)
