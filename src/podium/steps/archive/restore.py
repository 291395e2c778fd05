"""Unpack a backup into a new project; every hash is checked first."""

from __future__ import annotations

import shutil
from pathlib import Path

from podium.config import FILE
from podium.errors import ConflictError, DataError, NotFoundError
from podium.files import flush_folder, full_disk_explained
from podium.steps.archive.backup import PACKING
from podium.steps.archive.tar import unpack


def restore(source: Path, folder: Path) -> Path:
    """Unpack the project of a backup in a new folder and return the folder.

    Links, absolute names, names with ``..`` and files that differ from the list of contents are
    refused. The folder is created complete or not at all. Its record is an SQLite file, also where
    the original one was on a server. Bars must be put back at the paths of ``[datasets]``.

    Raises
    ------
    ConflictError
        The folder exists and is not empty.
    NotFoundError
        There is no such backup.
    DataError
        The backup is damaged, forged, or not one of podium; no file is left.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"{folder} exists", "a new or empty folder", "choose another name")
    if not source.is_file():
        raise NotFoundError(f"no backup at {source}", "a file written by podium backup")
    unpacked = folder.with_name(f".{folder.name}.restoring")
    with full_disk_explained(folder):
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            if FILE not in unpack(source, unpacked, PACKING)["files"]:
                raise DataError(f"the backup has no {FILE}", "a complete project")
            flush_folder(unpacked)
            if folder.exists():
                folder.rmdir()
            unpacked.rename(folder)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    return folder
