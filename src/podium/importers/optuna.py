"""Studies of Optuna journal files and databases, read-only."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from podium.config import without_password
from podium.errors import DataError, MissingExtraError, NotFoundError, PodiumError, suggest
from podium.importers._base import (
    SQLITE,
    Imported,
    as_file,
    head,
    read_bytes,
    sqlite,
    sqlite_tables,
)
from podium.importers._optuna import imported

if TYPE_CHECKING:
    import optuna

OPTIONS = ("study",)
SERVERS = ("postgresql", "mysql", "mariadb")
_RESTORE = "restore it from a copy; nothing was imported"
_TABLES = {"studies", "trials", "trial_params"}


def recognizes(place: str | Path) -> bool:
    """Return whether this is a journal of operations, a database of studies, or a server's URL."""
    path = as_file(place)
    if path is None:
        return str(place).partition(":")[0].partition("+")[0] in SERVERS
    start = head(path)
    return (start[:1] == b"{" and b'"op_code"' in start) or sqlite_tables(path) >= _TABLES


def read(place: str | Path, *, study: str | None = None) -> list[Imported]:
    """Import every study of a storage, or one; running and waiting trials are left out.

    An SQLite file is copied first, so that the schema of an older one can be upgraded.

    Raises
    ------
    NotFoundError
        The file or study does not exist.
    DataError
        The storage is damaged, or has an unsupported schema.
    """
    path = as_file(place)
    name = path.name if path else without_password(str(place))
    problems: list[str] = []
    with _optuna_errors(name), _open(place, problems) as storage:
        import optuna

        names = [each.study_name for each in storage.get_all_studies()]
        if study is not None and study not in names:
            raise NotFoundError(f"{name} has no study '{study}'", fix=suggest(study, names))
        groups = [
            imported(optuna.load_study(study_name=each, storage=storage), name)
            for each in names
            if study in (None, each)
        ]
    return [*groups, Imported(name, (), problems)] if problems else groups


@contextmanager
def _optuna_errors(name: str) -> Iterator[None]:
    """Convert any error of Optuna to a DataError."""
    try:
        yield
    except PodiumError:
        raise
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise MissingExtraError(f"{name}: {reason}", "a driver for this database") from None
    except Exception as error:  # noqa: BLE001 - Optuna has no exceptions for these
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        found = f"{name} cannot be read as an Optuna storage: {without_password(message)}"
        expected = "a storage that this Optuna can open"
        raise DataError(found, expected, _RESTORE) from None


@contextmanager
def _open(place: str | Path, problems: list[str]) -> Iterator[optuna.storages.BaseStorage]:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = as_file(place)
    if path is None:
        with _database(str(place)) as storage:
            yield storage
    elif head(path).startswith(SQLITE):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.db"
            with sqlite(path) as old, closing(sqlite3.connect(copy)) as new:
                old.backup(new)
            with _database(f"sqlite:///{copy}", upgrade=True) as storage:
                yield storage
    else:
        _require_whole(path, problems)
        yield JournalStorage(JournalFileBackend(str(path)))


@contextmanager
def _database(url: str, *, upgrade: bool = False) -> Iterator[optuna.storages.RDBStorage]:
    """Open the storage of a URL; ``upgrade`` allows an upgrade of its schema."""
    import optuna

    storage = optuna.storages.RDBStorage(
        url, skip_compatibility_check=True, skip_table_creation=True
    )
    try:
        version, head = storage.get_current_version(), storage.get_head_version()
        found = f"the storage has schema {version}, written by"
        if version not in storage.get_all_versions():
            fix = "run: pip install --upgrade optuna"
            raise DataError(f"{found} a newer Optuna", f"at most {head}", fix)
        if version != head and not upgrade:
            fix = "run: optuna storage upgrade --storage URL"
            raise DataError(f"{found} an older Optuna", head, fix)
        if version != head:
            storage.upgrade()
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _require_whole(path: Path, problems: list[str]) -> None:
    """Refuse a journal with a damaged line: operations number trials, so none can be skipped.

    Only the last line may be torn; Optuna skips it.
    """
    lines = read_bytes(path).split(b"\n")
    if lines.pop():
        problems.append(f"line {len(lines) + 1}: torn")
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            expected = "a journal of Optuna, one operation per line"
            raise DataError(f"{path} line {number} is no JSON", expected, _RESTORE) from None
