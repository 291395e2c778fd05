"""Unpack a backup into a new project, every hash checked before anything is in place."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from podium.config import FILE
from podium.errors import ConflictError, DataError, NotFoundError
from podium.files import flush_folder, full_disk_explained
from podium.steps.backup import CONTENTS, contents_of

# Far above any real project; below what would fill a disk by a forged size.
MOST_FILES, MOST_BYTES = 1_000_000, 2**40
PIECE = 2**20


def restore(source: Path, folder: Path) -> Path:
    """Lay out the project of a backup in a folder that does not exist; returns the folder.

    Nothing is trusted: links, absolute names and names with ``..`` are refused, every file must
    stand in the list of contents with its hash. The folder appears whole or not at all. Put the
    bars back where ``[datasets]`` names them; resolving and showing need none.

    Raises
    ------
    ConflictError
        The folder exists and is not empty.
    NotFoundError
        There is no such backup.
    DataError
        The backup is damaged, forged, or not podium's; nothing is left behind.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"{folder} exists", "a new or empty folder", "choose another name")
    if not source.is_file():
        raise NotFoundError(f"no backup at {source}", "a file written by podium backup")
    beside = folder.with_name(f".{folder.name}.restoring")
    with full_disk_explained(folder):
        shutil.rmtree(beside, ignore_errors=True)
        try:
            found = _unpack(source, beside)
            listed = contents_of((beside / CONTENTS).read_bytes() if CONTENTS in found else b"")
            del found[CONTENTS]
            _require_same(found, listed)
            (beside / CONTENTS).unlink()
            flush_folder(beside)
            if folder.exists():
                folder.rmdir()
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def _unpack(source: Path, target: Path) -> dict[str, str]:
    """Write a tar's files below ``target``; hash of each by its name."""
    found: dict[str, str] = {}
    total = 0
    try:
        with tarfile.open(source) as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                total += entry.size
                if not entry.isreg() or name.is_absolute() or ".." in name.parts:
                    raise DataError(
                        f"{source} holds {entry.name!r}, which is no plain file inside the project",
                        "a file written by podium backup",
                    )
                if entry.name in found or len(found) >= MOST_FILES or total > MOST_BYTES:
                    raise DataError(f"{source} holds too much at {entry.name!r}", "each file once")
                found[entry.name] = _write(tar.extractfile(entry), target / name)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise DataError(
            f"{source} cannot be read: {error}", "a whole file written by podium backup"
        ) from None
    return found


def _write(source: IO[bytes] | None, path: Path) -> str:
    """Copy piece by piece, so that a forged size fills no memory; SHA-256 of what was copied."""
    sha = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        while source and (piece := source.read(PIECE)):
            sha.update(piece)
            target.write(piece)
    return sha.hexdigest()


def _require_same(found: dict[str, str], listed: dict[str, str]) -> None:
    for name in sorted({*found, *listed}):
        if found.get(name) != listed.get(name):
            how = "is missing" if name not in found else "differs from the list of contents"
            raise DataError(f"{name} {how}", "every file as it was backed up")
    if FILE not in found:
        raise DataError(f"the backup has no {FILE}", "a whole project")
