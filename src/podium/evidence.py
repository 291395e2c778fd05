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
    """What a producer found about one artefact on one dataset and split.

    Parameters
    ----------
    kind : str
        ``validation``, ``test``, ``backtest``, ``signature`` ...; gates ask for kinds.
    scalars : mapping of name to Scalar
    series : mapping of name to SHA-256
        Long arrays live in the record under their hash.
    notes : mapping of name to str
        What is not a number: the naive method, the interval, the execution rule.
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
        """Value of one scalar, or NotFoundError with near names."""
        if name not in self.scalars:
            raise NotFoundError(
                f"evidence {self.id} ({self.kind}) has no '{name}'", fix=suggest(name, self.scalars)
            )
        return self.scalars[name].value

    def part(self, name: str) -> dict[str, float]:
        """Values of the scalars that are called ``name:...``, by the rest of their names."""
        begins = f"{name}:"
        return {
            full.removeprefix(begins): scalar.value
            for full, scalar in self.scalars.items()
            if full.startswith(begins)
        }


def seen(found: Mapping[str, Evidence]) -> str:
    """Hash of all findings a person can look at; empty where there are none.

    Of an evaluation its bundle counts, which is the same when it was made again of the same bytes.
    """
    told = {
        kind: one.notes.get("bundle", one.id) for kind, one in found.items() if kind != SIGNATURE
    }
    return digest([told, sorted({e.artifact_hash for e in found.values()})]) if told else ""
