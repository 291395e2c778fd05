"""Pack a consistent copy of the record, and every artefact it refers to, into one file."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from podium import __version__, artifact
from podium.config import FILE
from podium.errors import ConflictError, DataError, UsageError
from podium.files import full_disk_explained
from podium.hashing import canonical, digest_bytes
from podium.ledger.ledger import now
from podium.resolve import CACHE
from podium.steps._project import Project

CONTENTS = "backup.json"
SCHEMA = 1


@dataclass(frozen=True)
class Backup:
    """A written backup: where it is, how many artefacts and bytes it holds."""

    path: Path
    artifacts: int
    bytes: int


def backup(project: Project, destination: Path) -> Backup:
    """Write podium.toml, the record and its artefacts into one tar file.

    The record is copied by SQLite's own backup, so a run that is at work is not disturbed and the
    copy is of one moment. Every artefact's hashes are checked on the way. Bars are not in it: they
    are the project's input, and their fingerprints are on record.

    Parameters
    ----------
    destination : Path
        A file that does not exist, ``.tar`` or ``.tar.gz``.

    Raises
    ------
    ConflictError
        The destination exists; it is left as it is.
    UsageError
        The destination is no tar file, or record or store lie outside the project.
    DataError
        An artefact is missing or was changed, or the disk is full.
    """
    if not destination.name.endswith((".tar", ".tar.gz")):
        raise UsageError(f"{destination} is no tar file", "a name that ends with .tar or .tar.gz")
    if destination.exists():
        raise ConflictError(f"{destination} exists", "a file that does not", "choose another name")
    source = project.door.path
    if source is None:
        raise UsageError(
            "the record of this project is on a server",
            "a record in a file",
            "back the server up with pg_dump, and models/registry with it",
        )
    record = _inside(project, source, "ledger.url")
    store = _inside(project, project.store, "paths.registry")
    beside = destination.with_name(f".{destination.name}.tmp")
    mode = "w:gz" if destination.name.endswith(".gz") else "w"
    count = 0
    with full_disk_explained(destination), tempfile.TemporaryDirectory() as name:
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            copy = Path(name) / "record"
            _copy_record(source, copy)
            with tarfile.open(beside, mode) as tar:  # type: ignore[call-overload]
                pack = _Packer(tar)
                pack.add(FILE, (project.root / FILE).read_bytes())
                pack.add(record, copy.read_bytes())
                if (project.root / CACHE).is_file():
                    pack.add(CACHE.as_posix(), (project.root / CACHE).read_bytes())
                for path, artifact_hash in _artifacts(copy):
                    folder = project.store / path
                    artifact.verify(folder, artifact_hash)
                    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                        inner = file.relative_to(folder).as_posix()
                        pack.add(f"{store}/{path}/{inner}", file.read_bytes())
                    count += 1
                pack.close()
            beside.rename(destination)
        finally:
            beside.unlink(missing_ok=True)
    return Backup(destination, count, destination.stat().st_size)


class _Packer:
    """Adds files to a tar and remembers their hashes for the list of contents."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self.tar = tar
        self.files: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        self.files[name] = digest_bytes(data)
        self._write(name, data)

    def close(self) -> None:
        """Write the list of contents; a backup without it is not whole."""
        contents = {
            "podium": SCHEMA,
            "kind": "backup",
            "version": __version__,
            "created_at": now(),
            "files": self.files,
        }
        self._write(CONTENTS, canonical(contents).encode())

    def _write(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o644
        self.tar.addfile(entry, io.BytesIO(data))


def _copy_record(source: Path, target: Path) -> None:
    """Copy of a record at one moment, as one file without a log beside it."""
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
            [answer] = new.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise DataError(f"{source}: {error}", "podium's record", "run: podium doctor") from None
    if answer != "ok":
        raise DataError(f"{source} is damaged: {answer}", "a whole record", "run: podium doctor")


def _artifacts(record: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(record)) as connection:
        rows = connection.execute(
            "SELECT DISTINCT artifact_path, artifact_hash FROM candidate ORDER BY seq"
        )
        return [(path, name) for path, name in rows]


def _inside(project: Project, place: Path, key: str) -> str:
    try:
        return place.resolve().relative_to(project.root).as_posix()
    except ValueError:
        raise UsageError(
            f"{key} is {place}, outside the project",
            "a place inside it",
            "back that place up by its own means",
        ) from None


def contents_of(data: bytes) -> dict[str, str]:
    """Hash of each file by its name, from a backup's list of contents.

    Raises
    ------
    DataError
        It is not podium's, or of a newer podium.
    """
    try:
        contents = json.loads(data)
        files, schema = contents["files"], contents["podium"]
        known = contents["kind"] == "backup" and all(isinstance(v, str) for v in files.values())
    except (ValueError, TypeError, KeyError, AttributeError):
        known = False
    if not known:
        raise DataError(f"{CONTENTS} cannot be read", "a file written by podium backup")
    if schema > SCHEMA:
        raise DataError(
            f"the backup has schema {schema}, written by a newer podium",
            f"at most {SCHEMA}",
            "run: pip install --upgrade podium",
        )
    found: dict[str, str] = files
    return found
