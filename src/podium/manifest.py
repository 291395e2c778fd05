"""Verified reads of an artefact's manifest and files.

Used by ``podium resolve``, so the module imports little.
"""

from __future__ import annotations

import hashlib
import os
import stat

from podium.errors import DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"
# Hexadecimal digits of the hash in the name of an artefact's folder.
DIGITS = 20
# Enough for thousands of files, too small to fill the memory.
MOST_BYTES = 2**24


def require_hash(folder: str | os.PathLike[str], expected: str) -> bytes:
    """Bytes of the manifest, after their hash was verified.

    Raises
    ------
    DataError
        The manifest is missing or its hash is not the recorded one.
    """
    path, data = os.path.join(folder, MANIFEST), content(folder)
    sha = hashlib.sha256(data).hexdigest()
    if sha != expected:
        raise DataError(
            f"{path} has hash {sha[:12]}",
            f"{expected[:12]}, as recorded",
            "the artefact was changed after it was registered; restore it from a backup",
        )
    return data


def content(folder: str | os.PathLike[str]) -> bytes:
    """Bytes of the manifest, not verified.

    Raises
    ------
    DataError
        The manifest is missing or too large.
    """
    path = os.path.join(folder, MANIFEST)
    expected = "the artefact that the record refers to"
    return _bytes(path, expected, "restore it from a backup", MOST_BYTES)


def read_checked(folder: str | os.PathLike[str], files: Mapping[str, str], name: str) -> bytes:
    """Bytes of one file of an artefact, read once and verified.

    Raises
    ------
    DataError
        The file is missing, changed, not a plain file in the folder, or not in the manifest.
    """
    if name not in files:
        raise DataError(f"{name} is not in the manifest of {folder}", fix="use a file it lists")
    if not inside(name):
        raise DataError(
            f"the manifest of {folder} names the file {name!r:.80}",
            "files in that folder",
            "do not use it: podium does not write such manifests",
        )
    path = os.path.join(folder, name)
    place = os.fspath(folder)
    for part in name.split("/"):
        place = os.path.join(place, part)
        if os.path.islink(place):
            raise DataError(
                f"{place} is a link", "a plain file", "copy the file there, or restore the artefact"
            )
    data = _bytes(path, "every file of the manifest")
    if hashlib.sha256(data).hexdigest() != files[name]:
        raise DataError(
            f"{path} differs from its manifest", "the recorded bytes", "restore the artefact"
        )
    return data


def inside(name: str) -> bool:
    """Whether a file's name stays in the folder it is relative to.

    Examples
    --------
    >>> [inside(name) for name in ("final_model/model.pt", "../model.pt", "/etc/passwd", "a//b")]
    [True, False, False, False]
    """
    parts = name.split("/")
    return "\\" not in name and name.isprintable() and not {"", ".", ".."} & set(parts)


def plain(name: str) -> bool:
    """Whether a name is a single path component.

    Examples
    --------
    >>> [plain(name) for name in ("AAPL", "BRK.B", "../AAPL", "EUR/USD", "..")]
    [True, True, False, False, False]
    """
    return "/" not in name and inside(name)


def _bytes(path: str, expected: str, fix: str = "", most: int | None = None) -> bytes:
    """Content of a plain file; reading a pipe or a device might never end."""
    try:
        with open(path, "rb", opener=_open) as handle:
            status = os.fstat(handle.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{path} is not a plain file", expected, fix)
            if most is not None and status.st_size > most:
                raise DataError(
                    f"{path} has {status.st_size:,} bytes", f"at most {most:,}, as podium writes it"
                )
            return handle.read()
    except (OSError, ValueError):
        raise DataError(f"{path} is missing", expected, fix) from None


def _open(path: str, flags: int) -> int:
    # Opening a pipe would block until another process writes to it.
    return os.open(path, flags | os.O_NONBLOCK)
