"""Champion of a slot, the name under which production loads a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium import plugin

if TYPE_CHECKING:
    from podium.artifact import Loaded


@dataclass(frozen=True)
class Champion:
    """The candidate that holds a slot.

    Parameters
    ----------
    slot : str
        For example ``us4/D/volatility``.
    candidate_id : str
    version : int
        The slot's own counter.
    artifact_hash, artifact_path : str
        Content hash of the artefact's folder and its path relative to the store.
    since : str
        UTC, ISO 8601.
    decision_id : str
        Decision that made it the champion.
    """

    slot: str
    candidate_id: str
    version: int
    artifact_hash: str
    artifact_path: str
    since: str
    decision_id: str


@dataclass(frozen=True)
class Resolved:
    """A slot's champion and the location of its artefact.

    Parameters
    ----------
    champion : Champion
    path : Path
        The artefact's folder.
    source : str
        ``record``; if the record is not readable ``memory`` (the last answer in this process) or
        ``cache`` (a file written after the last decision).
    project : Path
        The project's folder.
    """

    champion: Champion
    path: Path
    source: str
    project: Path

    def load(self, checkpoint: str = "") -> Loaded:
        """Load the model; the hashes of its manifest and of every file read are verified."""
        from podium import artifact

        plugin.use(self.project)
        return artifact.load(self.path, self.champion.artifact_hash, checkpoint)

    def as_dict(self) -> dict[str, Any]:
        """Values for JSON."""
        return {**vars(self.champion), "path": str(self.path), "source": self.source}
