"""Artefacts: content-hashed folders, written beside and renamed in, loaded with checked bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import plugin, registry
from podium.candidate import MANIFEST, manifest_bytes, read_checked, require_hash
from podium.config import SlotSection
from podium.errors import DataError, Problem
from podium.files import flush_folder, full_disk_explained
from podium.hashing import digest_bytes, digest_folder
from podium.prediction import Prediction
from podium.split import Windows

CHECKPOINTS = ("final_model", "best_model")


def store(
    place: Path, checkpoints: Mapping[str, Path], description: Mapping[str, Any], *, writer: str
) -> tuple[str, str]:
    """Move model folders into the store as one artefact; returns its hash and relative path.

    The same files and description give the same hash and the same place, so a step that was cut
    off after this and is done again finds its artefact there already. What is half copied has
    the writer's name, so the same writer sweeps it up next time; no two may share one at once.
    """
    with full_disk_explained(place):
        place.mkdir(parents=True, exist_ok=True)
        beside = place / f".{writer}"
        shutil.rmtree(beside, ignore_errors=True)
        try:
            for name, source in checkpoints.items():
                _copy(source, beside / name)
            manifest = {**description, "podium": 1, "files": digest_folder(beside)}
            data = manifest_bytes(manifest)
            (beside / MANIFEST).write_bytes(data)
            name = digest_bytes(data)
            target = place / name[:20]
            if not target.exists():
                flush_folder(beside)
                beside.rename(target)
            else:
                verify(target, name)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return name, target.name


def _copy(source: Path, target: Path) -> None:
    """Copy a folder's files; unlike shutil.copytree it lets a full disk be seen as one."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())


def verify(folder: Path, artifact_hash: str) -> Mapping[str, Any]:
    """Manifest of an artefact, after the hash of it and of every file was checked.

    Raises
    ------
    DataError
        Something is missing or changed.
    """
    manifest: dict[str, Any] = json.loads(require_hash(folder, artifact_hash))
    for name in manifest["files"]:
        read_checked(folder, manifest["files"], name)
    return manifest


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
        task: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in self.manifest["task"].items()
        }
        return SlotSection(**task)

    def predict(self, windows: Windows) -> Prediction:
        """Forecasts of windows whose tickers are the training tickers, targets blanked out.

        Raises
        ------
        DataError
            The view has other tickers or another order; nothing is read by position.
        """
        if windows.view.tickers != self.tickers:
            raise DataError(
                f"the data have tickers {', '.join(windows.view.tickers)}",
                f"{', '.join(self.tickers)} in this order, as in training",
                "select them by name: dataset.select(model.tickers)",
            )
        prediction: Prediction = self.model.predict(windows.blind())
        return prediction


def load(folder: Path, artifact_hash: str, checkpoint: str = "final_model") -> LoadedModel:
    """Model of an artefact, after the hash of the manifest and of every file read was checked.

    Raises
    ------
    DataError
        Something is missing or changed.
    OtherVersionError
        The family, or a plugin the model was trained with, is another by now.
    """
    manifest = json.loads(require_hash(folder, artifact_hash))
    files = manifest["files"]
    family = registry.load("families", manifest["family"]).FAMILY
    if manifest["family_version"] != family.VERSION:
        raise OtherVersionError(
            f"{folder} was written by version {manifest['family_version']} of {family.name}",
            f"version {family.VERSION}, which this podium has",
            "install the podium that trained it, put its plugin back as it was, or train again",
        )
    changed = [
        member
        for member, version in manifest.get("plugins", {}).items()
        if registry.version(*member.split("/")) != version
    ]
    if changed:
        raise OtherVersionError.of(
            Problem(
                f"{plugin.FOLDER}/{member}.py is not what the model of {folder} was trained with",
                "the same file, and the same shared files beside it",
                "put it back as it was, or train again",
            )
            for member in changed
        )
    model = family.load(lambda name: read_checked(folder, files, f"{checkpoint}/{name}"))
    return LoadedModel(manifest, checkpoint, model)
