"""Folders that steps fill for their users: where they lie, whose they are, what was there before.

What a step writes is a projection of the record. podium reads nothing of it back but whose it is:
what it made for another owner is kept under that owner's id, and what it did not write stays as
it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium.errors import DataError, UsageError
from podium.files import flush, write_atomic
from podium.manifest import MANIFEST, read_checked, require_hash
from podium.steps.workspace.project import Project


def output_folder(project: Project, slot: str, name: str = "") -> Path:
    """Folder of that name: the project's own for its root slot, else under ``slots/``.

    Parameters
    ----------
    name : str
        Relative to the slot's place; empty: that place itself.
    """
    root = project.root
    if slot != project.config.root_slot:
        root = root / "slots" / slot
    return root / (name or ".")


@dataclass(frozen=True)
class OwnedFolder:
    """A folder whose files are of one owner at a time, a study or a candidate.

    Parameters
    ----------
    project : Project
    folder : Path
    parts : sequence of str
        Names, or patterns of names, of what podium puts into it. The first is the marker: a JSON
        file whose key says who the owner is. It is there before anything else is, and leaves last.
    key : str
        Of the owner in the marker: ``study``, ``candidate``.
    of : str
        What the owner is the id of, for sentences: ``search``, ``model``.

    Examples
    --------
    ::

        files = OwnedFolder(project, folder, ("config.json", "best_model"), "candidate", "model")
        folder = files.claim(candidate.id, lambda: json_file({"podium": 1, "candidate": id}))
    """

    project: Project
    folder: Path
    parts: Sequence[str]
    key: str
    of: str

    def claim(self, owner: str, first: Callable[[], str]) -> Path:
        """Have the folder for an owner; returns where that owner's files go.

        That is a folder of the owner's id inside it, where it holds files of somebody else.

        Parameters
        ----------
        first : callable
            Gives the marker's text where there is none of this owner yet.

        Raises
        ------
        UsageError
            A file has the folder's name.
        """
        folder, before = self.folder, self.owner(self.folder)
        if before == owner:
            return folder
        if folder.exists() and not folder.is_dir():
            raise UsageError(
                f"{self.project.shown(folder)} is a file",
                f"a folder for the {self.of}'s files",
                "move it",
            )
        # Hidden ones are a half-written first file of podium's, or a desktop's own.
        strange = (path for path in folder.glob("[!.]*") if self.owner(path) is None)
        if before is None and any(strange):
            folder = folder / owner
            self.project.reporter.say(
                f"{self.folder.name}/ holds files that podium did not write; they stay, and "
                f"this {self.of}'s are in {self.project.shown(folder)}/"
            )
        elif before is not None:
            kept = folder / before
            self._move(folder, kept)
            self.project.reporter.say(
                f"the files of the {self.of} before, {before}, are in {self.project.shown(kept)}/"
            )
        earlier = folder / owner
        if self.owner(earlier) == owner:
            self._move(earlier, folder)
            if not any(earlier.iterdir()):
                earlier.rmdir()
        if self.owner(folder) is None:
            # Whose the folder is, before anything else is in it.
            write_atomic(folder / self.parts[0], first())
        return folder

    def owner(self, folder: Path) -> str | None:
        """Whose a folder of podium's is; None: it is not one, or not there."""
        try:
            told = json.loads((folder / self.parts[0]).read_text(encoding="utf-8"))
            return str(told[self.key]) if told["podium"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _move(self, source: Path, target: Path) -> None:
        """Move an owner's files; the one that says whose they are is last."""
        target.mkdir(parents=True, exist_ok=True)
        for pattern in (*self.parts[1:], self.parts[0]):
            for path in sorted(source.glob(pattern)):
                there = target / path.name
                if there.is_dir() and not there.is_symlink():
                    shutil.rmtree(there)
                path.replace(there)
        flush(target)


def put_artifact(source: Path, artifact_hash: str, target: Path) -> bool:
    """Copy what a folder lacks of an artefact, every byte checked; False: it had all of it.

    Parameters
    ----------
    target : Path
        May hold other files too.
    """
    data, fresh = require_hash(source, artifact_hash), False
    files = json.loads(data)["files"]
    for name in files:
        try:
            read_checked(target, files, name)
        except DataError:
            write_atomic(target / name, read_checked(source, files, name))
            fresh = True
    if not (target / MANIFEST).is_file() or (target / MANIFEST).read_bytes() != data:
        write_atomic(target / MANIFEST, data)
        fresh = True
    return fresh


def put_text(path: Path, text: str) -> bool:
    """Write a file unless it says that already; whether it was written."""
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    write_atomic(path, text)
    return True


def told_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says that people and scripts ask for; tickers in the order of training."""
    task = manifest["task"]
    return {
        "tickers": manifest["tickers"],
        "slot": manifest["slot"],
        "family": manifest["family"],
        **{name: task[name] for name in ("features", "target", "horizon", "window", "metric")},
        "timeframe": manifest["timeframe"],
        "dataset_fingerprint": manifest["dataset_fingerprint"],
        "trained_from": manifest["trained_from"],
        "trained_until": manifest["trained_until"],
        "seeds": manifest.get("seeds", [manifest["seed"]]),
        "members": manifest.get("members", []),
    }
