"""Unpack a backup into a new project; every hash is checked first."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from podium.config import FILE
from podium.errors import ConflictError, DataError, NotFoundError
from podium.files import flush, flush_folder, full_disk_explained, work_folder
from podium.hashing import digest_bytes
from podium.steps.archive.backup import PACKING
from podium.steps.archive.tar import check, unpack


def restore(source: Path, folder: Path) -> Path:
    """Unpack the project of a backup in a new folder and return the folder.

    Links, absolute names, names with ``..`` and files that differ from the list of contents are
    refused. The folder is created complete or not at all. Its record is an SQLite file, also where
    the original one was on a server. Bars must be put back at the paths of ``[datasets]``.

    Raises
    ------
    ConflictError
        The folder has other files than those of the backup.
    NotFoundError
        There is no such backup.
    DataError
        The backup is damaged, forged, or not one of podium; no file is left.
    """
    folder = folder.resolve()
    if not source.is_file():
        raise NotFoundError(f"no backup at {source}", "a file written by podium backup")
    with full_disk_explained(folder), work_folder(folder) as work:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            # A repeated command, after one that was killed as it ended.
            if folder.is_dir() and _holds(folder, check(source, PACKING)["files"]):
                return folder
            raise _exists(folder)
        unpacked = work / folder.name
        files = unpack(source, unpacked, PACKING)["files"]
        if FILE not in files:
            raise DataError(f"the backup has no {FILE}", "a complete project")
        flush_folder(unpacked)
        if not _holds(unpacked, files):
            raise DataError(f"the files in {unpacked} differ from the backup", "a working disk")
        try:
            # An empty folder is replaced; any other one is in the way.
            unpacked.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise _exists(folder) from None
            raise
        flush(folder.parent)
    return folder


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether a folder has every one of these files with its hash."""
    return all(
        (folder / name).is_file() and digest_bytes((folder / name).read_bytes()) == sha
        for name, sha in files.items()
    )


def _exists(folder: Path) -> ConflictError:
    return ConflictError(f"{folder} exists", "a new or empty folder", "choose another name")
