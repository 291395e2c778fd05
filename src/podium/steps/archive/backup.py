"""Pack a consistent copy of the record, its artefacts and the plugins into one file."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podium import artifact, plugin
from podium.config import FILE
from podium.errors import UsageError
from podium.ledger.snapshot import artifacts_named, copy_of_file, evaluation_folders, snapshot
from podium.project_file import CACHE
from podium.sections import LedgerSection
from podium.steps.archive.tar import Packing, packed
from podium.steps.workspace.project import Project

CONTENTS = "backup.json"
PACKING = Packing("backup", CONTENTS, 1, "podium backup")
# Record of a restored project, where the original one is on a server.
RECORD = "podium.db"


@dataclass(frozen=True)
class Backup:
    """A written backup: its path, number of artefacts and of plugin files, and size."""

    path: Path
    artifacts: int
    plugins: int
    bytes: int


def backup(project: Project, destination: Path) -> Backup:
    """Write podium.toml, the record, its artefacts and ``plugins/`` into one tar file.

    The copy of the record is consistent and does not disturb running steps. It is an SQLite file,
    also where a server holds the record (then with the rows of this project), and the podium.toml
    in the backup names it, so that any machine can restore it. The hashes of all artefacts are
    checked. Bars are not included; their fingerprints are on record.

    Parameters
    ----------
    destination : Path
        A new file, ``.tar`` or ``.tar.gz``.

    Returns
    -------
    Backup

    Raises
    ------
    ConflictError
        The destination exists; it is not changed. The message says whether it is complete.
    UsageError
        The destination is no tar file, record or store are outside the project, or ``ledger.url``
        in podium.toml cannot be rewritten.
    DataError
        An artefact is missing or was changed, or the disk is full.
    """
    source = project.reader.path
    record = RECORD if source is None else _inside(project, source, "ledger.url")
    settings = naming((project.root / FILE).read_text(encoding="utf-8"), f"sqlite:///{record}")
    store = _inside(project, project.store, "paths.registry")
    with packed(destination, PACKING) as pack:
        whole = pack.work / "record"
        if source is None:
            source = pack.work / "snapshot"
            snapshot(project.ledger, source)
        copy_of_file(source, whole)
        pack.add(FILE, settings.encode())
        pack.add(record, whole.read_bytes())
        plugins = _plugins(project.root)
        cache = [path for path in (project.root / CACHE,) if path.is_file()]
        for file in (*cache, *plugins, *_bundles(whole, project.root)):
            pack.add(project.shown(file), file.read_bytes())
        artifacts = _artifacts(whole, project.store)
        for path, artifact_hash in artifacts:
            pack.add_artifact(f"{store}/{path}", project.store / path, artifact_hash)
        pack.close()
    return Backup(destination, len(artifacts), len(plugins), destination.stat().st_size)


def _bundles(record: Path, root: Path) -> list[Path]:
    """Files of the evaluations, which signatures refer to."""
    folders = [root / folder for folder in sorted(evaluation_folders(record))]
    return [path for folder in folders for path in sorted(folder.glob("*")) if path.is_file()]


def _plugins(root: Path) -> list[Path]:
    """Files of the project's plugins without hidden and compiled ones."""
    folder = root / plugin.FOLDER
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(p.startswith(".") or p == "__pycache__" for p in path.relative_to(folder).parts)
    ]


def _artifacts(record: Path, store: Path) -> list[tuple[str, str]]:
    """(folder, hash) of the artefacts of candidates, and of the existing models of trials."""
    found, hashes = artifacts_named(record)
    for name in hashes:
        folder = artifact.folder_of(name)
        if (store / folder).is_dir():
            found.setdefault(folder, name)
    return sorted(found.items())


def _inside(project: Project, place: Path, key: str) -> str:
    try:
        return project.shown(place.resolve())
    except ValueError:
        raise UsageError(
            f"{key} is {place}, outside the project",
            "a folder in the project",
            "make a separate backup of it",
        ) from None


def naming(text: str, url: str) -> str:
    """Text of a podium.toml with another ``ledger.url`` and no other change.

    Raises
    ------
    UsageError
        The URL cannot be replaced in the text.
    """
    settings = tomllib.loads(text)
    section = settings.get("ledger", {})
    if section.get("url", LedgerSection.url) == url:
        return text
    if "url" in section:
        present = section["url"]
        texts = [text.replace(mark + present + mark, f'"{url}"') for mark in ('"', "'")]
    elif "ledger" in settings:
        texts = [text.replace("[ledger]", f'[ledger]\nurl = "{url}"', 1)]
    else:
        texts = [f'{text.rstrip()}\n\n[ledger]\nurl = "{url}"\n'.lstrip()]
    expected = {**settings, "ledger": {**section, "url": url}}
    for each in texts:
        with suppress(tomllib.TOMLDecodeError):
            if tomllib.loads(each) == expected:
                return each
    raise UsageError(
        f"ledger.url in {FILE} cannot be replaced",
        f'a line such as  url = "{LedgerSection().url}"  under [ledger]',
        "write it in this form",
    )
