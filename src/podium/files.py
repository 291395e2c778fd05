"""Files that appear whole or not at all, and locks that die with their process."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podium.errors import ConflictError, DataError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write beside the target, flush, rename in: readers see the old file or the new one."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder and all files below it, so that a rename publishes finished bytes."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def lock(path: Path, holder: str) -> Iterator[None]:
    """Hold an operating system lock; it is released when the process ends, however it ends.

    Raises
    ------
    ConflictError
        Another process holds it; its own words (written to the lock file) say who.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            handle.seek(0)
            raise ConflictError(
                f"{handle.read().strip() or 'another process'} is at work here ({path.name})",
                "one writer at a time",
                "wait for it, or end that process; what it finished is kept",
            ) from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"{holder} (process {os.getpid()})")
        handle.flush()
        yield


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
