"""Unpack a backup into a new project, every hash checked before anything is in place."""

from __future__ import annotations

import shutil
from pathlib import Path

from podium.config import FILE
from podium.errors import ConflictError, DataError, NotFoundError
from podium.files import flush_folder, full_disk_explained
from podium.steps.archive.backup import PACKING
from podium.steps.archive.tar import unpack


def restore(source: Path, folder: Path) -> Path:
    """Lay out the project of a backup in a folder that does not exist; returns the folder.

    Nothing is trusted: links, absolute names and names with ``..`` are refused, every file must
    stand in the list of contents with its hash. The folder appears whole or not at all. Its record
    is an SQLite file, also where a server held it before. Put the bars back where ``[datasets]``
    names them; resolving and showing need none.

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
            if FILE not in unpack(source, beside, PACKING)["files"]:
                raise DataError(f"the backup has no {FILE}", "a whole project")
            flush_folder(beside)
            if folder.exists():
                folder.rmdir()
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder
