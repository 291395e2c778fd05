"""Evidence: an immutable finding about a candidate, with units and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from podium.errors import NotFoundError, suggest
from podium.hashing import digest

SCHEMA = 1
SIGNATURE = "signature"


class Scalar(NamedTuple):
    """One number: its unit, and which way is better (``min``, ``max`` or ``none``)."""

    value: float
    unit: str = ""
    direction: str = "none"


@dataclass(frozen=True)
class Evidence:
    """Finding of a producer about one artefact on one dataset and split.

    Parameters
    ----------
    kind : str
        ``validation``, ``test``, ``backtest``, ``signature`` ...; gates name the kinds they need.
    scalars : mapping of name to Scalar
    series : mapping of name to SHA-256
        Long arrays are stored in the record under their hash.
    notes : mapping of name to str
        Facts that are not numbers: the naive method, the interval, the execution rule.
    """

    id: str
    kind: str
    candidate_id: str
    artifact_hash: str
    dataset_fingerprint: str
    split_hash: str
    producer: str
    producer_version: str
    created_at: str
    scalars: Mapping[str, Scalar]
    series: Mapping[str, str]
    notes: Mapping[str, str]

    def scalar(self, name: str) -> float:
        """Value of one scalar; NotFoundError suggests near names."""
        if name not in self.scalars:
            fix = suggest(name, self.scalars)
            raise NotFoundError(f"evidence {self.id} ({self.kind}) has no '{name}'", fix=fix)
        return self.scalars[name].value

    def part(self, name: str) -> dict[str, float]:
        """Values of the scalars named ``name:...``, by the rest of their names."""
        begins = f"{name}:"
        return {
            full.removeprefix(begins): scalar.value
            for full, scalar in self.scalars.items()
            if full.startswith(begins)
        }


def seen(findings: Mapping[str, Evidence]) -> str:
    """Hash of all findings that a signature covers; empty if there are none.

    An evaluation counts by the hash of its bundle, so repeating it on the same bytes changes
    nothing.
    """
    ids = {k: one.notes.get("bundle", one.id) for k, one in findings.items() if k != SIGNATURE}
    return digest([ids, sorted({e.artifact_hash for e in findings.values()})]) if ids else ""
