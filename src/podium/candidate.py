"""Candidate: a trained artefact with its lineage, numbered by its slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podium.hashing import canonical

if TYPE_CHECKING:
    # Space needs numpy; resolving a champion does not.
    from podium.space import ConfigDict


@dataclass(frozen=True)
class Candidate:
    """What a decision is about.

    Parameters
    ----------
    version : int
        The slot's own number, given by the ledger.
    model_type : str
        ``base``, or how it was enhanced.
    made_by : {"trained", "given", "command", "enhanced"}
        Trained from a config that podium chose or was given, handed over as a model, made by a
        command of the user, or from a parent.
    study_id, trial_id : str or None
        The training on record; None where there is none.
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
    study_id: str | None
    trial_id: str | None
    artifact_hash: str
    artifact_path: str
    dataset_fingerprint: str
    trained_until: str
    parent_id: str | None
    root_id: str
    created_at: str
    made_by: str = "trained"


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it is written; its SHA-256 is the artefact's hash."""
    return (canonical(manifest) + "\n").encode()
