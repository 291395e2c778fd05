"""Output folders of steps, each with one owner (a search or a model) at a time.

The files are a projection of the record. podium reads only the owner back: files of an earlier
owner move to a folder of that owner's id, and files of others are left in place.
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

# Makes the content of a file.
Content = Callable[[], str | bytes]
# Names of the owners in messages.
_OWNERS = {"study": "search", "candidate": "model"}


def output_folder(project: Project, slot: str, name: str = "") -> Path:
    """Output folder of a slot: in the project's folder for the root slot, else below ``slots/``.

    Parameters
    ----------
    name : str
        Relative to the slot's folder; empty: that folder.
    """
    root = project.root
    if slot != project.config.root_slot:
        root = root / "slots" / slot
    return root / (name or ".")


class OutputFolder:
    """Folder with the files of one owner at a time, a search or a model.

    Parameters
    ----------
    project : Project
    slot : str
    name : str
        Of the folder, as :func:`output_folder` takes it.
    parts : sequence of str
        Names, or patterns of names, of podium's files in it. The first one is the marker: a JSON
        file with the owner, which is written first and moved last.
    key : str
        Key of the owner in the marker: ``study``, ``candidate``.
    aside : Path, optional
        Folder for parts without room in a place that podium shares with others, such as the
        project's folder. Default: the place itself, which is podium's alone.
    about : callable, optional
        Gives the part of the marker with ``podium`` and the key; empty for a changed marker.

    Attributes
    ----------
    place : Path
        Path of the folder.
    folder : Path
        Folder of the owner's files: the place, or a folder in it where the place has other files.

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
        """File with the owner."""
        return self.folder / self.parts[0]

    def claim(self, owner: str, first: Mapping[str, Any] | None = None) -> None:
        """Claim the folder for an owner.

        Where it has files that podium did not write, the owner's go to a folder of its id in it.

        Parameters
        ----------
        first : mapping, optional
            Marker to write where this owner has none; None where the marker is the only file.

        Raises
        ------
        UsageError
            A file has the folder's name.
        DataError
            The disk is full.
        """
        say, shown, name = self.project.reporter.say, self.project.shown, _OWNERS[self.key]
        with full_disk_explained(self.project.root):
            before, aside = self.owner(), self.aside or self.place
            if self.place.exists() and not self.place.is_dir():
                raise UsageError(
                    f"{shown(self.place)} is a file", f"a folder for the {name}'s files", "move it"
                )
            if before is None and self._has_other_files():
                self.folder = aside / owner
                whole = self.place if self.aside is None else self.place / self.parts[0]
                say(
                    f"{shown(whole)} has files of others and is not changed; this {name}'s files "
                    f"are in {shown(self.folder)}/"
                )
            elif before not in (None, owner):
                earlier = aside / str(before)
                self._move(self.place, earlier)
                say(f"the files of the earlier {name} {before} are in {shown(earlier)}/")
            earlier = aside / owner
            if earlier != self.folder and self.owner(earlier) == owner:
                self._move(earlier, self.folder)
                if not any(earlier.iterdir()):
                    earlier.rmdir()
            if first is not None and self.owner(self.folder) is None:
                # The owner, before any other file.
                write_atomic(self.marker, json_file(first))

    def owner(self, folder: Path | None = None) -> str | None:
        """Owner of a folder; None without a marker of podium."""
        marker = (folder or self.place) / self.parts[0]
        try:
            about = self.about(json.loads(marker.read_text(encoding="utf-8")))
            return str(about[self.key]) if about["podium"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def put(self, name: str, content: str) -> bool:
        """Write a file unless it has this content; return whether it was written."""
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
        """Write all files, and last the marker, whose content tells whether they are up to date.

        With the same marker only missing files are written. Where an optional package is not
        installed, files of that suffix are omitted with a message.

        Parameters
        ----------
        what : str
            Beginning of the message about their folder: "the analysis is".
        names : sequence of str
            Names of the other files, in the order of writing.
        files : callable
            Gives the maker of each file's content by name; called where a file is due.
        """
        text, say = json_file(marker), self.project.reporter.say
        same = self.marker.is_file() and self.marker.read_bytes() == text.encode()
        due = [name for name in names if not (same and (self.folder / name).is_file())]
        missing: dict[str, MissingExtraError] = {}
        made = files() if due else {}
        with full_disk_explained(self.project.root):
            for name in due:
                suffix = Path(name).suffix
                if suffix not in missing:
                    try:
                        write_atomic(self.folder / name, made[name]())
                    except MissingExtraError as error:
                        missing[suffix] = error
        # Not repeated by runs in which everything else is up to date.
        for suffix, lack in () if same else missing.items():
            names = " and ".join(name for name in due if name.endswith(suffix))
            say(f"{names} could not be made: {lack}")
        if self.put(self.parts[0], text) or any(Path(n).suffix not in missing for n in due):
            self.tell(what)

    def tell(self, what: str) -> None:
        """Report that something is in the folder."""
        self.project.reporter.say(f"{self.slot}: {what} in {self.project.shown(self.folder)}/")

    def _has_other_files(self) -> bool:
        """Whether files that podium did not write are in the way."""
        if self.aside is not None:
            return (self.place / self.parts[0]).exists()
        # Hidden files are unfinished ones of podium, or those of a desktop.
        return any(self.owner(path) is None for path in self.place.glob("[!.]*"))

    def _move(self, source: Path, target: Path) -> None:
        """Move the files of an owner, the marker last."""
        target.mkdir(parents=True, exist_ok=True)
        for pattern in (*self.parts[1:], self.parts[0]):
            for path in sorted(source.glob(pattern)):
                there = target / path.name
                if there.is_dir() and not there.is_symlink():
                    shutil.rmtree(there)
                path.replace(there)
        flush(target)


def put_artifact(source: Path, artifact_hash: str, target: Path) -> bool:
    """Copy the missing files of an artefact to a folder, with their hashes checked.

    Parameters
    ----------
    target : Path
        Folder, which may have other files.

    Returns
    -------
    bool
        Whether a file was written.
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
    """Facts of a manifest for users' files; tickers are in the order of training.

    A model of sequences has features, classes and steps; one of bars has tickers, a target and the
    times of its training.
    """
    keys = ["metric"]
    if "tickers" in manifest:
        keys = ["features", "target", "horizon", "window", "metric"]

    def known(*names: str) -> dict[str, Any]:
        return {name: manifest[name] for name in names if name in manifest}

    return {
        **known("tickers", "class_names", "feature_names", "steps", "slot", "family"),
        **{name: manifest["task"][name] for name in keys},
        **known("dataset_fingerprint", "timeframe", "trained_from", "trained_until"),
        "seeds": manifest.get("seeds", [manifest["seed"]]),
        "members": manifest.get("members", []),
    }
