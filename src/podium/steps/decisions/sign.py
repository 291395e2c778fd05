"""Put a person's name to what was found about a candidate, for or against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from podium import artifact
from podium.candidate import Candidate
from podium.decision import Decision, Kind, Stage
from podium.errors import NotFoundError, RefusedError, UsageError
from podium.evidence import SIGNATURE, Evidence, seen
from podium.hashing import canonical, new_id
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import now
from podium.manifest import read_checked, require_hash
from podium.steps.decisions.evaluate import KIND
from podium.steps.evidence.evidence import evidence_about
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_candidate

# Findings on data a candidate was not chosen on; without one there is nothing to sign.
JUDGED = {KIND, "test", "backtest"}


@on_candidate("sign")
def sign(project: Project, candidate_id: str, reason: str, *, approve: bool = True) -> Evidence:
    """Put your name to the newest findings about a candidate, having looked at them.

    A signature names the artefact and the findings by their hashes, so that it is void as soon as
    either is another. It stands beside those of other people; a person who signs again says
    something else instead.

    Parameters
    ----------
    reason : str
        What you saw, and why it will do or will not; kept with the signature.
    approve : bool
        False: the candidate is not to pass.

    Raises
    ------
    UsageError
        No reason is given.
    RefusedError
        ``[people] signers`` does not name you.
    NotFoundError
        Nothing was found about the candidate yet.
    DataError
        The artefact or the bundle is not there any more, or not what was judged.
    """
    if not reason.strip():
        raise UsageError("no reason was given", "what you saw: --reason TEXT")
    signers, me = project.config.people.signers, project.actor
    if signers and me not in signers:
        raise RefusedError(
            f"{me} is not among those who sign in this project",
            "one of " + ", ".join(signers),
            "PODIUM_ACTOR says who you are; [people] signers of podium.toml who may",
        )
    ledger = project.ledger
    with ledger.reading() as tx:
        candidate = reads.candidate_by_id(ledger, tx, candidate_id)
        found = reads.evidence_of(ledger, tx, candidate_id)
        stage = Stage(reads.stage_of(ledger, tx, candidate_id) or Stage.DEVELOPMENT)
        author = reads.author_of(ledger, tx, candidate_id)
    hashes = _looked_at(project, candidate, found)
    last = found.get(SIGNATURE)
    said = {
        "signer": me,
        "verdict": "approve" if approve else "reject",
        "reason": reason.strip(),
        **hashes,
    }
    if last is not None and said.items() <= last.notes.items():
        # The same words about the same findings, as where a command was killed at its end.
        return last
    mine = {"by": me, "verdict": said["verdict"], "at": now()}
    signature = evidence_about(
        candidate,
        SIGNATURE,
        "sign",
        dataset=_newest(found).dataset_fingerprint,
        split=_newest(found).split_hash,
        notes={
            **said,
            # Nothing but the login or PODIUM_ACTOR says who that was.
            "identity": "asserted",
            "author": author,
            "signatures": canonical([*_others(found.get(SIGNATURE), hashes, me), mine]),
        },
    )
    decision = Decision(
        id=new_id("d"),
        kind=Kind.SIGN,
        slot=candidate.slot,
        candidate_id=candidate.id,
        from_stage=stage,
        to_stage=stage,
        accepted=approve,
        actor=me,
        reason=reason.strip(),
        evidence=tuple(sorted([signature.id, *(e.id for e in found.values())])),
        created_at=signature.created_at,
    )
    with ledger.transaction(durable=True) as tx:
        writes.put_evidence(ledger, tx, signature)
        writes.announce(ledger, tx, "candidate", [candidate.id])
        decisions.decide(ledger, tx, decision)
    return signature


def _looked_at(
    project: Project, candidate: Candidate, found: Mapping[str, Evidence]
) -> dict[str, str]:
    """Hashes of what is signed, after the bytes behind them were checked."""
    if not JUDGED & found.keys():
        raise NotFoundError(
            f"candidate {candidate.id} was not evaluated",
            "something to look at",
            f"run: podium evaluate {candidate.id}, or podium backtest where it forecasts",
        )
    artifact.verify(project.store / candidate.artifact_path, candidate.artifact_hash)
    hashes = {"seen": seen(found)}
    if KIND in found:
        verify_bundle(project, found[KIND])
        hashes |= {"bundle": found[KIND].notes["bundle"], "evaluation": found[KIND].id}
    return hashes


def _newest(found: Mapping[str, Evidence]) -> Evidence:
    return max((e for e in found.values() if e.kind != SIGNATURE), key=lambda e: e.created_at)


def _others(before: Evidence | None, hashes: Mapping[str, str], me: str) -> list[dict[str, str]]:
    """What other people have signed of the same findings."""
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
