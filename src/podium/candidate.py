"""Candidate: a trained artefact with its lineage, numbered by its slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium.errors import DataError
from podium.hashing import canonical, digest_bytes

if TYPE_CHECKING:
    # Space needs numpy; resolving a champion does not.
    from podium.space import ConfigDict

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Candidate:
    """What a decision is about.

    Parameters
    ----------
    version : int
        The slot's own number, given by the ledger.
    model_type : str
        ``base``, or how it was enhanced.
    artifact_hash : str
        SHA-256 of the manifest, which holds the hash of every file.
    artifact_path : str
        Folder of the artefact, relative to the store.
    parent_id, root_id : str
        Lineage; a base model has no parent and is its own root.
    trained_until : str
        Last moment whose data the training saw, ISO 8601.
    """

    id: str
    slot: str
    version: int
    model_type: str
    family: str
    config: ConfigDict
    study_id: str
    trial_id: str
    artifact_hash: str
    artifact_path: str
    dataset_fingerprint: str
    trained_until: str
    parent_id: str | None
    root_id: str
    created_at: str


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it is written; its SHA-256 is the artefact's hash."""
    return (canonical(manifest) + "\n").encode()


def require_hash(folder: Path, expected: str) -> bytes:
    """The manifest's bytes, after their hash was checked.

    Raises
    ------
    DataError
        The manifest is missing or differs from what the record says.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except OSError:
        raise DataError(
            f"{path} is missing",
            "the artefact that the record refers to",
            "restore it from a backup",
        ) from None
    found = digest_bytes(data)
    if found != expected:
        raise DataError(
            f"{path} has hash {found[:12]}",
            f"{expected[:12]}, as recorded",
            "the artefact was changed after it was judged; restore it from a backup",
        )
    return data


def read_checked(folder: Path, files: Mapping[str, str], name: str) -> bytes:
    """One file of an artefact: read once, hashed, and those bytes returned.

    Raises
    ------
    DataError
        Missing, changed, or not named in the manifest.
    """
    path = folder / name
    if name not in files:
        raise DataError(f"{name} is not in the manifest of {folder}", fix="use a file it lists")
    try:
        data = path.read_bytes()
    except OSError:
        raise DataError(f"{path} is missing", "every file of the manifest") from None
    if digest_bytes(data) != files[name]:
        raise DataError(
            f"{path} differs from its manifest",
            "the bytes that were judged",
            "restore the artefact",
        )
    return data
