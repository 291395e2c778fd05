"""Ask for a stage: gates read the evidence, the decision and its reasons go on record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from podium import artifact, plugin, registry
from podium.candidate import Candidate
from podium.config import Config
from podium.decision import Decision, Kind, Result, Stage, Verdict, require_move
from podium.errors import NotFoundError, Problem, RefusedError, UsageError, suggest
from podium.evidence import Evidence
from podium.files import write_atomic
from podium.gates._base import verdict
from podium.hashing import digest, new_id
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import now
from podium.resolve import CACHE
from podium.steps import _best_file as best_file
from podium.steps._project import Project

STEP = "promote"
_FORECAST: Mapping[str, Mapping[str, float]] = {
    "fresh_evidence": {},
    "same_data": {},
    "no_leak": {},
    "in_confidence_set": {},
    "beats_naive": {},
    "beats_champion": {},
}
# What a candidate must show by default; podium.toml may add or change. A forecast is judged by its
# error; one that is traded for profit must show besides that the profit is no luck.
POLICIES: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]] = {
    "forecast": {"beta": {"fresh_evidence": {}}, "champion": _FORECAST},
    "trading": {
        "beta": {"fresh_evidence": {}},
        "champion": {**_FORECAST, "deflated_sharpe": {}, "overfitting": {}},
    },
    "classify": {
        "beta": {"evaluation_bundle": {}},
        "champion": {"evaluation_bundle": {}, "macro_f1": {}, "minority_recall": {}, "signoff": {}},
    },
}


@dataclass(frozen=True)
class Promotion:
    """What was asked and what came of it.

    Parameters
    ----------
    decisions : tuple of Decision
        In order; the last one may be a refusal.
    fresh : bool
        False when the same request on the same evidence had been decided before.
    """

    candidate: Candidate
    stage: Stage
    verdicts: tuple[Verdict, ...]
    refused: bool
    fresh: bool
    sentence: str


def promote(
    project: Project, candidate_id: str, *, to: str = "champion", reason: str = ""
) -> Promotion:
    """Move a candidate towards a stage as far as its gates let it.

    On the way to champion a candidate in development or archived first becomes beta; each move is
    a decision of its own. A refusal is recorded too and moves nothing.

    Parameters
    ----------
    candidate_id : str
    to : {"beta", "champion", "development", "archived"}
    reason : str
        Why; kept with the decision.

    Raises
    ------
    RefusedError
        The move is not one of the nine.
    DataError
        The artefact is not what was judged.
    ConflictError
        The slot's champion changed while this was decided.
    """
    ledger = project.ledger
    target = _stage(to)
    with ledger.reading() as tx:
        candidate = reads.candidate_by_id(ledger, tx, candidate_id)
        current = Stage(reads.stage_of(ledger, tx, candidate_id) or Stage.DEVELOPMENT)
        evidence = reads.evidence_of(ledger, tx, candidate_id)
        champion_id = reads.champion_of(ledger, tx, candidate.slot)
        champion = reads.evidence_of(ledger, tx, champion_id) if champion_id else None
    artifact.verify(project.store / candidate.artifact_path, candidate.artifact_hash)
    if current is target:
        return _known(project, candidate, current)
    through = [target]
    if target is Stage.CHAMPION and current in (Stage.DEVELOPMENT, Stage.ARCHIVED):
        through = [Stage.BETA, Stage.CHAMPION]
    policy = policy_of(project.config, candidate.slot)
    ids = tuple(sorted(e.id for e in evidence.values()))

    # What a gate that is a plugin holds; podium's own are known by their names.
    own = plugin.versions(("gates", gate) for gates in policy.values() for gate in gates)

    def request(stage: Stage) -> str:
        told = [candidate_id, stage, to, champion_id, policy, ids]
        return digest([*told, own] if own else told)

    with ledger.reading() as tx:
        asked_before = reads.receipt(ledger, tx, candidate.slot, STEP, request(current))
    if asked_before is not None:
        return _known(project, candidate, current)
    verdicts: tuple[Verdict, ...] = ()
    made: list[Decision] = []
    refused = False
    for step in through:
        require_move(current, step)
        verdicts = _judge(policy.get(step, {}), evidence, champion)
        refused = not all(v.passed for v in verdicts)
        made.append(
            Decision(
                id=new_id("d"),
                kind=Kind.MOVE,
                slot=candidate.slot,
                candidate_id=candidate_id,
                from_stage=current,
                to_stage=step,
                accepted=not refused,
                actor=project.actor,
                reason=reason or "asked for by podium",
                expected_champion=champion_id,
                policy=policy.get(step, {}),
                verdicts=verdicts,
                evidence=ids,
                created_at=now(),
            )
        )
        if refused:
            break
        current = step
    with ledger.transaction(durable=True) as tx:
        for decision in made:
            decisions.decide(ledger, tx, decision)
        if refused:
            # Asked again from where it stands now, the same evidence gets the same answer.
            writes.put_receipt(
                ledger, tx, candidate.slot, STEP, request(current), {"decision": made[-1].id}
            )
    write_champions(project)
    return Promotion(
        candidate,
        current,
        verdicts,
        refused,
        True,
        _sentence(candidate, current, verdicts, refused),
    )


def demoted(project: Project, candidate: Candidate) -> Promotion | None:
    """How a candidate stands that a person took out of use, or None.

    What someone archived or took from the championship by a decision about this very candidate is
    not put back by a run that finds its gates still passing; only asking for it does that.
    """
    last = _last_move(project, candidate)
    if last is None or not last["accepted"]:
        return None
    if last["to_stage"] != Stage.ARCHIVED and last["from_stage"] != Stage.CHAMPION:
        return None
    stage = Stage(last["to_stage"])
    sentence = (
        f"{_name(candidate)} stays in {stage}, because {last['actor']} moved it there on "
        f"{last['created_at'][:10]} ({last['reason']})."
    )
    return Promotion(candidate, stage, (), False, False, sentence)


def newest(project: Project, what: str) -> dict[str, Any]:
    """Row of the candidate with that id, or of a slot's newest candidate.

    Raises
    ------
    NotFoundError
    """
    door = project.door
    if what in project.config.slots:
        rows = door.rows("candidates", slot=what, limit=1)
        if not rows:
            raise NotFoundError(f"{what} has no candidate yet", fix=f"run: podium finalize {what}")
        return rows[0]
    kind, row = door.find(what)
    if kind != "candidates":
        raise NotFoundError(f"'{what}' is one of the {kind}", "a candidate's id or a slot")
    return row


def _stage(name: str) -> Stage:
    if name not in list(Stage):
        raise NotFoundError(f"no stage '{name}'", fix=suggest(name, Stage))
    return Stage(name)


def policy_of(config: Config, slot: str) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Gates and limits of each stage of a slot: podium.toml's stages over the default ones.

    Raises
    ------
    NotFoundError
        No such policy.
    UsageError
        A gate has no such limit.
    """
    name = config.slot(slot).policy
    known = {**POLICIES, **config.policies}
    if name not in known:
        raise NotFoundError(f"slot {slot} names policy '{name}'", fix=suggest(name, known))
    policy = {**POLICIES.get(name, {}), **config.policies.get(name, {})}
    problems = [
        Problem(f"gate '{gate}' of policy '{name}' has no limit '{limit}'", fix=suggest(limit, has))
        for gates in policy.values()
        for gate, limits in gates.items()
        for has in [registry.load("gates", gate).LIMITS]
        for limit in limits
        if limit not in has
    ]
    if problems:
        raise UsageError.of(problems)
    return policy


def _judge(
    gates: Mapping[str, Mapping[str, float]],
    candidate: Mapping[str, Evidence],
    champion: Mapping[str, Evidence] | None,
) -> tuple[Verdict, ...]:
    return tuple(
        verdict(name, registry.load("gates", name), candidate, champion, limits)
        for name, limits in gates.items()
    )


def _known(project: Project, candidate: Candidate, stage: Stage) -> Promotion:
    """What the last decision about a candidate said."""
    # A kill right after that decision may have come before this file was written.
    write_champions(project)
    last = _last_move(project, candidate)
    verdicts = tuple(
        Verdict(v["gate"], Result(v["result"]), v["finding"], v["limits"])
        for v in (last["verdicts"] if last else ())
    )
    refused = last is not None and not last["accepted"]
    return Promotion(
        candidate, stage, verdicts, refused, False, _sentence(candidate, stage, verdicts, refused)
    )


def _last_move(project: Project, candidate: Candidate) -> dict[str, Any] | None:
    rows = project.door.rows("decisions", slot=candidate.slot)
    mine = (d for d in rows if d["candidate_id"] == candidate.id and d["kind"] == Kind.MOVE)
    return next(mine, None)


def _name(candidate: Candidate) -> str:
    return f"Version {candidate.version} of {candidate.slot} ({candidate.family})"


def _sentence(
    candidate: Candidate, stage: Stage, verdicts: tuple[Verdict, ...], refused: bool
) -> str:
    """What a colleague would say about it."""
    name = _name(candidate)
    if not refused:
        found = {v.gate: v.finding for v in verdicts}
        why = found.get("beats_naive") or found.get("macro_f1") or "; ".join(found.values())
        return f"{name} is {stage}: {why}." if why else f"{name} is {stage}."
    why = "; ".join(v.finding for v in verdicts if not v.passed)
    return f"{name} stays in {stage}, because {why}."


def require_promoted(promotion: Promotion) -> None:
    """Raise the refusal of a promotion, so that a command can end with its exit code.

    Raises
    ------
    RefusedError
    """
    if promotion.refused:
        raise RefusedError(
            promotion.sentence, fix=f"look at the evidence: podium show {promotion.candidate.id}"
        )


def write_champions(project: Project) -> None:
    """Rewrite the file that answers ``resolve`` when the record cannot be read, and ``best.pt``."""
    champions = {slot: asdict(holder) for slot, holder in project.door.champions().items()}
    text = json.dumps({"podium": 1, "champions": champions}, indent=2, sort_keys=True)
    write_atomic(project.root / CACHE, text + "\n")
    best_file.write(project)
