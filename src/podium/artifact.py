"""Artefacts: content-hashed folders, written beside and renamed in, loaded with checked bytes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from podium import pickled, plugin, registry
from podium.arrays import Floats
from podium.candidate import manifest_bytes
from podium.classifier import LoadedClassifier
from podium.covariates import Covariate
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
from podium.files import flush, flush_folder, full_disk_explained, tell_written
from podium.hashing import digest_bytes, digest_folder
from podium.manifest import MANIFEST, content, inside, read_checked, require_hash
from podium.prediction import ClassPrediction, Prediction
from podium.sections import SlotSection
from podium.sequences import Subset
from podium.split import Windows
from podium.view import View

# In the order they are preferred where nobody names one.
CHECKPOINTS = ("final_model", "best_model")
# Digits of its hash that an artefact's folder is called by.
DIGITS = 20
# What frameworks open, in the order they are looked for among a model's files.
OPENED = (".pt", ".keras", ".zip", ".safetensors")
# What file managers leave in folders that somebody looked at.
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", ".directory")


def store(
    place: Path, checkpoints: Mapping[str, Path], description: Mapping[str, Any], *, writer: str
) -> tuple[str, str]:
    """Move model folders into the store as one artefact; returns its hash and relative path.

    The same files and description give the same hash and the same place, so a step that was cut
    off after this and is done again finds its artefact there already. What is half copied has
    the writer's name, so the same writer sweeps it up next time; no two may share one at once.
    """
    with _half_copied(place, writer) as beside:
        for name, source in checkpoints.items():
            _copy(source, beside / name)
        manifest = {**description, "podium": 1, "files": digest_folder(beside)}
        data = manifest_bytes(manifest)
        (beside / MANIFEST).write_bytes(data)
        name = digest_bytes(data)
        target = place / folder_of(name)
        if target.exists():
            verify(target, name)
        else:
            _rename_in(beside, target)
            tell_written(target)
    return name, target.name


@contextmanager
def _half_copied(place: Path, writer: str) -> Iterator[Path]:
    """A folder in the store for an artefact that is not whole yet; it is gone at the end."""
    with full_disk_explained(place):
        place.mkdir(parents=True, exist_ok=True)
        beside = place / f".{writer}"
        shutil.rmtree(beside, ignore_errors=True)
        try:
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _rename_in(beside: Path, target: Path) -> None:
    flush_folder(beside)
    beside.rename(target)
    flush(target.parent)


def foreign(folder: Path, artifact_hash: str) -> list[str]:
    """Names of the files of an artefact from elsewhere, after everything about it was checked.

    Raises
    ------
    DataError
        It is not what its hash says, its manifest is none, or names files outside its folder.
    """
    return [*verify(folder, artifact_hash)["files"], MANIFEST]


def require_no_pickle(folder: Path, contents: Iterable[tuple[str, bytes]]) -> None:
    """Refuse files that may run code when Python opens them; they are looked at, not opened.

    Parameters
    ----------
    contents : iterable of (name, content)

    Raises
    ------
    RefusedError
        With every such file.
    """
    RefusedError.raise_for(
        Problem(
            f"{folder / name}: {told}; a pickle runs whatever code its author put into it",
            "torch files of tensors, JSON, or other files that only hold values",
        )
        for name, data in contents
        if (told := pickled.found_in(name, data))
    )


def adopt(place: Path, folder: Path, artifact_hash: str) -> bool:
    """Copy an artefact of elsewhere into the store; False where it is there already.

    Raises
    ------
    DataError
        As of :func:`foreign`; or what is there already was changed.
    """
    names = foreign(folder, artifact_hash)
    target = place / folder_of(artifact_hash)
    if target.exists():
        verify(target, artifact_hash)
        return False
    with _half_copied(place, f"adopt-{target.name}") as beside:
        for name in names:
            _copy_file(folder / name, beside / name)
        _rename_in(beside, target)
    return True


def member_names(count: int) -> list[str]:
    """Folders of the models whose mean is served; none where there is one model.

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
    """Name of the file that a framework opens, among those a model left in a folder."""
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    return min(names, key=lambda name: (*(not name.endswith(end) for end in OPENED), name))


def _copy(source: Path, target: Path) -> None:
    """Copy a folder's files; unlike shutil.copytree it lets a full disk be seen as one."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        _copy_file(path, target / path.relative_to(source))


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def verify(folder: Path, artifact_hash: str) -> Mapping[str, Any]:
    """Manifest of an artefact, after the hash of it and of every file was checked.

    Raises
    ------
    DataError
        Something is missing, changed, added, or no plain file.
    """
    data, files = _named(folder, artifact_hash)
    for name in files:
        read_checked(folder, files, name)
    manifest: dict[str, Any] = json.loads(data)
    return manifest


def require_servable(folder: Path, artifact_hash: str) -> None:
    """Check the hash of an artefact and of every file, and that none of them may run code.

    Raises
    ------
    DataError
        Something is missing, changed, added, or no plain file.
    RefusedError
        A file is a pickle: podium would not load that model.
    """
    _, files = _named(folder, artifact_hash)
    require_no_pickle(folder, ((name, read_checked(folder, files, name)) for name in files))


def _named(folder: Path, artifact_hash: str) -> tuple[bytes, Mapping[str, str]]:
    """An artefact's manifest, its hash checked, and the hashes of its files; it has no others."""
    data = require_hash(folder, artifact_hash)
    files = _files(folder, data)
    _require_nothing_else(folder, files)
    return data, files


def _files(folder: Path, data: bytes) -> Mapping[str, str]:
    """Hash of each file by its name, as a manifest says that others may have written."""
    try:
        files = json.loads(data)["files"]
        whole = all(isinstance(told, str) and inside(name) for name, told in files.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise DataError(
            f"{folder.name}/{MANIFEST} is no manifest of files in its folder",
            "one that podium wrote",
        )
    found: Mapping[str, str] = files
    return found


def _require_nothing_else(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse links, and files that the manifest does not name; empty folders are nothing."""
    problems = Problems()
    for place, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(place) / name
            inner = path.relative_to(folder).as_posix()
            if path.is_symlink():
                problems.add(f"{path} is a link", "a plain file", "remove it")
            elif name in names and inner not in files and inner != MANIFEST:
                # No hash covers it, so it is not passed over, whatever its name says it is.
                whose = ", a file manager left it there" if name in _LITTER else ""
                remove = f"remove it: rm {shlex.quote(str(path))}"
                problems.add(f"{path} is not in its manifest{whose}", "the files it names", remove)
    DataError.raise_for(problems)


def section_of(manifest: Mapping[str, Any]) -> SlotSection:
    """What a model was trained to forecast, and from what."""
    task: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in manifest["task"].items()
    }
    return SlotSection(**task)


class Averaged:
    """Models that differ in their seed alone; their prediction is the mean of all."""

    def __init__(self, models: Sequence[Any]) -> None:
        self.models = models

    def predict(self, asked: Windows | Subset) -> Prediction | ClassPrediction:
        """Mean of the members' predictions, in the order asked."""
        first, *others = [model.predict(asked) for model in self.models]
        found: Prediction | ClassPrediction = type(first).averaged([first, *others])
        return found

    @property
    def scaler(self) -> Mapping[str, Any] | None:
        """The first member's: all saw the same bars."""
        found: Mapping[str, Any] | None = self.models[0].scaler
        return found


class OtherVersionError(DataError):
    """The artefact is whole, but the code it was made with is another by now."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to predict, with everything its manifest says.

    Parameters
    ----------
    manifest : mapping
        ``family``, ``config``, ``tickers`` in training order, ``task`` and hashes.
    checkpoint : str
        ``final_model`` or ``best_model``.
    """

    manifest: Mapping[str, Any]
    checkpoint: str
    model: Any

    @property
    def tickers(self) -> tuple[str, ...]:
        """Training tickers in training order."""
        return tuple(self.manifest["tickers"])

    @property
    def section(self) -> SlotSection:
        """What the model was trained to forecast, and from what."""
        return section_of(self.manifest)

    @overload
    def predict(self, x: Windows) -> Prediction: ...
    @overload
    def predict(self, x: NDArray[Any]) -> Floats: ...
    @overload
    def predict(
        self, x: Any, *, covariates: Mapping[str, Covariate] = ..., **reading: Any
    ) -> Any: ...
    def predict(
        self, x: Any, *, covariates: Mapping[str, Covariate] | None = None, **reading: Any
    ) -> Any:
        """Forecasts of whatever holds bars or windows.

        Parameters
        ----------
        x : pandas frame, array or Windows
            A frame of bars, long with a ticker column, wide with columns of every ticker, or of
            one ticker: a forecast for every bar with a whole window behind it. Prices are taken as
            adjusted unless the frame has ``adj_close`` or ``factor`` and the model's dataset is
            adjusted by it.
            An array (N, window, n_features) of feature windows, in the order of
            ``section.features``, not scaled. Windows: those, targets blanked out.
        covariates : mapping of name to Covariate, optional
            What a frame's bars are joined with, where the model's features are of covariates:
            ``{"earnings": Covariate.of("dated", {"eps": ...}, moments=..., tickers=...)}``.
        **reading
            Of a frame: how it is to be understood, in the words of a dataset's table, such as
            ``columns={"time": "when"}``, ``timezone="Europe/Berlin"``, ``repair=("sort",)``.

        Returns
        -------
        pandas frame, (N,) float or Prediction
            A frame has ``ticker``, ``decided_at`` and ``forecast``, in the target's unit. A model
            of a universe (``align = "union"``) warns of the tickers that the newest bar lacks.

        Raises
        ------
        DataError
            Other tickers, too few bars, other shapes, or values that are not finite; nothing is
            read by position.
        """
        if hasattr(x, "columns"):
            return self._of_frame(x, covariates or {}, reading)
        if reading:
            raise UsageError(f"predict() was told {', '.join(reading)}", "that for frames only")
        if isinstance(x, Windows):
            return self._of_windows(x)
        if isinstance(x, np.ndarray):
            return self._of_array(x)
        raise UsageError(
            f"predict() was given {type(x).__name__}",
            "a pandas frame of bars, an array of feature windows, or Windows",
        )

    def _of_windows(self, windows: Windows) -> Prediction:
        if windows.view.tickers != self.tickers:
            raise DataError(
                f"the data have tickers {', '.join(windows.view.tickers)}",
                f"{', '.join(self.tickers)} in this order, as in training",
                "select them by name: dataset.select(model.tickers)",
            )
        prediction: Prediction = self.model.predict(windows.blind())
        return prediction

    def _of_array(self, inputs: NDArray[Any]) -> Floats:
        section = self.section
        wanted = (section.window, len(section.features))
        if inputs.ndim != 3 or inputs.shape[1:] != wanted:
            raise DataError(
                f"the array has shape {inputs.shape}",
                f"(N, {wanted[0]}, {wanted[1]}): windows of {', '.join(section.features)}",
            )
        features = np.asarray(inputs, dtype=np.float32).swapaxes(0, 1)
        if not np.isfinite(features).all():
            raise DataError("the array holds values that are not finite", "finite features")
        # One window an item, all decided at the last bar; what only bars tell is not known.
        unknown = np.full(features.shape[:2], np.nan)
        view = View(
            tickers=tuple(map(str, range(len(inputs)))),
            times=np.arange(section.window).astype("datetime64[s]"),
            feature_names=section.features,
            features=features,
            increments=unknown,
            target=unknown,
            past=unknown,
            aggregate=registry.load("targets", section.target).aggregate,
            horizon=section.horizon,
            window=section.window,
            centered=registry.load("targets", section.target).CENTERED,
        )
        item = np.arange(len(inputs), dtype=np.int64)
        found: Prediction = self.model.predict(
            Windows(view, item, np.full_like(item, section.window - 1))
        )
        if not np.isfinite(found.mean).all():
            raise DataError(
                f"the family {self.manifest['family']} does not forecast from features alone",
                "bars",
                "give it a frame of bars instead of an array",
            )
        return found.mean

    def _of_frame(
        self, frame: Any, covariates: Mapping[str, Covariate], reading: Mapping[str, Any]
    ) -> Any:
        section = self.section
        # A model of a universe reads frames as one, unless told otherwise.
        kept = {name: self.manifest[name] for name in ("align",) if name in self.manifest}
        kept |= dict(reading)
        # By its name, as members of a kind are found: bars come to models through readers.
        reader = registry.load("readers", "table")
        dataset = reader.read(
            frame,
            name=section.dataset,
            tickers=self._tickers_of(reader.tickers_of(frame, name=section.dataset, **reading)),
            timeframe=self.manifest["timeframe"],
            # Where the dataset is adjusted: by what the frame has for it, if it has that.
            adjust=None if self.manifest.get("adjust", True) else False,
            **kept,
        )
        view = View.of(
            dataset.with_covariates(covariates),
            features=section.features,
            target=section.target,
            horizon=section.horizon,
            window=section.window,
        )
        if view.first_bar >= len(view):
            raise DataError(
                f"{len(view)} bars leave no whole window",
                f"at least {section.window} bars after those that the features need to begin",
                "give it more bars",
            )
        windows = Windows.of(view, np.arange(view.first_bar, len(view), dtype=np.int64))
        if view.left_out():
            warnings.warn(view.left_out(), stacklevel=3)
        found: Prediction = self.model.predict(windows.blind())
        columns = {"ticker": found.item, "decided_at": found.decided_at, "forecast": found.mean}
        # A frame of the caller's own kind, so that loading a model does not need pandas.
        return type(frame)(columns)

    def _tickers_of(self, named: Sequence[str]) -> tuple[str, ...]:
        """Tickers to forecast, in training order where the frame names them."""
        alone = registry.family(self.manifest["family"]).each_alone
        problems = Problems()
        for name in named:
            found = f"the model was not trained on ticker '{name}'"
            problems.require_known(name, self.tickers, found)
        DataError.raise_for(problems)
        missing = [t for t in self.tickers if t not in named]
        if named and (alone or not missing):
            return tuple(t for t in self.tickers if t in named)
        if not named and (alone or len(self.tickers) == 1):
            return self.tickers if len(self.tickers) == 1 else ("",)
        raise DataError(
            f"the frame lacks tickers {', '.join(missing)}",
            "all that the model was trained on: it forecasts none of them alone",
            "give it a long frame with a ticker column",
        )


Loaded = LoadedModel | LoadedClassifier


def forecaster(folder: Path, artifact_hash: str, checkpoint: str = "") -> LoadedModel:
    """Model of an artefact that forecasts; as :func:`load`."""
    found = load(folder, artifact_hash, checkpoint)
    if isinstance(found, LoadedClassifier):
        raise UsageError(
            f"{folder} classifies samples",
            "a model that forecasts bars",
            "give it samples: podium predict --data FILE.npz",
        )
    return found


def classifier(folder: Path, artifact_hash: str, checkpoint: str = "") -> LoadedClassifier:
    """Model of an artefact that classifies; as :func:`load`."""
    found = load(folder, artifact_hash, checkpoint)
    if isinstance(found, LoadedModel):
        raise UsageError(f"{folder} forecasts bars", "a model that classifies samples")
    return found


@dataclass(frozen=True)
class Place:
    """Where a model lies: its artefact's folder, hash and manifest, and which checkpoint of it."""

    folder: Path
    artifact_hash: str
    manifest: Mapping[str, Any]
    checkpoint: str


def find(path: Path) -> Place:
    """The model that a path belongs to: its folder, a checkpoint's in it, or any file in that.

    The folder is named by its manifest's hash, which is checked; the manifest names every file's.

    Raises
    ------
    NotFoundError
        There is no such path.
    DataError
        Not podium's, or the manifest was changed.
    """
    # Unlike Path.exists() it says of a name that no file can have that there is none.
    if not os.path.exists(path):  # noqa: PTH110
        raise NotFoundError(
            f"{str(path)!r:.300} does not exist", "a model's folder, or a file in it"
        )
    path = path.resolve()
    folder = next((f for f in (path, *path.parents) if (f / MANIFEST).is_file()), None)
    if folder is None:
        raise DataError(
            f"{path} is in no model folder of podium: no {MANIFEST} beside or above it",
            "a folder under models/registry, or a file in it",
            "open it with the framework that saved it",
        )
    artifact_hash = digest_bytes(content(folder))
    if re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", folder.name):
        # Elsewhere it was copied under another name; then the manifest alone vouches for it.
        require_hash(folder, folder.name + artifact_hash[DIGITS:])
    inner = path.relative_to(folder).parts
    return place_of(folder, artifact_hash, inner[0] if inner and inner != (MANIFEST,) else "")


def place_of(folder: Path, artifact_hash: str, checkpoint: str = "") -> Place:
    """The model in an artefact's folder, after its manifest's hash was checked.

    Raises
    ------
    DataError
        The manifest is missing or changed.
    NotFoundError
        There is no such checkpoint.
    """
    try:
        data = require_hash(folder, artifact_hash)
        manifest = json.loads(data)
        files = [*manifest["files"]]
        there = [c for c in CHECKPOINTS if any(name.startswith(f"{c}/") for name in files)]
        checkpoint = checkpoint or there[0]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise DataError(f"{folder / MANIFEST} is no model's", "what podium wrote") from None
    _files(folder, data)
    top, _, member = checkpoint.partition("/")
    if top not in there or (member and member not in manifest.get("members", ())):
        told = f"{folder} has no checkpoint '{checkpoint}'"
        raise NotFoundError(told, fix=suggest(checkpoint, there))
    return Place(folder, artifact_hash, manifest, checkpoint)


def load(folder: Path, artifact_hash: str, checkpoint: str = "") -> Loaded:
    """Model of an artefact, after the hash of the manifest and of every file read was checked.

    Parameters
    ----------
    checkpoint : str, optional
        Default: ``final_model`` where there is one, else ``best_model``. Of several models whose
        mean is served, ``final_model/member_1`` is one.

    Raises
    ------
    DataError
        Something is missing or changed.
    OtherVersionError
        The family, or a plugin the model was trained with, is another by now.
    """
    return load_place(place_of(folder, artifact_hash, checkpoint))


def _member_version(member: str) -> int | str | None:
    """Version of ``kind/name`` here; None: there is no such kind."""
    kind, _, name = member.partition("/")
    return registry.version(kind, name) if kind in registry.KINDS else None


def load_place(place: Place) -> Loaded:
    """Model of a place, after every file read was checked.

    Raises
    ------
    DataError
        Something is missing, changed or added, or another podium is needed.
    RefusedError
        A file is a pickle, or would run code when it is opened. podium opens none of those.
    """
    _require_nothing_else(place.folder, place.manifest["files"])
    manifest = place.manifest
    try:
        name, version = str(manifest["family"]), manifest["family_version"]
        task = manifest["task"]["task"]
        if not registry.constant("tasks", task, "ROLE"):
            raise KeyError(task)
    except (KeyError, TypeError):
        told = f"{place.folder / MANIFEST} does not say what it is a model of"
        raise DataError(told, "what podium wrote") from None
    family = registry.family(name, task)
    if version != family.VERSION:
        raise OtherVersionError(
            f"{place.folder} was written by version {version} of {family.name}",
            f"version {family.VERSION}, which this podium has",
            "install the podium that trained it, put its plugin back as it was, or train again",
        )
    OtherVersionError.raise_for(
        Problem(
            f"{plugin.FOLDER}/{member}.py is not what {place.folder} was trained with",
            "the same file, and the same shared files beside it",
            "put it back as it was, or train again",
        )
        for member, then in manifest.get("plugins", {}).items()
        if _member_version(member) != then
    )
    files = manifest["files"]
    mine = [name for name in files if name.startswith(f"{place.checkpoint}/")]
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
        told = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"{family.name} cannot open {place.folder / place.checkpoint}: "
            f"{type(error).__name__}: {told:.200}",
            "a model that it wrote",
            "restore the artefact, or train again",
        ) from error
    kind = LoadedClassifier if registry.holds(task) == "sequences" else LoadedModel
    return kind(manifest, place.checkpoint, model)
