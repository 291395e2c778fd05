"""Tar files with a list of contents and hashes, which are checked on reading."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from podium import __version__, artifact
from podium.errors import ConflictError, DataError, UsageError
from podium.files import full_disk_explained, put_new, work_folder
from podium.hashing import canonical
from podium.ledger.ledger import now

# Limits far above any project, against forged sizes.
MOST_FILES, MOST_BYTES, MOST_LISTED = 1_000_000, 2**40, 2**28
PIECE = 2**20
ENDINGS = (".tar", ".tar.gz")
# Takes one file of a tar file, by its name, and returns its SHA-256.
Take = Callable[[PurePosixPath, IO[bytes] | None], str]


@dataclass(frozen=True)
class Packing:
    """One kind of tar file.

    Parameters
    ----------
    kind : str
        Name in the list of contents.
    contents : str
        File name of the list of contents, which is the last file.
    schema : int
        Newest schema that this podium reads.
    writer : str
        Command that writes such files.
    """

    kind: str
    contents: str
    schema: int
    writer: str

    def refused(self, problem: str) -> DataError:
        """Error about a damaged tar file."""
        return DataError(problem, f"a complete file written by {self.writer}")

    def contents_of(self, data: bytes) -> dict[str, Any]:
        """List of contents; ``files`` has the hash of each file by its name.

        Raises
        ------
        DataError
            It cannot be read, or a newer podium wrote it.
        """
        try:
            contents: dict[str, Any] = json.loads(data)
            schema, hashes = contents["podium"], contents["files"].values()
            known = contents["kind"] == self.kind and isinstance(schema, int)
            known = known and all(isinstance(value, str) for value in hashes)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            known = False
        if not known:
            raise self.refused(f"{self.contents} cannot be read")
        if schema > self.schema:
            raise newer(f"the {self.kind} has schema {schema}, written by", self.schema)
        return contents


def newer(found: str, most: int) -> DataError:
    """Error of a file whose schema is above the known one."""
    fix = "run: pip install --upgrade podium"
    return DataError(f"{found} a newer podium", f"at most {most}", fix)


@contextmanager
def packed(destination: Path, packing: Packing) -> Iterator[Packer]:
    """Packer of a new tar file; call :meth:`Packer.close` at the end.

    The file appears when it is complete, was read back and has the hashes of its list of contents.

    Raises
    ------
    UsageError
        The name is not that of a tar file.
    ConflictError
        The file exists; it is not changed. The message says whether it is complete.
    """
    if not destination.name.endswith(ENDINGS):
        raise UsageError(f"{destination} is no tar file", "a name that ends with .tar or .tar.gz")
    with full_disk_explained(destination), work_folder(destination) as work:
        if os.path.lexists(destination):
            raise _exists(destination, packing)
        temporary = work / destination.name
        with tarfile.open(temporary, "w:gz" if destination.suffix == ".gz" else "w") as tar:
            yield Packer(tar, packing, work)
        check(temporary, packing)
        try:
            put_new(temporary, destination)
        except ConflictError:
            raise _exists(destination, packing) from None


def _exists(destination: Path, packing: Packing) -> ConflictError:
    """Error about an existing destination, perhaps that of the same command, which was killed."""
    expected, other = "a file that does not exist", "choose another name"
    try:
        if not destination.is_file():
            return ConflictError(f"{destination} exists", expected, other)
        made = check(destination, packing).get("created_at")
    except (DataError, OSError):
        return ConflictError(
            f"{destination} exists and is no complete {packing.kind}", expected, other
        )
    return ConflictError(
        f"{destination} exists: a complete {packing.kind} of {made}",
        expected,
        f"use it, or {other}",
    )


class Packer:
    """Adds files to a tar file, and their hashes to the list of contents."""

    def __init__(self, tar: tarfile.TarFile, packing: Packing, work: Path) -> None:
        self.tar = tar
        self.packing = packing
        # Folder for temporary files.
        self.work = work
        self.files: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """Add a file with this content."""
        self.add_file(name, io.BytesIO(data))

    def add_file(self, name: str, source: io.BufferedIOBase) -> None:
        """Add the content of an open file, from its first byte, in pieces."""
        self.files[name] = hashlib.file_digest(source, "sha256").hexdigest()
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = source.seek(0, io.SEEK_END), 0o644
        source.seek(0)
        self.tar.addfile(entry, source)

    def add_artifact(self, name: str, folder: Path, artifact_hash: str) -> None:
        """Add all files of an artefact below a name; their hashes are checked."""
        artifact.verify(folder, artifact_hash)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            with file.open("rb") as source:
                self.add_file(f"{name}/{file.relative_to(folder).as_posix()}", source)

    def close(self, **more: Any) -> None:
        """Write the list of contents, without which the file is incomplete."""
        contents = {
            "podium": self.packing.schema,
            "kind": self.packing.kind,
            "version": __version__,
            "created_at": now(),
            "files": self.files,
            **more,
        }
        self.add(self.packing.contents, canonical(contents).encode())


def unpack(source: Path, target: Path, packing: Packing) -> dict[str, Any]:
    """Unpack a tar file below ``target`` and return its list of contents.

    Links, absolute names and names with ``..`` are refused, and the files must be those of the list
    of contents, with their hashes.

    Raises
    ------
    DataError
        The file is damaged, forged, or of another kind; the caller removes ``target``.
    """
    return _checked(source, packing, lambda name, piece: _write(piece, target / name))


def check(source: Path, packing: Packing) -> dict[str, Any]:
    """Read a tar file as :func:`unpack` does, without writing, and return its list of contents."""
    return _checked(source, packing, lambda name, piece: _copy(piece, None))


def _checked(source: Path, packing: Packing, take: Take) -> dict[str, Any]:
    """List of contents of a tar file, after each file was taken and has its listed hash."""
    hashes, listed = _read(source, packing, take)
    contents = packing.contents_of(listed)
    hashes.pop(packing.contents, None)
    for name in sorted({*hashes, *contents["files"]}):
        if hashes.get(name) != contents["files"].get(name):
            how = "is missing" if name not in hashes else "differs from the list of contents"
            raise DataError(f"{name} {how}", f"every file as {packing.writer} wrote it")
    return contents


def _read(source: Path, packing: Packing, take: Take) -> tuple[dict[str, str], bytes]:
    """Hash of each file by name, and the bytes of the list of contents."""
    hashes: dict[str, str] = {}
    listed, total = b"", 0
    try:
        with tarfile.open(source) as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                total += entry.size
                if not entry.isreg() or name.is_absolute() or ".." in name.parts:
                    raise packing.refused(
                        f"{source} holds {entry.name!r}, which is no plain file inside the project"
                    )
                if entry.name in hashes or len(hashes) >= MOST_FILES or total > MOST_BYTES:
                    raise packing.refused(f"{source} holds too much at {entry.name!r}")
                piece = tar.extractfile(entry)
                if entry.name == packing.contents and piece:
                    listed = piece.read(MOST_LISTED)
                    hashes[entry.name] = ""
                else:
                    hashes[entry.name] = take(name, piece)
    except (tarfile.TarError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise packing.refused(f"{source} cannot be read: {error}") from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise packing.refused(f"{source} has a file and a folder of one name: {error}") from None
    return hashes, listed


def _write(source: IO[bytes] | None, path: Path) -> str:
    """Write a file of a tar file; return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        return _copy(source, target)


def _copy(source: IO[bytes] | None, target: IO[bytes] | None) -> str:
    """Copy in pieces, so that a forged size fills no memory; return the SHA-256."""
    sha = hashlib.sha256()
    while source and (piece := source.read(PIECE)):
        sha.update(piece)
        if target:
            target.write(piece)
    return sha.hexdigest()
