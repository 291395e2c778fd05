"""Ask for a stage: gates read the evidence, the decision and its reasons go on record."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from podium import artifact, plugin, registry
from podium.candidate import Candidate
from podium.decision import (
    Decision,
    Kind,
    Result,
    Stage,
    Verdict,
    require_move,
    waits_for_signatures,
)
from podium.errors import NotFoundError, Problems, RefusedError, UsageError, suggest
from podium.evidence import Evidence
from podium.files import write_atomic
from podium.gates._base import verdict
from podium.hashing import new_id
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import now
from podium.resolve import CACHE
from podium.steps.trials.once import outputs_of
from podium.steps.workspace import best_file, hooks, recorded
from podium.steps.workspace.policy import policy_of
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_candidate

STEP = "promote"


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


@on_candidate("promote", judged=True)
def promote(
    project: Project,
    candidate_id: str,
    to: str = "champion",
    *,
    reason: str = "",
    waive: Collection[str] = (),
    dry_run: bool = False,
) -> Promotion:
    """Move a candidate towards a stage as far as its gates let it.

    On the way to champion a candidate in development or archived first becomes beta; each move is
    a decision of its own. A refusal is recorded too and moves nothing.

    Parameters
    ----------
    candidate_id : str
        A candidate's id, or a slot: its newest judged candidate.
    to : {"beta", "champion", "development", "archived"}
    reason : str
        Why; kept with the decision.
    waive : collection of str
        Gates that need not pass this time. Each is a decision of its own, and the verdict says for
        ever what the gate found and who waived it why.
    dry_run : bool
        Judge every gate on the way, put nothing on record and move nothing.

    Raises
    ------
    UsageError
        A gate is waived that is not asked, or without a reason.
    RefusedError
        The move is not one of the nine, or a file of the artefact may run code.
    DataError
        The artefact is not what was judged.
    ConflictError
        The slot's champion changed while this was decided.
    """
    ledger = project.ledger
    target = _stage(to)
    asked = _read(project, candidate_id)
    candidate, current, policy = asked.candidate, asked.stage, asked.policy
    champion = recorded.evidence(project, asked.champion_id) if asked.champion_id else None
    folder = project.store / candidate.artifact_path
    if target in (Stage.BETA, Stage.CHAMPION):
        artifact.require_servable(folder, candidate.artifact_hash)
    else:
        artifact.verify(folder, candidate.artifact_hash)
    start = current
    if current is target:
        return _known(project, candidate, current)
    through = path(current, target)
    _require_waivable({gate for step in through for gate in policy.get(step, {})}, waive, reason)

    def judged(step: Stage) -> tuple[Verdict, ...]:
        return tuple(
            verdict(name, registry.load("gates", name), asked.evidence, champion, limits)
            for name, limits in policy.get(step, {}).items()
        )

    if dry_run:
        by_gate = {v.gate: v for step in through for v in judged(step)}
        verdicts = tuple(_waived(project, v, waive, reason) for v in by_gate.values())
        refused = not all(v.passed for v in verdicts)
        sentence = _would(candidate, current, target, verdicts, refused)
        return Promotion(candidate, current, verdicts, refused, False, sentence)
    if outputs_of(project, candidate.slot, STEP, asked.request(to, waive)) is not None:
        return _known(project, candidate, current)
    verdicts = ()
    made: list[Decision] = []
    refused = False
    for step in through:
        found = judged(step)
        verdicts = tuple(_waived(project, v, waive, reason) for v in found)
        refused = not all(v.passed for v in verdicts)
        common: dict[str, Any] = {
            "slot": candidate.slot,
            "candidate_id": candidate_id,
            "from_stage": current,
            "to_stage": step,
            "actor": project.actor,
            "reason": reason or "asked for by podium",
            "expected_champion": asked.champion_id,
            "policy": policy.get(step, {}),
            "evidence": asked.ids,
            "created_at": now(),
        }
        made += [
            Decision(id=new_id("d"), kind=Kind.WAIVE, accepted=True, verdicts=(before,), **common)
            for before, after in zip(found, verdicts, strict=True)
            if after.result is Result.WAIVED
        ]
        made.append(
            Decision(
                id=new_id("d"), kind=Kind.MOVE, accepted=not refused, verdicts=verdicts, **common
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
            again = replace(asked, stage=current).request(to, waive)
            writes.put_receipt(ledger, tx, candidate.slot, STEP, again, {"decision": made[-1].id})
    write_champions(project)
    sentence = _sentence(candidate, current, verdicts, refused)
    project.log.line(sentence, slot=candidate.slot)
    moves = [decision for decision in made if decision.accepted and decision.kind is Kind.MOVE]
    if moves:
        told = _sentence(candidate, current, moves[-1].verdicts, False)
        hooks.moved(project, candidate, start, moves[-1], asked.champion_id, told)
    if refused and waits_for_signatures(verdicts):
        hooks.waits(project, candidate, made[-1], sentence)
    return Promotion(candidate, current, verdicts, refused, True, sentence)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What a request to move a candidate meets."""

    candidate: Candidate
    stage: Stage
    evidence: Mapping[str, Evidence]
    champion_id: str | None
    policy: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the evidence."""
        return tuple(sorted(one.id for one in self.evidence.values()))

    def request(self, to: str, waive: Collection[str] = ()) -> dict[str, Any]:
        """Everything that a refusal depends on, by name."""
        # What a gate that is a plugin holds; podium's own are known by their names.
        own = plugin.versions(("gates", gate) for gates in self.policy.values() for gate in gates)
        return {
            "candidate": self.candidate.id,
            "stage": self.stage,
            "to": to,
            "champion": self.champion_id or "none",
            **_policy_inputs(self.policy),
            "evidence": [*self.ids],
            "waived": sorted(waive),
            **{f"plugin {name}": version for name, version in own.items()},
        }


def _read(project: Project, candidate_id: str) -> _Asked:
    ledger = project.ledger
    with ledger.reading() as tx:
        candidate = reads.candidate_by_id(ledger, tx, candidate_id)
        stage = Stage(reads.stage_of(ledger, tx, candidate_id) or Stage.DEVELOPMENT)
        evidence = reads.evidence_of(ledger, tx, candidate_id)
        holder = reads.champion_of(ledger, tx, candidate.slot)
    return _Asked(candidate, stage, evidence, holder, policy_of(project.config, candidate.slot))


def inputs(project: Project, candidate: Candidate) -> dict[str, Any]:
    """Everything that asking to make a candidate champion depends on, by name."""
    return _read(project, candidate.id).request(Stage.CHAMPION)


def policy_inputs(project: Project, slot: str) -> dict[str, Any]:
    """Inputs of a decision about a candidate that is not made yet: the policy of its slot."""
    return {**_policy_inputs(policy_of(project.config, slot)), "candidate": None}


def _policy_inputs(policy: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, str]:
    return {f"policy.{stage}": _gates_of(policy.get(stage, {})) for stage in Stage}


def _gates_of(gates: Mapping[str, Mapping[str, float]]) -> str:
    """Gates with the limits that are set, in one line."""
    limits = {gate: ", ".join(f"{k} {v:g}" for k, v in its.items()) for gate, its in gates.items()}
    return ", ".join(f"{gate} ({told})" if told else gate for gate, told in limits.items())


def on_record(project: Project, candidate: Candidate) -> str:
    """How a candidate stands for whom asking to make it champion would change nothing, or ``""``.

    Nothing is written.
    """
    asked = _read(project, candidate.id)
    if asked.stage is Stage.CHAMPION:
        return f"{candidate.id} is champion"
    if outputs_of(project, candidate.slot, STEP, asked.request(Stage.CHAMPION)) is not None:
        return f"{candidate.id} was refused on this evidence"
    return f"{candidate.id} was moved to {asked.stage}" if demoted(project, candidate) else ""


def path(current: Stage, target: Stage) -> list[Stage]:
    """Stages to go through; on the way to champion everybody is beta first.

    Raises
    ------
    RefusedError
        A move is not one of the nine.
    """
    through = [target]
    if target is Stage.CHAMPION and current in (Stage.DEVELOPMENT, Stage.ARCHIVED):
        through = [Stage.BETA, Stage.CHAMPION]
    for here, there in pairwise([current, *through]):
        require_move(here, there)
    return through


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


def _stage(name: str) -> Stage:
    if name not in list(Stage):
        raise NotFoundError(f"no stage '{name}'", fix=suggest(name, Stage))
    return Stage(name)


def _require_waivable(asked: Collection[str], waive: Collection[str], reason: str) -> None:
    """Refuse to waive what nobody asks, or without a word why."""
    problems = Problems()
    for gate in waive:
        found = f"gate '{gate}' is not asked here, so it cannot be waived"
        problems.require_known(gate, asked, found)
    if waive and not reason.strip():
        problems.add("a gate is waived without a reason", "--reason TEXT")
    UsageError.raise_for(problems)


def _waived(project: Project, found: Verdict, waive: Collection[str], reason: str) -> Verdict:
    """The verdict, or that somebody waived it, which says what the gate had found."""
    if found.passed or found.gate not in waive:
        return found
    told = (
        f"waived by {project.actor}: {reason.strip()} (the gate: {found.result}, {found.finding})"
    )
    return replace(found, result=Result.WAIVED, finding=told)


def _known(project: Project, candidate: Candidate, stage: Stage) -> Promotion:
    """What the last decision about a candidate said."""
    # A kill right after that decision may have come before this file was written.
    write_champions(project)
    last = _last_move(project, candidate)
    verdicts = verdicts_of(last) if last else ()
    refused = last is not None and not last["accepted"]
    return Promotion(
        candidate, stage, verdicts, refused, False, _sentence(candidate, stage, verdicts, refused)
    )


def verdicts_of(decision: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """Verdicts of a decision's row."""
    return tuple(Verdict.read(fields) for fields in decision["verdicts"])


def _last_move(project: Project, candidate: Candidate) -> dict[str, Any] | None:
    rows = project.reader.rows("decisions", slot=candidate.slot)
    moves = (Kind.MOVE, Kind.ROLLBACK)
    mine = (d for d in rows if d["candidate_id"] == candidate.id and d["kind"] in moves)
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
    # Several gates may miss the same evidence.
    why = "; ".join(dict.fromkeys(v.finding for v in verdicts if not v.passed))
    return f"{name} stays in {stage}, because {why}."


def _would(
    candidate: Candidate, stage: Stage, to: Stage, verdicts: tuple[Verdict, ...], refused: bool
) -> str:
    """What a colleague would say of a request that was only tried."""
    if refused:
        return _sentence(candidate, stage, verdicts, refused).replace("stays", "would stay", 1)
    return f"{_name(candidate)} would be {to}; nothing was put on record."


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
    champions = {slot: vars(holder) for slot, holder in project.reader.champions().items()}
    text = json.dumps({"podium": 1, "champions": champions}, indent=2, sort_keys=True)
    write_atomic(project.root / CACHE, text + "\n")
    best_file.write(project)
