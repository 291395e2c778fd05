"""Sign the evidence of a candidate, for or against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from podium import artifact
from podium.candidate import Candidate
from podium.decision import Decision, Kind, Stage
from podium.errors import NotFoundError, RefusedError, UsageError
from podium.evidence import SIGNATURE, Evidence, seen
from podium.hashing import canonical
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import now
from podium.manifest import read_checked, require_hash
from podium.steps.decisions.evaluate import KIND
from podium.steps.evidence.evidence import evidence_about
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_candidate

# Evidence on data that a candidate was not chosen on; a signature needs one of these.
JUDGED = {KIND, "test", "backtest"}


@on_candidate("sign")
def sign(project: Project, candidate_id: str, reason: str, *, approve: bool = True) -> Evidence:
    """Sign the newest evidence of a candidate after a review of it.

    A signature holds the hashes of the artefact and of the evidence, and is void when either
    changes. Signatures of several people count side by side; the newest of a person counts.

    Parameters
    ----------
    candidate_id : str
        A candidate's id, or a slot: its newest candidate.
    reason : str
        Recorded with the signature.
    approve : bool
        False: a rejection.

    Returns
    -------
    Evidence
        Of kind ``signature``.

    Raises
    ------
    UsageError
        The reason is empty.
    RefusedError
        ``[people] signers`` does not name you.
    NotFoundError
        The candidate is not judged yet.
    DataError
        The artefact or the bundle is missing or has changed since it was judged.

    Examples
    --------
    >>> import podium
    >>> with podium.open("glucose") as project:  # doctest: +SKIP
    ...     project.slot("glucose/class").sign("errors are plausible").notes["verdict"]
    'approve'
    """
    if not reason.strip():
        raise UsageError("the signature has no reason", "what you reviewed: --reason TEXT")
    signers, me = project.config.people.signers, project.actor
    if signers and me not in signers:
        raise RefusedError(
            f"{me} is no signer of this project",
            "one of " + ", ".join(signers),
            "set PODIUM_ACTOR to your name, or add it to [people] signers of podium.toml",
        )
    ledger = project.ledger
    with ledger.reading() as tx:
        candidate = reads.candidate_by_id(tx, candidate_id)
        evidence = reads.evidence_of(tx, candidate_id)
        stage = Stage(reads.stage_of(tx, candidate_id) or Stage.DEVELOPMENT)
        author = reads.author_of(tx, candidate_id)
    hashes = _signed_hashes(project, candidate, evidence)
    last = evidence.get(SIGNATURE)
    verdict = "approve" if approve else "reject"
    notes = {"signer": me, "verdict": verdict, "reason": reason.strip(), **hashes}
    if last is not None and notes.items() <= last.notes.items():
        # The same signature of the same evidence, as after a kill at the end of a command.
        return last
    mine = {"by": me, "verdict": verdict, "at": now()}
    signature = evidence_about(
        candidate,
        SIGNATURE,
        "sign",
        dataset=_newest(evidence).dataset_fingerprint,
        split=_newest(evidence).split_hash,
        notes={
            **notes,
            # The login or PODIUM_ACTOR is no proof of identity.
            "identity": "asserted",
            "author": author,
            "signatures": canonical([*_others(last, hashes, me), mine]),
        },
    )
    decision = Decision(
        kind=Kind.SIGN,
        slot=candidate.slot,
        candidate_id=candidate.id,
        from_stage=stage,
        to_stage=stage,
        accepted=approve,
        actor=me,
        reason=reason.strip(),
        evidence=tuple(sorted([signature.id, *(e.id for e in evidence.values())])),
        created_at=signature.created_at,
    )
    with ledger.transaction(durable=True) as tx:
        writes.put_evidence(tx, signature)
        writes.announce(tx, "candidate", [candidate.id])
        decisions.decide(tx, decision)
    return signature


def _signed_hashes(
    project: Project, candidate: Candidate, evidence: Mapping[str, Evidence]
) -> dict[str, str]:
    """Hashes of the evidence that is signed, after a check of the files."""
    if not JUDGED & evidence.keys():
        raise NotFoundError(
            f"candidate {candidate.id} was not evaluated",
            "evidence to sign",
            f"run: podium evaluate {candidate.id}, or podium backtest where it forecasts",
        )
    artifact.verify(project.store / candidate.artifact_path, candidate.artifact_hash)
    hashes = {"seen": seen(evidence)}
    if KIND in evidence:
        verify_bundle(project, evidence[KIND])
        hashes |= {"bundle": evidence[KIND].notes["bundle"], "evaluation": evidence[KIND].id}
    return hashes


def _newest(evidence: Mapping[str, Evidence]) -> Evidence:
    return max((e for e in evidence.values() if e.kind != SIGNATURE), key=lambda e: e.created_at)


def _others(before: Evidence | None, hashes: Mapping[str, str], me: str) -> list[dict[str, str]]:
    """Signatures of other people for the same evidence."""
    if before is None or before.notes.get("seen") != hashes["seen"]:
        return []
    return [one for one in json.loads(before.notes["signatures"]) if one["by"] != me]


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
