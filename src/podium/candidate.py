"""Candidate: a trained artefact with its lineage, numbered by its slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podium.hashing import canonical

if TYPE_CHECKING:
    # Space needs numpy, which resolving a champion does not.
    from podium.space import ConfigDict


@dataclass(frozen=True)
class Candidate:
    """A trained model that decisions refer to.

    Parameters
    ----------
    version : int
        Number within the slot, assigned by the ledger.
    model_type : str
        ``base``, or the kind of enhancement.
    made_by : {"trained", "given", "command", "enhanced"}
        Trained by podium, handed over as a model, made by a command of the user, or made from a
        parent.
    study_id, trial_id : str or None
        The recorded training; None if there is none.
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

    @property
    def title(self) -> str:
        """Slot, id, version and family, for the beginning of a sentence."""
        return f"{self.slot}: candidate {self.id} (version {self.version}, {self.family})"

    @property
    def name(self) -> str:
        """Version, slot and family, for messages that the id would make hard to read."""
        return f"Version {self.version} of {self.slot} ({self.family})"


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """Bytes of the manifest file; their SHA-256 is the artefact's hash."""
    return (canonical(manifest) + "\n").encode()
