"""Atomic writes, CSV text, and locks that end with their process."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from podium.errors import ConflictError, DataError

# No write takes so long; older temporary files belong to killed processes.
STALE_SECONDS = 3600.0
# Suffix of the folders of unfinished writes.
UNFINISHED = ".unfinished"
# First characters of cells that spreadsheets take for formulas.
_FORMULA = ("=", "+", "-", "@")
# Callbacks for written files.
_LISTENERS: list[Callable[[Path], None]] = []


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a temporary file, flush it and rename it: readers see the old or the new file."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
                leftover.unlink()
    # Unique on every machine that shares the folder, and in every thread.
    temporary = path.with_name(f".{path.name}.{_token()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    notify_written(path)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist yet; of several concurrent calls one succeeds.

    Raises
    ------
    ConflictError
        The file exists with another content; it is not changed.
    """
    try:
        with work_folder(path) as folder:
            (folder / path.name).write_bytes(content)
            put_new(folder / path.name, path)
    except ConflictError:
        # A repeated call, after one that was killed as it ended.
        if not path.is_file() or path.read_bytes() != content:
            raise


@contextmanager
def work_folder(path: Path) -> Iterator[Path]:
    """Temporary folder with a unique name beside ``path``; it is removed at the end.

    Folders for the same path that killed processes left are removed first. The process that uses
    a folder holds a lock on it.
    """
    # Imported here: it loads compression libraries, which most commands do not need.
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{escape(path.name)}.*{UNFINISHED}"):
        with suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY)
            try:
                if hold(descriptor):
                    shutil.rmtree(leftover)
            finally:
                os.close(descriptor)
    folder, descriptor = _new_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _new_folder(path: Path) -> tuple[Path, int]:
    """Empty folder beside ``path``, and its open descriptor, which holds its lock."""
    while True:
        folder = path.with_name(f".{path.name}.{_token()}{UNFINISHED}")
        folder.mkdir()
        # Until it is locked another process may take it for a leftover.
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                mine = hold(descriptor)
            except OSError:
                # A file system without locks, where no leftover is removed either.
                return folder, descriptor
            if mine and folder.is_dir():
                return folder, descriptor
            os.close(descriptor)


def put_new(temporary: Path, path: Path) -> None:
    """Flush a file and give it its name, which no other file has.

    Raises
    ------
    ConflictError
        The name is in use; that file is not changed.
    """
    flush(temporary)
    try:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            temporary.replace(path)
    except FileExistsError:
        raise ConflictError(
            f"{path} exists", "a file that does not exist", "choose another name"
        ) from None
    flush(path.parent)
    notify_written(path)


def _token() -> str:
    return os.urandom(4).hex()


@contextmanager
def watch_writes(listener: Callable[[Path], None]) -> Iterator[None]:
    """Call ``listener`` with each file and folder that this process writes."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def notify_written(path: Path) -> None:
    """Notify the listeners that a file or folder was written."""
    for listener in _LISTENERS:
        listener(path)


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV text.

    A text that a spreadsheet would run as a formula gets a leading quote; numbers stay numbers.

    Examples
    --------
    >>> print(csv_text([["note", "pnl"], ["=1+1", -1.5]]), end="")
    note,pnl
    '=1+1,-1.5
    """
    # Imported here: most commands write no CSV.
    import csv
    import io

    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(
        [f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell for cell in row]
        for row in rows
    )
    return written.getvalue()


def flush_folder(folder: Path) -> None:
    """Flush a folder and all files below it, so that a rename publishes complete files."""
    for path in [*folder.rglob("*"), folder]:
        flush(path)


def flush(path: Path) -> None:
    """Flush one file, or the entries of one folder, which makes renames durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(path: Path, holder: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold an operating system lock, which ends with the process at the latest.

    Parameters
    ----------
    path : Path
        The lock file.
    holder : str
        Name of the holder, for messages to other processes.
    patience : float
        Seconds to wait for the lock.

    Raises
    ------
    ConflictError
        Another process holds the lock; the lock file has its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        give_up = time.monotonic() + patience
        while not hold(handle.fileno()):
            if time.monotonic() < give_up:
                time.sleep(0.01)
                continue
            handle.seek(0)
            raise ConflictError(
                f"{handle.read().strip() or 'another process'} is at work here ({path.name})",
                "one writer at a time",
                "wait for it, or end that process; its finished work is kept",
            )
        handle.seek(0)
        handle.truncate()
        handle.write(f"{holder} (process {os.getpid()})")
        handle.flush()
        yield


def is_locked(path: Path) -> bool:
    """Whether a process, perhaps on another machine, holds the lock."""
    try:
        with path.open() as handle:
            # Shared, so that several processes can check, also without write permission.
            return not hold(handle.fileno(), shared=True)
    except FileNotFoundError:
        return False


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait for a lock on the folder itself, which needs no lock file."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        hold(descriptor, wait=True)
        yield
    finally:
        # Closing it ends the lock.
        os.close(descriptor)


def hold(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file and return whether it succeeded; the lock ends with the process."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def rerooted(recorded: str, root: Path) -> Path:
    """Current location of a recorded path, after the project may have moved.

    Parameters
    ----------
    recorded : str
        Absolute, or relative to the project. An absolute path whose last parts exist in the
        project refers to that location.
    root : Path
        The project's folder.
    """
    path = Path(recorded)
    # A single name would match by accident.
    for start in range(1, len(path.parts) - 1) if path.is_absolute() else ():
        inside = root.joinpath(*path.parts[start:])
        if inside.exists():
            return inside
    return root / path


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@contextmanager
def full_disk_explained(place: Path) -> Iterator[None]:
    """Raise DataError for 'no space left', 'read-only' and missing permission."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise DataError(
            f"cannot write {error.filename or place}: {(error.strerror or '').lower()}",
            "room and permission to write",
            "free some space and run the same command again; it resumes from the record",
        ) from error
