"""Slot: the name production asks for, and who holds it."""

from __future__ import annotations

from dataclasses import dataclass


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
