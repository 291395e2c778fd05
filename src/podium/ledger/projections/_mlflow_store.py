"""MLflow's SQLite store: atomic creation, and statistics for fast searches."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from podium.errors import DataError
from podium.files import full_disk_explained, turn

# Statistics are renewed when the number of runs has grown by this factor.
GROWTH = 2


def make(file: Path, artifacts: str) -> bool:
    """Make an empty store if there is none; returns whether it is new.

    MLflow makes a store in many steps without a lock, so two processes that start together damage
    it. Here one process makes it in a temporary file and renames that; the others wait.

    Parameters
    ----------
    file : Path
        The SQLite file.
    artifacts : str
        URI of the folder for artefacts of MLflow's default experiment.

    Raises
    ------
    DataError
        The file is no MLflow store, or the disk is full.
    """
    with full_disk_explained(file), turn(file.parent):
        if file.exists():
            _require_sqlite(file)
            return False
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            # Imported late: it takes a second, and most commands do not need it.
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            store: Any = SqlAlchemyStore(f"sqlite:///{temporary}", artifacts)  # type: ignore[no-untyped-call]
            store.engine.dispose()
            _use_wal(temporary)
            for end in ("-wal", "-shm"):
                # Logs of a removed store would damage the new one.
                file.with_name(file.name + end).unlink(missing_ok=True)
            temporary.replace(file)
        finally:
            for rest in temporary.parent.glob(f"{temporary.name}*"):
                rest.unlink(missing_ok=True)
    return True


def _require_sqlite(file: Path) -> None:
    """Refuse a file that is no MLflow store; switch an existing store to WAL."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
            [mode] = store.execute("PRAGMA journal_mode").fetchone()
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{file} cannot be read as MLflow's store: {error}",
            "a database made by MLflow",
            "move it away; podium sync then sends everything again",
        ) from None
    if "schema_version" in tables:
        raise DataError(f"{file} is podium's record", "another file", "correct mlflow.tracking_uri")
    if mode != "wal":
        _use_wal(file)


def _use_wal(file: Path) -> None:
    """Use the WAL journal: the UI reads during writes, and a commit takes one flush."""
    with closing(sqlite3.connect(file, timeout=30)) as store:
        store.execute("PRAGMA journal_mode=WAL")


def analyze(file: Path) -> None:
    """Renew the statistics of a store that has grown.

    Without them, SQLite before 3.51 plans MLflow's search by a metric as a product of all runs with
    all runs: half a minute at 20,000 runs instead of a tenth of a second.
    """
    try:
        with closing(sqlite3.connect(file, timeout=5)) as store:
            [runs] = store.execute("SELECT count(*) FROM runs").fetchone()
            if runs >= GROWTH * max(_runs_then(store), 1):
                # The limit keeps this short in a store of any size.
                store.execute("PRAGMA analysis_limit=1000")
                store.execute("ANALYZE")
                store.commit()
    except sqlite3.DatabaseError:
        # Another program is writing, or the tables differ; statistics only affect speed.
        return


def _runs_then(store: sqlite3.Connection) -> int:
    """Number of runs at the last statistics; 0 if there are none."""
    if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
        return 0
    rows = store.execute("SELECT stat FROM sqlite_stat1 WHERE tbl = 'runs'")
    return max((int(stat.split()[0]) for (stat,) in rows), default=0)
