"""Slot: the name production asks for, and who holds it."""

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
        Content hash of the artefact folder and its place relative to the store.
    since : str
        UTC, ISO 8601.
    decision_id : str
        The decision that put it there.
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
    """A slot's champion and where its artefact lies.

    Parameters
    ----------
    champion : Champion
    path : Path
        The artefact's folder.
    source : str
        ``record``; when that could not be read ``memory`` (what this process was told last) or
        ``cache`` (what was written after the last decision).
    project : Path
        The project's folder.
    """

    champion: Champion
    path: Path
    source: str
    project: Path

    def load(self, checkpoint: str = "") -> Loaded:
        """The model, after the hashes of its manifest and of every file read were checked."""
        from podium import artifact

        plugin.use(self.project)
        return artifact.load(self.path, self.champion.artifact_hash, checkpoint)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able facts."""
        return {**vars(self.champion), "path": str(self.path), "source": self.source}
