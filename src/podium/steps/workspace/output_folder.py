"""Folders that steps fill for their users: where they lie, whose they are, what was there before.

What a step writes is a projection of the record. podium reads nothing of it back but whose it is:
what it made for another owner is kept under that owner's id, and what it did not write stays as
it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from podium.errors import DataError, MissingExtraError, UsageError
from podium.files import flush, full_disk_explained, write_atomic
from podium.hashing import json_file
from podium.manifest import MANIFEST, read_checked, require_hash
from podium.steps.workspace.project import Project

# What makes the content of a file.
Content = Callable[[], str | bytes]
# What an owner is, for sentences.
_CALLED = {"study": "search", "candidate": "model"}


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


class OutputFolder:
    """A folder whose files are of one owner at a time, a search or a model.

    Parameters
    ----------
    project : Project
    slot : str
    name : str
        Of the folder, as :func:`output_folder` takes it.
    parts : sequence of str
        Names, or patterns of names, of what podium puts into it. The first is the marker: a JSON
        file that says who the owner is. It is there before anything else is, and leaves last.
    key : str
        Of the owner in the marker: ``study``, ``candidate``.
    aside : Path, optional
        For a place that podium shares with others, such as the project's own folder: where a part
        goes that has no room there. Default: the place itself, which podium wants for itself.
    about : callable, optional
        Gives the part of the marker with ``podium`` and the key; empty where somebody changed it.

    Attributes
    ----------
    place : Path
        Where the folder is wanted.
    folder : Path
        Where the owner's files go: the place, or a folder in it where others' files are.

    Examples
    --------
    ::

        files = OutputFolder(project, slot, name, ("config.json", "best_model"), "candidate")
        files.claim(candidate.id, {"podium": 1, "candidate": candidate.id})
        files.put("config.json", text)
    """

    def __init__(
        self,
        project: Project,
        slot: str,
        name: str,
        parts: Sequence[str],
        key: str,
        *,
        aside: Path | None = None,
        about: Callable[[Any], Mapping[str, Any]] = lambda marker: marker,
    ) -> None:
        self.project, self.slot, self.parts, self.key = project, slot, parts, key
        self.place = self.folder = output_folder(project, slot, name)
        self.aside, self.about = aside, about

    @property
    def marker(self) -> Path:
        """The file that says who the owner is."""
        return self.folder / self.parts[0]

    def claim(self, owner: str, first: Mapping[str, Any] | None = None) -> None:
        """Have the folder for an owner.

        Where it holds files of somebody else, the owner's go to a folder of the owner's id in it.

        Parameters
        ----------
        first : mapping, optional
            The marker where there is none of this owner yet; left out for one that is the only
            file.

        Raises
        ------
        UsageError
            A file has the folder's name.
        DataError
            No room is left.
        """
        say, shown, called = self.project.reporter.say, self.project.shown, _CALLED[self.key]
        with full_disk_explained(self.project.root):
            before, aside = self.owner(), self.aside or self.place
            if self.place.exists() and not self.place.is_dir():
                raise UsageError(
                    f"{shown(self.place)} is a file",
                    f"a folder for the {called}'s files",
                    "move it",
                )
            if before is None and self._holds_strange():
                self.folder = aside / owner
                whole = self.place if self.aside is None else self.place / self.parts[0]
                say(
                    f"podium did not write all of {shown(whole)}; it stays as it is, and this "
                    f"{called}'s files are in {shown(self.folder)}/"
                )
            elif before not in (None, owner):
                kept = aside / str(before)
                self._move(self.place, kept)
                say(f"the files of the {called} before, {before}, are in {shown(kept)}/")
            earlier = aside / owner
            if earlier != self.folder and self.owner(earlier) == owner:
                self._move(earlier, self.folder)
                if not any(earlier.iterdir()):
                    earlier.rmdir()
            if first is not None and self.owner(self.folder) is None:
                # Whose the folder is, before anything else is in it.
                write_atomic(self.marker, json_file(first))

    def owner(self, folder: Path | None = None) -> str | None:
        """Whose a folder of podium's is; None: it is not one, or not there."""
        marker = (folder or self.place) / self.parts[0]
        try:
            found = self.about(json.loads(marker.read_text(encoding="utf-8")))
            return str(found[self.key]) if found["podium"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def put(self, name: str, content: str) -> bool:
        """Write a file unless it says that already; whether it was written."""
        path = self.folder / name
        if path.is_file() and path.read_bytes() == content.encode():
            return False
        with full_disk_explained(self.project.root):
            write_atomic(path, content)
        return True

    def fill(
        self,
        marker: Mapping[str, Any],
        what: str,
        names: Sequence[str] = (),
        files: Callable[[], Mapping[str, Content]] = dict,
    ) -> None:
        """Write all files, and last the marker, which says whether the others are up to date.

        Where it says the same already, only files that are gone are written. A file whose optional
        package is not installed is left out, with all others of its suffix, and that is said.

        Parameters
        ----------
        what : str
            What the files are, for the sentence that says where: "the analysis is".
        names : sequence of str
            Of the other files, in the order they are written.
        files : callable
            Gives what makes each file's content, by name; called where any is to be written.
        """
        text, say = json_file(marker), self.project.reporter.say
        same = self.marker.is_file() and self.marker.read_bytes() == text.encode()
        wanted = [name for name in names if not (same and (self.folder / name).is_file())]
        missing: dict[str, MissingExtraError] = {}
        made = files() if wanted else {}
        with full_disk_explained(self.project.root):
            for name in wanted:
                suffix = Path(name).suffix
                if suffix not in missing:
                    try:
                        write_atomic(self.folder / name, made[name]())
                    except MissingExtraError as error:
                        missing[suffix] = error
        # Said once, and not by every run that finds all else up to date.
        for suffix, lack in () if same else missing.items():
            names = " and ".join(name for name in wanted if name.endswith(suffix))
            say(f"{names} could not be made: {lack}")
        if self.put(self.parts[0], text) or any(Path(n).suffix not in missing for n in wanted):
            self.tell(what)

    def tell(self, what: str) -> None:
        """Say that something is in the folder."""
        self.project.reporter.say(f"{self.slot}: {what} in {self.project.shown(self.folder)}/")

    def _holds_strange(self) -> bool:
        """Whether somebody else's files are where podium's would go."""
        if self.aside is not None:
            return (self.place / self.parts[0]).exists()
        # Hidden ones are a half-written first file of podium's, or a desktop's own.
        return any(self.owner(path) is None for path in self.place.glob("[!.]*"))

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


def described(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says that people and scripts ask for; tickers in the order of training.

    A model of sequences has features, classes and steps where one of bars has tickers, a target and
    moments.
    """
    asked = ["metric"]
    if "tickers" in manifest:
        asked = ["features", "target", "horizon", "window", "metric"]

    def known(*names: str) -> dict[str, Any]:
        return {name: manifest[name] for name in names if name in manifest}

    return {
        **known("tickers", "class_names", "feature_names", "steps", "slot", "family"),
        **{name: manifest["task"][name] for name in asked},
        **known("dataset_fingerprint", "timeframe", "trained_from", "trained_until"),
        "seeds": manifest.get("seeds", [manifest["seed"]]),
        "members": manifest.get("members", []),
    }
