"""Artefacts: content-hashed model folders, published by a rename and verified when loaded."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from podium import pickled, plugin, project_file, registry
from podium.candidate import manifest_bytes
from podium.classifier import LoadedClassifier
from podium.errors import (
    DataError,
    NotFoundError,
    PodiumError,
    Problem,
    Problems,
    RefusedError,
    UsageError,
    suggest,
)
from podium.files import flush, flush_folder, full_disk_explained, notify_written, work_folder
from podium.forecaster import LoadedModel as LoadedModel
from podium.hashing import digest_bytes, digest_folder
from podium.intervals import FILE as INTERVALS
from podium.intervals import Calibration
from podium.manifest import DIGITS, MANIFEST, content, inside, read_checked, require_hash
from podium.prediction import ClassPrediction, Prediction
from podium.sequences import Subset
from podium.split import Windows

# In order of preference where the caller names none.
CHECKPOINTS = ("final_model", "best_model")
# Description of a model that a search keeps in its folder.
SEARCHED = "config.json"
# Files that the folder of a user's copy has beside the model.
DESCRIPTIONS = (SEARCHED, "training_results.json")
# Suffixes of the files that frameworks open, in order of preference.
OPENED = (".pt", ".keras", ".zip", ".safetensors")
# Files that file managers write into folders.
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", ".directory")


def store(
    place: Path,
    checkpoints: Mapping[str, Path],
    description: Mapping[str, Any],
    *,
    writer: str,
    files: Mapping[str, bytes] | None = None,
) -> tuple[str, str]:
    """Copy model folders into the store as one artefact; return its hash and folder name.

    The same files and description give the same hash and folder, so a step that is interrupted
    and repeated reuses its artefact. The temporary folder is named after ``writer``, which
    removes those of its killed processes next time. ``files`` are added, by name in the artefact.
    """
    with _half_copied(place, writer) as temporary:
        for name, source in checkpoints.items():
            _copy(source, temporary / name)
        for inner, data in (files or {}).items():
            (temporary / inner).write_bytes(data)
        manifest = {**description, "podium": 1, "files": digest_folder(temporary)}
        data = manifest_bytes(manifest)
        (temporary / MANIFEST).write_bytes(data)
        name = digest_bytes(data)
        target = place / folder_of(name)
        if _put(temporary, target, name):
            notify_written(target)
    return name, target.name


@contextmanager
def _half_copied(place: Path, writer: str) -> Iterator[Path]:
    """Temporary folder in the store for an unfinished artefact; removed at the end."""
    with full_disk_explained(place), work_folder(place / writer) as work:
        temporary = work / "artefact"
        temporary.mkdir()
        yield temporary


def _put(temporary: Path, target: Path, artifact_hash: str) -> bool:
    """Give an artefact its name, unless it is in the store; the stored one is verified.

    Returns
    -------
    bool
        Whether it is new.
    """
    fresh = not target.exists()
    if fresh:
        flush_folder(temporary)
        try:
            temporary.rename(target)
        except OSError as error:
            # Another process was faster.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            fresh = False
        flush(target.parent)
    verify(target, artifact_hash)
    return fresh


def foreign(folder: Path, artifact_hash: str) -> list[str]:
    """File names of an external artefact, after its manifest and files were verified.

    Raises
    ------
    DataError
        The hash differs, the manifest is invalid, or it names files outside the folder.
    """
    return [*verify(folder, artifact_hash)["files"], MANIFEST]


def require_no_pickle(folder: Path, contents: Iterable[tuple[str, bytes]]) -> None:
    """Refuse files that may run code when Python opens them; they are scanned, not opened.

    Parameters
    ----------
    contents : iterable of (name, content)

    Raises
    ------
    RefusedError
        Lists every such file.
    """
    RefusedError.raise_for(
        Problem(
            f"{folder / name}: {reason}; a pickle runs whatever code its author put into it",
            "torch files of tensors, JSON, or other files that only hold values",
        )
        for name, data in contents
        if (reason := pickled.reason_to_refuse(name, data))
    )


def adopt(place: Path, folder: Path, artifact_hash: str) -> bool:
    """Copy an external artefact into the store; return False if the store has it already.

    Raises
    ------
    DataError
        As :func:`foreign`; or the store's copy was changed.
    """
    names = foreign(folder, artifact_hash)
    target = place / folder_of(artifact_hash)
    if target.exists():
        verify(target, artifact_hash)
        return False
    with _half_copied(place, f"adopt-{target.name}") as temporary:
        for name in names:
            _copy_file(folder / name, temporary / name)
        return _put(temporary, target, artifact_hash)


def member_names(count: int) -> list[str]:
    """Folders of the members of an ensemble; none for a single model.

    Examples
    --------
    >>> member_names(2), member_names(1)
    (['member_1', 'member_2'], [])
    """
    return [f"member_{n}" for n in range(1, count + 1)] if count > 1 else []


def folder_of(artifact_hash: str) -> str:
    """Name of an artefact's folder in the store."""
    return artifact_hash[:DIGITS]


def opened_file(folder: Path) -> str:
    """Name of the file in a model's folder that a framework opens."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != INTERVALS]
    names = [path.relative_to(folder).as_posix() for path in files]
    return min(names, key=lambda name: (*(not name.endswith(end) for end in OPENED), name))


def _copy(source: Path, target: Path) -> None:
    """Copy a folder's files; unlike shutil.copytree it raises the OSError of a full disk."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        _copy_file(path, target / path.relative_to(source))


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def verify(folder: Path, artifact_hash: str) -> Mapping[str, Any]:
    """Manifest of an artefact, after its hash and the hash of every file were verified.

    Raises
    ------
    DataError
        Something is missing, changed, added, or no plain file.
    """
    data, files = _named(folder, artifact_hash)
    for name in files:
        read_checked(folder, files, name)
    return dict(json.loads(data))


def require_servable(folder: Path, artifact_hash: str) -> None:
    """Verify the hashes of an artefact and its files, and that no file may run code.

    Raises
    ------
    DataError
        Something is missing, changed, added, or no plain file.
    RefusedError
        A file is a pickle, which podium does not load.
    """
    _, files = _named(folder, artifact_hash)
    require_no_pickle(folder, ((name, read_checked(folder, files, name)) for name in files))


def _named(folder: Path, artifact_hash: str) -> tuple[bytes, Mapping[str, str]]:
    """Verified manifest of an artefact and the hashes of its files; other files are refused."""
    data = require_hash(folder, artifact_hash)
    files = _files(folder, data)
    _require_nothing_else(folder, files)
    return data, files


def _files(folder: Path, data: bytes) -> Mapping[str, str]:
    """Hash of each file by name, from a manifest that may come from elsewhere."""
    try:
        files = json.loads(data)["files"]
        valid = all(isinstance(sha, str) and inside(name) for name, sha in files.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise DataError(
            f"{folder.name}/{MANIFEST} is not a manifest of files in its folder",
            "a manifest written by podium",
        )
    hashes: Mapping[str, str] = files
    return hashes


def _require_nothing_else(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse links and files that the manifest does not name; empty folders are ignored."""
    problems = Problems()
    for place, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(place) / name
            inner = path.relative_to(folder).as_posix()
            if path.is_symlink():
                problems.add(f"{path} is a link", "a plain file", "remove it")
            elif name in names and inner not in files and inner != MANIFEST:
                # No hash covers it, so it is refused even under the name of a known system file.
                whose = ", a file manager left it there" if name in _LITTER else ""
                remove = f"remove it: rm {shlex.quote(str(path))}"
                problems.add(f"{path} is not in its manifest{whose}", "the files it names", remove)
    DataError.raise_for(problems)


class Averaged:
    """Ensemble of models that differ only in their seed; predicts their mean."""

    def __init__(self, models: Sequence[Any]) -> None:
        self.models = models

    def predict(self, rows: Windows | Subset) -> Prediction | ClassPrediction:
        """Mean of the members' predictions, in the order of the rows."""
        first, *others = [model.predict(rows) for model in self.models]
        mean: Prediction | ClassPrediction = type(first).averaged([first, *others])
        return mean

    @property
    def scaler(self) -> Mapping[str, Any] | None:
        """Scaler of the first member: all members have the same training bars."""
        scaler: Mapping[str, Any] | None = self.models[0].scaler
        return scaler


class OtherVersionError(DataError):
    """The artefact is intact, but the code that made it has another version."""


Loaded = LoadedModel | LoadedClassifier


def forecaster(folder: Path, artifact_hash: str, checkpoint: str = "") -> LoadedModel:
    """Forecasting model of an artefact; otherwise as :func:`load`."""
    model = load(folder, artifact_hash, checkpoint)
    if isinstance(model, LoadedClassifier):
        raise UsageError(
            f"{folder} classifies samples",
            "a model that forecasts bars",
            "give it samples: podium predict --data FILE.npz",
        )
    return model


def classifier(folder: Path, artifact_hash: str, checkpoint: str = "") -> LoadedClassifier:
    """Classifier of an artefact; otherwise as :func:`load`."""
    model = load(folder, artifact_hash, checkpoint)
    if isinstance(model, LoadedModel):
        raise UsageError(f"{folder} forecasts bars", "a model that classifies samples")
    return model


@dataclass(frozen=True)
class Place:
    """Location of a model: folder, hash and manifest of its artefact, and the checkpoint."""

    folder: Path
    artifact_hash: str
    manifest: Mapping[str, Any]
    # Empty for a model that a search keeps: its files are in the folder itself.
    checkpoint: str


def find(path: Path) -> Place:
    """Model of a path: an artefact's folder, a checkpoint in it, or any file in a checkpoint.

    The hash of the manifest, which names the folder, is verified.

    Raises
    ------
    NotFoundError
        The path does not exist.
    DataError
        The path is in no model folder of podium, or the manifest was changed.
    """
    # Unlike Path.exists() it returns False for names that no file can have.
    if not os.path.exists(path):  # noqa: PTH110
        raise NotFoundError(
            f"{str(path)!r:.300} does not exist", "a model's folder, or a file in it"
        )
    path = path.resolve()
    folder = next((f for f in (path, *path.parents) if (f / MANIFEST).is_file()), None)
    searched = next((f for f in (path, *path.parents)[:3] if (f / SEARCHED).is_file()), None)
    if folder is None and searched is not None:
        return _searched(searched)
    if folder is None:
        raise DataError(
            f"{path} is in no model folder of podium: no {MANIFEST} in it or above it",
            "a folder under models/registry, or a file in it",
            "open it with the framework that saved it",
        )
    artifact_hash = digest_bytes(content(folder))
    if re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", folder.name):
        # A copy under another name has only its manifest to verify it.
        require_hash(folder, folder.name + artifact_hash[DIGITS:])
    inner = path.relative_to(folder).parts
    top = inner[0] if inner and inner[0] not in (MANIFEST, *DESCRIPTIONS) else ""
    return place_of(folder, artifact_hash, top)


def _searched(folder: Path) -> Place:
    """Model that a search keeps; its manifest is its ``config.json``."""
    path = folder / SEARCHED
    try:
        data = path.read_bytes()
        manifest = json.loads(data)
        _ = manifest["family"], manifest["task"], manifest["slot"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path} is not the description of a model", "a folder of podium") from None
    _files(folder, data)
    return Place(folder, digest_bytes(data), manifest, "")


def place_of(folder: Path, artifact_hash: str, checkpoint: str = "") -> Place:
    """Model in an artefact's folder, after the hash of the manifest was verified.

    Raises
    ------
    DataError
        The manifest is missing or changed.
    NotFoundError
        The checkpoint does not exist.
    """
    if not checkpoint and not (folder / MANIFEST).exists() and (folder / SEARCHED).is_file():
        place = _searched(folder)
        if place.artifact_hash == artifact_hash:
            return place
    try:
        data = require_hash(folder, artifact_hash)
        manifest = json.loads(data)
        files = [*manifest["files"]]
        checkpoints = [c for c in CHECKPOINTS if any(name.startswith(f"{c}/") for name in files)]
        checkpoint = checkpoint or checkpoints[0]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise DataError(
            f"{folder / MANIFEST} is not a model's manifest", "a manifest written by podium"
        ) from None
    _files(folder, data)
    top, _, member = checkpoint.partition("/")
    if top not in checkpoints or (member and member not in manifest.get("members", ())):
        message = f"{folder} has no checkpoint '{checkpoint}'"
        raise NotFoundError(message, fix=suggest(checkpoint, checkpoints))
    return Place(folder, artifact_hash, manifest, checkpoint)


def load(folder: Path, artifact_hash: str, checkpoint: str = "") -> Loaded:
    """Model of an artefact, after the hashes of the manifest and of every file read were verified.

    Parameters
    ----------
    checkpoint : str, optional
        Default: ``final_model`` if it exists, else ``best_model``. ``final_model/member_1`` is one
        member of an ensemble.

    Raises
    ------
    DataError
        Something is missing or changed.
    OtherVersionError
        The family, or a plugin that the model was trained with, has another version.
    """
    return load_place(place_of(folder, artifact_hash, checkpoint))


def _use_plugins(place: Place) -> None:
    """Use the plugins of the project that has those of a model.

    That is the project around the artefact's folder, else the one in use, else that of
    ``PODIUM_PROJECT`` or the current folder.

    Raises
    ------
    DataError
        No such project has them.
    """
    family = str(place.manifest.get("family"))
    needed = [*place.manifest.get("plugins", ())]
    if family in plugin.names("families") or not registry.exists("families", family):
        needed.append(f"families/{family}")
    if not needed:
        return
    for start in (place.folder, plugin.project(), project_file.start_folder(None)):
        with suppress(NotFoundError):
            root = Path(project_file.find(str(start)))
            if all((root / plugin.FOLDER / f"{name}.py").is_file() for name in needed):
                plugin.use(root)
                return
    if place.manifest.get("plugins"):
        names = ", ".join(f"{plugin.FOLDER}/{name}.py" for name in needed)
        raise DataError(
            f"{place.folder} was trained with {names}, which no project around it has",
            "the project of the model",
            f"set {project_file.VARIABLE} to its folder, or run in that folder",
        )


def _member_version(member: str) -> int | str | None:
    """Installed version of ``kind/name``; None if there is no such kind."""
    kind, _, name = member.partition("/")
    return registry.version(kind, name) if kind in registry.KINDS else None


def load_place(place: Place) -> Loaded:
    """Model of a location, after every file read was verified.

    Raises
    ------
    DataError
        A file is missing, changed or added, or another version of podium is needed.
    RefusedError
        A file is a pickle, or would run code when it is opened.
    """
    stored = place.folder.name == folder_of(place.artifact_hash)
    # Descriptions beside a copy of a model; they are not read.
    beside = {} if stored else dict.fromkeys(DESCRIPTIONS, "")
    _require_nothing_else(place.folder, {**place.manifest["files"], **beside})
    manifest = place.manifest
    _use_plugins(place)
    try:
        name, version = str(manifest["family"]), manifest["family_version"]
        task = manifest["task"]["task"]
        if not registry.constant("tasks", task, "ROLE"):
            raise KeyError(task)
    except (KeyError, TypeError):
        message = f"{place.folder / MANIFEST} does not name a family, its version and a task"
        raise DataError(message, "a manifest written by podium") from None
    family = registry.family(name, task, path=bool(manifest["task"].get("path")))
    if version != family.VERSION:
        raise OtherVersionError(
            f"{place.folder} was written by version {version} of {family.name}",
            f"version {family.VERSION}, which is installed",
            "install the podium version that trained it, restore its plugin, or train again",
        )
    OtherVersionError.raise_for(
        Problem(
            f"{plugin.FOLDER}/{member}.py is not the version that {place.folder} was trained with",
            "the same file, with the same shared files beside it",
            "restore the file, or train again",
        )
        for member, then in manifest.get("plugins", {}).items()
        if _member_version(member) != then
    )
    files = manifest["files"]
    start = f"{place.checkpoint}/" if place.checkpoint else ""
    mine = [name for name in files if name.startswith(start)]
    contents = {name: read_checked(place.folder, files, name) for name in mine}
    require_no_pickle(place.folder, contents.items())

    def read(name: str, member: str = "") -> bytes:
        inner = "/".join(filter(None, [place.checkpoint, member, name]))
        return contents[inner] if inner in contents else read_checked(place.folder, files, inner)

    members = [str(name) for name in manifest.get("members", ())]
    try:
        if members and "/" not in place.checkpoint:
            model: Any = Averaged([family.load(partial(read, member=m)) for m in members])
        else:
            model = family.load(read)
    except PodiumError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"{family.name} cannot open {place.folder / place.checkpoint}: "
            f"{type(error).__name__}: {reason:.200}",
            "a model written by this family",
            "restore the artefact, or train again",
        ) from error
    if registry.holds(task) == "sequences":
        return LoadedClassifier(manifest, place.checkpoint, model)
    return LoadedModel(manifest, place.checkpoint, model, _calibration(place))


def _calibration(place: Place) -> Calibration | None:
    """Calibration of a model; one without a validation part has that of its ``best_model``."""
    _, _, member = place.checkpoint.partition("/")
    for checkpoint in (place.checkpoint, "/".join(filter(None, ["best_model", member]))):
        name = "/".join(filter(None, [checkpoint, INTERVALS]))
        if name in place.manifest["files"]:
            files = place.manifest["files"]
            return Calibration.from_bytes(read_checked(place.folder, files, name))
    return None
