"""Files that appear whole or not at all, CSV text, and locks that die with their process."""

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

# No write takes so long; what is older was left by a process that was killed.
STALE_SECONDS = 3600.0
# What a cell begins with that a spreadsheet takes for a formula.
_FORMULA = ("=", "+", "-", "@")
# Who hears of files that are written.
_HEARING: list[Callable[[Path], None]] = []


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write beside the target, flush, rename in: readers see the old file or the new one."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    tell_written(path)


@contextmanager
def overheard(hear: Callable[[Path], None]) -> Iterator[None]:
    """Let somebody hear of each file and folder that podium writes in this process meanwhile."""
    _HEARING.append(hear)
    try:
        yield
    finally:
        _HEARING.remove(hear)


def tell_written(path: Path) -> None:
    """Tell whoever wants to hear it that a file or folder is in its place."""
    for hear in _HEARING:
        hear(path)


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, the one way podium writes it.

    A text that a spreadsheet would run as a formula gets a quote first; numbers stay numbers.

    Examples
    --------
    >>> print(csv_text([["note", "pnl"], ["=1+1", -1.5]]), end="")
    note,pnl
    '=1+1,-1.5
    """
    # Imported here: most commands write none.
    import csv
    import io

    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(
        [f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell for cell in row]
        for row in rows
    )
    return written.getvalue()


def flush_folder(folder: Path) -> None:
    """Flush a folder and all files below it, so that a rename publishes finished bytes."""
    for path in [*folder.rglob("*"), folder]:
        flush(path)


def flush(path: Path) -> None:
    """Flush one file, or the names in one folder: a rename into it lasts from then on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(path: Path, holder: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold an operating system lock; it is released when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        The lock file.
    holder : str
        Who holds it, for those who are refused.
    patience : float
        Seconds to wait for one's turn, where nobody holds it for long.

    Raises
    ------
    ConflictError
        Another process holds it; its own words (written to the lock file) say who.
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
                "wait for it, or end that process; what it finished is kept",
            )
        handle.seek(0)
        handle.truncate()
        handle.write(f"{holder} (process {os.getpid()})")
        handle.flush()
        yield


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock, who may be on another machine."""
    try:
        with path.open() as handle:
            # Shared, so that several may ask, also those who may not write here.
            return not hold(handle.fileno(), shared=True)
    except FileNotFoundError:
        return False


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait for a lock on the folder itself, so that no lock file lies about."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        hold(descriptor, wait=True)
        yield
    finally:
        # Closing it ends the lock.
        os.close(descriptor)


def hold(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file; whether the lock is ours now. It ends with the process at the latest."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def rerooted(told: str, root: Path) -> Path:
    """A path as somebody wrote it down, where it is now that the project may have moved.

    Parameters
    ----------
    told : str
        Absolute, or relative to the project. An absolute one whose last parts lead somewhere
        inside the project means that place.
    root : Path
        The project's folder.
    """
    path = Path(told)
    # One name alone would be found by accident.
    for start in range(1, len(path.parts) - 1) if path.is_absolute() else ():
        inside = root.joinpath(*path.parts[start:])
        if inside.exists():
            return inside
    return root / path


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@contextmanager
def full_disk_explained(place: Path) -> Iterator[None]:
    """Turn 'no space left' and 'read-only' into one sentence instead of a traceback."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise DataError(
            f"cannot write {error.filename or place}: {(error.strerror or '').lower()}",
            "room and permission to write",
            "free some space and run the same command again; it goes on from the last record",
        ) from error
