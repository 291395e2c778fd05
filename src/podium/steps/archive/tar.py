"""Tar files that say what is in them: written with a list of contents, read without trust."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from podium import __version__, artifact
from podium.errors import ConflictError, DataError, UsageError
from podium.files import full_disk_explained
from podium.hashing import canonical
from podium.ledger.ledger import now

# Far above any real project; below what would fill a disk by a forged size.
MOST_FILES, MOST_BYTES = 1_000_000, 2**40
PIECE = 2**20
ENDINGS = (".tar", ".tar.gz")


@dataclass(frozen=True)
class Packing:
    """One kind of tar file that podium writes.

    Parameters
    ----------
    kind : str
        As the list of contents calls it.
    contents : str
        Name of the list of contents; it is the last file.
    schema : int
        Newest form this podium reads.
    writer : str
        The command that writes one.
    """

    kind: str
    contents: str
    schema: int
    writer: str

    def refused(self, found: str) -> DataError:
        """Error about a tar file that is not as it was written."""
        return DataError(found, f"a whole file written by {self.writer}")

    def contents_of(self, data: bytes) -> dict[str, Any]:
        """List of contents; ``files`` has the hash of each file by its name.

        Raises
        ------
        DataError
            It is not podium's, or of a newer podium.
        """
        try:
            found: dict[str, Any] = json.loads(data)
            files, schema = found["files"], found["podium"]
            known = found["kind"] == self.kind and all(isinstance(v, str) for v in files.values())
            known = known and isinstance(schema, int)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            known = False
        if not known:
            raise self.refused(f"{self.contents} cannot be read")
        if schema > self.schema:
            raise DataError(
                f"the {self.kind} has schema {schema}, written by a newer podium",
                f"at most {self.schema}",
                "run: pip install --upgrade podium",
            )
        return found


@contextmanager
def packed(destination: Path, packing: Packing) -> Iterator[Packer]:
    """Packer of a tar file that is there once it is whole; :meth:`Packer.close` is the caller's.

    Raises
    ------
    UsageError
        The name is not a tar file's.
    ConflictError
        The file exists; it is left as it is.
    """
    if not destination.name.endswith(ENDINGS):
        raise UsageError(f"{destination} is no tar file", "a name that ends with .tar or .tar.gz")
    if destination.exists():
        raise ConflictError(f"{destination} exists", "a file that does not", "choose another name")
    beside = destination.with_name(f".{destination.name}.tmp")
    with full_disk_explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(beside, "w:gz" if destination.suffix == ".gz" else "w") as tar:
                yield Packer(tar, packing)
            beside.rename(destination)
        finally:
            beside.unlink(missing_ok=True)


class Packer:
    """Adds files to a tar and remembers their hashes for the list of contents."""

    def __init__(self, tar: tarfile.TarFile, packing: Packing) -> None:
        self.tar = tar
        self.packing = packing
        self.files: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """Add a file with this content."""
        self.add_file(name, io.BytesIO(data))

    def add_file(self, name: str, source: io.BufferedIOBase) -> None:
        """Add what a file holds, from its first byte, without reading it at once."""
        self.files[name] = hashlib.file_digest(source, "sha256").hexdigest()
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = source.seek(0, io.SEEK_END), 0o644
        source.seek(0)
        self.tar.addfile(entry, source)

    def add_artifact(self, name: str, folder: Path, artifact_hash: str) -> None:
        """Add every file of an artefact below a name, after its hashes were checked."""
        artifact.verify(folder, artifact_hash)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            with file.open("rb") as source:
                self.add_file(f"{name}/{file.relative_to(folder).as_posix()}", source)

    def close(self, **more: Any) -> None:
        """Write the list of contents; without it nothing is whole."""
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
    """Write a tar's files below ``target``, every hash checked; returns the list of contents.

    Nothing is trusted: links, absolute names and names with ``..`` are refused, every file must
    stand in the list of contents with its hash, and every file of the list must be there.

    Raises
    ------
    DataError
        The file is damaged, forged, or another kind; what was written so far is the caller's.
    """
    found = _unpack(source, target, packing)
    listed = target / packing.contents
    contents = packing.contents_of(listed.read_bytes() if packing.contents in found else b"")
    del found[packing.contents]
    listed.unlink()
    for name in sorted({*found, *contents["files"]}):
        if found.get(name) != contents["files"].get(name):
            how = "is missing" if name not in found else "differs from the list of contents"
            raise DataError(f"{name} {how}", f"every file as {packing.writer} wrote it")
    return contents


def _unpack(source: Path, target: Path, packing: Packing) -> dict[str, str]:
    found: dict[str, str] = {}
    total = 0
    try:
        with tarfile.open(source) as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                total += entry.size
                if not entry.isreg() or name.is_absolute() or ".." in name.parts:
                    raise packing.refused(
                        f"{source} holds {entry.name!r}, which is no plain file inside the project"
                    )
                if entry.name in found or len(found) >= MOST_FILES or total > MOST_BYTES:
                    raise packing.refused(f"{source} holds too much at {entry.name!r}")
                found[entry.name] = _write(tar.extractfile(entry), target / name)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise packing.refused(f"{source} cannot be read: {error}") from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise packing.refused(f"{source} has a file and a folder of one name: {error}") from None
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
