"""Evidence as steps make it: about a candidate's artefact, by this podium, now."""

from __future__ import annotations

from collections.abc import Mapping

from podium import __version__
from podium.candidate import Candidate
from podium.evidence import Evidence, Scalar
from podium.hashing import new_id
from podium.ledger.ledger import now


def evidence_about(
    candidate: Candidate,
    kind: str,
    producer: str,
    *,
    dataset: str,
    notes: Mapping[str, str],
    split: str = "",
    scalars: Mapping[str, Scalar] | None = None,
    series: Mapping[str, str] | None = None,
) -> Evidence:
    """A new finding about a candidate; ``dataset`` and ``split`` are what it was found on."""
    return Evidence(
        id=new_id("e"),
        kind=kind,
        candidate_id=candidate.id,
        artifact_hash=candidate.artifact_hash,
        dataset_fingerprint=dataset,
        split_hash=split,
        producer=producer,
        producer_version=__version__,
        created_at=now(),
        scalars=scalars or {},
        series=series or {},
        notes=notes,
    )
