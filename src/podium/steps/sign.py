"""Put a person's name to an evaluation's bundle, after its bytes were checked."""

from __future__ import annotations

import json
from pathlib import Path

from podium.candidate import read_checked, require_hash
from podium.errors import NotFoundError, UsageError
from podium.evidence import Evidence
from podium.ledger import reads, writes
from podium.steps._evidence import evidence_about
from podium.steps._project import Project
from podium.steps.evaluate import KIND


def sign(project: Project, candidate_id: str, reason: str) -> Evidence:
    """Put your name to the newest evaluation of a candidate, having looked at it.

    Parameters
    ----------
    reason : str
        What you saw and why it will do; kept with the signature.

    Raises
    ------
    UsageError
        No reason is given.
    NotFoundError
        The candidate was not evaluated.
    DataError
        The bundle is not there any more, or not what was evaluated.
    """
    if not reason.strip():
        raise UsageError("no reason was given", "what you saw: --reason TEXT")
    ledger = project.ledger
    with ledger.reading() as tx:
        candidate = reads.candidate_by_id(ledger, tx, candidate_id)
        found = reads.evidence_of(ledger, tx, candidate_id).get(KIND)
    if found is None:
        raise NotFoundError(
            f"candidate {candidate_id} was not evaluated",
            "a bundle to look at",
            f"run: podium evaluate {candidate_id}",
        )
    verify_bundle(project, found)
    signature = evidence_about(
        candidate,
        "signature",
        "sign",
        dataset=found.dataset_fingerprint,
        split=found.split_hash,
        notes={
            "signer": project.actor,
            "reason": reason.strip(),
            "bundle": found.notes["bundle"],
            "evaluation": found.id,
        },
    )
    with ledger.transaction(durable=True) as tx:
        writes.put_evidence(ledger, tx, signature)
        writes.announce(ledger, tx, "candidate", [candidate.id])
    return signature


def verify_bundle(project: Project, evidence: Evidence) -> Path:
    """Folder of an evaluation's bundle, after every file's hash was checked.

    Raises
    ------
    DataError
        A file is missing or was changed.
    """
    folder = project.root / evidence.notes["folder"]
    files = json.loads(require_hash(folder, evidence.notes["bundle"]))["files"]
    for name in files:
        read_checked(folder, files, name)
    return folder
