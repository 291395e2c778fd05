"""Move a candidate to a stage: gates read its evidence, and the decision goes on record."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from podium import artifact, plugin, registry
from podium.candidate import Candidate
from podium.decision import (
    AUTOMATIC,
    NO_REASON,
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
from podium.ledger import decisions, reads, writes
from podium.ledger.ledger import now
from podium.project_file import CACHE
from podium.render.answer import Answer
from podium.render.table import cell
from podium.steps.trials.once import outputs_of
from podium.steps.workspace import best_file, hooks, recorded
from podium.steps.workspace.policy import policy_of
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_candidate

STEP = "promote"
# Seconds to wait for another verb on the slot: most decisions take less than one.
PATIENCE = 30.0


@dataclass(frozen=True)
class Promotion(Answer):
    """A request for a stage and its outcome: the result of ``promote``.

    Parameters
    ----------
    candidate : Candidate
    stage : Stage
        Stage of the candidate now.
    verdicts : tuple of Verdict
        Of every gate on the way.
    refused : bool
    fresh : bool
        False when the same request on the same evidence was decided before.
    sentence : str
    """

    candidate: Candidate
    stage: Stage
    verdicts: tuple[Verdict, ...]
    refused: bool
    fresh: bool
    sentence: str

    def rows(self) -> list[dict[str, Any]]:
        """Verdict of each gate."""
        rows = self.verdicts
        return [{"gate": v.gate, "result": str(v.result), "finding": v.finding} for v in rows]


@on_candidate("promote", judged=True, patience=PATIENCE)
def promote(
    project: Project,
    candidate_id: str,
    to: str = "champion",
    *,
    reason: str = "",
    waive: Collection[str] = (),
    dry_run: bool = False,
) -> Promotion:
    """Move a candidate towards a stage as far as its gates pass it.

    On the way to champion a candidate in development or archived first becomes beta; each move is
    one decision. A refusal is recorded too and moves nothing.

    Parameters
    ----------
    candidate_id : str
        A candidate's id, or a slot: its newest judged candidate.
    to : {"beta", "champion", "development", "archived"}
    reason : str
        Recorded with the decision. A refusal is repeated from the record unless this reason, or
        the person who gives it, is another one.
    waive : collection of str
        Gates that need not pass this time. Each waiver is one decision; the verdict keeps the
        gate's finding, the person and the reason.
    dry_run : bool
        Evaluate every gate on the way; record and move nothing.

    Returns
    -------
    Promotion
        A refusal is a result too; :func:`require_promoted` raises it.

    Raises
    ------
    UsageError
        A waived gate is not in the policy, or is waived without a reason.
    RefusedError
        The move is not one of the nine, or a file of the artefact may run code.
    DataError
        The artefact has changed since it was judged.
    ConflictError
        The slot's champion changed meanwhile.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").promote(dry_run=True).refused
    True
    """
    ledger = project.ledger
    target = _stage(to)
    request = _read(project, candidate_id)
    candidate, current, policy = request.candidate, request.stage, request.policy
    champion = recorded.evidence(project, request.champion_id) if request.champion_id else None
    serves = target in (Stage.BETA, Stage.CHAMPION)
    check = artifact.require_servable if serves else artifact.verify
    check(project.store / candidate.artifact_path, candidate.artifact_hash)
    start = current
    if current is target:
        return _known(project, candidate, current)
    reason = reason.strip()
    through = path(current, target)
    _require_waivable({gate for step in through for gate in policy.get(step, {})}, waive, reason)

    def judge(step: Stage) -> tuple[Verdict, ...]:
        return tuple(
            verdict(name, registry.load("gates", name), request.evidence, champion, limits)
            for name, limits in policy.get(step, {}).items()
        )

    if dry_run:
        ledger.read(decisions.require_unchanged, candidate_id, request.ids)
        by_gate = {v.gate: v for step in through for v in judge(step)}
        verdicts = tuple(_waived(project, v, waive, reason) for v in by_gate.values())
        refused = not all(v.passed for v in verdicts)
        sentence = _dry_sentence(candidate, current, target, verdicts, refused)
        return Promotion(candidate, current, verdicts, refused, False, sentence)
    known = outputs_of(project, candidate.slot, STEP, request.inputs(to, waive))
    if known is not None:
        before = project.reader.first("decision", "actor, reason", id=known["decision"])
        if reason in AUTOMATIC or before == {"actor": project.actor, "reason": reason}:
            return _known(project, candidate, current, known["decision"])
    verdicts, refused = (), False
    made: list[Decision] = []
    for step in through:
        judged = judge(step)
        verdicts = tuple(_waived(project, v, waive, reason) for v in judged)
        refused = not all(v.passed for v in verdicts)
        common: dict[str, Any] = {
            "slot": candidate.slot,
            "candidate_id": candidate_id,
            "from_stage": current,
            "to_stage": step,
            "actor": project.actor,
            "reason": reason or NO_REASON,
            "expected_champion": request.champion_id,
            "policy": policy.get(step, {}),
            "evidence": request.ids,
            "created_at": now(),
        }
        made += [
            Decision(kind=Kind.WAIVE, accepted=True, verdicts=(before,), **common)
            for before, after in zip(judged, verdicts, strict=True)
            if after.result is Result.WAIVED
        ]
        made.append(Decision(kind=Kind.MOVE, accepted=not refused, verdicts=verdicts, **common))
        if refused:
            break
        current = step
    with ledger.transaction(durable=True) as tx:
        for decision in made:
            decisions.decide(tx, decision)
        if refused:
            # The same request from the present stage has the same answer on the same evidence.
            again = replace(request, stage=current).inputs(to, waive)
            writes.put_receipt(tx, candidate.slot, STEP, again, {"decision": made[-1].id})
    write_champions(project)
    moves = [decision for decision in made if decision.accepted and decision.kind is Kind.MOVE]
    sentence = _sentence(candidate, current, verdicts, refused, reason)
    if refused and moves:
        sentence = _partly(candidate, start, moves[-1].verdicts, sentence)
    project.log.line(sentence, slot=candidate.slot)
    if moves:
        message = _sentence(candidate, current, moves[-1].verdicts, False, reason)
        hooks.moved(project, candidate, start, moves[-1], request.champion_id, message)
    if refused and waits_for_signatures(verdicts):
        hooks.waits(project, candidate, made[-1], sentence)
    return Promotion(candidate, current, verdicts, refused, True, sentence)


@dataclass(frozen=True, eq=False)
class _Request:
    """A candidate, its stage and evidence, the champion and the policy at the time of a request."""

    candidate: Candidate
    stage: Stage
    evidence: Mapping[str, Evidence]
    champion_id: str | None
    policy: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the evidence."""
        return tuple(sorted(one.id for one in self.evidence.values()))

    def inputs(self, to: str, waive: Collection[str] = ()) -> dict[str, Any]:
        """Inputs of a refusal by name."""
        # Versions of gates that are plugins.
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


def _read(project: Project, candidate_id: str) -> _Request:
    ledger = project.ledger
    with ledger.reading() as tx:
        candidate = reads.candidate_by_id(tx, candidate_id)
        stage = Stage(reads.stage_of(tx, candidate_id) or Stage.DEVELOPMENT)
        evidence = reads.evidence_of(tx, candidate_id)
        holder = reads.champion_of(tx, candidate.slot)
    return _Request(candidate, stage, evidence, holder, policy_of(project.config, candidate.slot))


def inputs(project: Project, candidate: Candidate) -> dict[str, Any]:
    """Inputs of the request to make a candidate champion by name."""
    return _read(project, candidate.id).inputs(Stage.CHAMPION)


def policy_inputs(project: Project, slot: str) -> dict[str, Any]:
    """Inputs of a decision about a candidate that is not made yet: the policy of its slot."""
    return {**_policy_inputs(policy_of(project.config, slot)), "candidate": None}


def _policy_inputs(policy: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, str]:
    return {f"policy.{stage}": _gates_of(policy.get(stage, {})) for stage in Stage}


def _gates_of(gates: Mapping[str, Mapping[str, float]]) -> str:
    """Gates with the limits that are set, in one line."""
    limits = {gate: ", ".join(f"{k} {v:g}" for k, v in its.items()) for gate, its in gates.items()}
    return ", ".join(f"{gate} ({values})" if values else gate for gate, values in limits.items())


def on_record(project: Project, candidate: Candidate) -> str:
    """Why a request to make a candidate champion would change nothing; empty: it would."""
    request = _read(project, candidate.id)
    if request.stage is Stage.CHAMPION:
        return f"{candidate.id} is champion"
    if outputs_of(project, candidate.slot, STEP, request.inputs(Stage.CHAMPION)) is not None:
        return f"{candidate.id} was refused on this evidence"
    return f"{candidate.id} was moved to {request.stage}" if demoted(project, candidate) else ""


def path(current: Stage, target: Stage) -> list[Stage]:
    """Stages on the way; every candidate is beta before it is champion.

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
    """Result for a candidate that a person took out of use, or None.

    A run does not promote a candidate that a person archived or removed as champion, though its
    gates pass; ``podium promote`` does.
    """
    last = next(iter(_moves(project, candidate)), None)
    if last is None or not last["accepted"]:
        return None
    if last["to_stage"] != Stage.ARCHIVED and last["from_stage"] != Stage.CHAMPION:
        return None
    stage = Stage(last["to_stage"])
    moved = f"{last['actor']} moved it there on {last['created_at'][:10]} ({cell(last['reason'])})"
    sentence = f"{candidate.name} stays in {stage}, because {moved}."
    return Promotion(candidate, stage, (), False, False, sentence)


def _stage(name: str) -> Stage:
    if name not in list(Stage):
        raise NotFoundError(f"no stage '{name}'", fix=suggest(name, Stage))
    return Stage(name)


def _require_waivable(gates: Collection[str], waive: Collection[str], reason: str) -> None:
    """Raise where a waived gate is not in the policy, or no reason is given."""
    problems = Problems()
    for gate in waive:
        problems.require_known(gate, gates, f"--waive {gate}: the policy does not use this gate")
    if waive and not reason.strip():
        problems.add("a gate is waived without a reason", "--reason TEXT")
    UsageError.raise_for(problems)


def _waived(project: Project, before: Verdict, waive: Collection[str], reason: str) -> Verdict:
    """The verdict, or the waiver with the gate's own result and finding."""
    if before.passed or before.gate not in waive:
        return before
    gate = f"the gate: {before.result}, {before.finding}"
    finding = f"waived by {project.actor}: {reason.strip()} ({gate})"
    return replace(before, result=Result.WAIVED, finding=finding)


def _known(
    project: Project, candidate: Candidate, stage: Stage, refusal: str | None = None
) -> Promotion:
    """Result of a refusal by its id, else of the decision that moved a candidate to its stage."""
    # A kill after that decision may have prevented this file.
    write_champions(project)
    moves = _moves(project, candidate)
    last = next(
        (
            d
            for d in moves
            if (d["id"] == refusal if refusal else d["accepted"] and d["to_stage"] == stage)
        ),
        None,
    )
    verdicts, refused = verdicts_of(last) if last else (), refusal is not None
    sentence = _sentence(candidate, stage, verdicts, refused, last["reason"] if last else "")
    return Promotion(candidate, stage, verdicts, refused, False, sentence)


def verdicts_of(decision: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """Verdicts of a decision's row."""
    return tuple(Verdict.read(fields) for fields in decision["verdicts"])


def _moves(project: Project, candidate: Candidate) -> list[dict[str, Any]]:
    """Decisions about a candidate's stage, the newest first."""
    rows = project.reader.rows("decisions", slot=candidate.slot)
    moves = (Kind.MOVE, Kind.ROLLBACK)
    return [d for d in rows if d["candidate_id"] == candidate.id and d["kind"] in moves]


def _finding(verdicts: tuple[Verdict, ...]) -> str:
    """The main finding of gates that pass; empty if there are none."""
    findings = {v.gate: v.finding for v in verdicts}
    return (
        findings.get("beats_baseline") or findings.get("macro_f1") or "; ".join(findings.values())
    )


def _sentence(
    candidate: Candidate,
    stage: Stage,
    verdicts: tuple[Verdict, ...],
    refused: bool,
    reason: str = "",
) -> str:
    name = candidate.name
    if not refused:
        typed = "" if reason in AUTOMATIC else reason
        why = cell("; ".join(filter(None, [typed, _finding(verdicts)])))
        return f"{name} is {stage}: {why}." if why else f"{name} is {stage}."
    # Several gates may lack the same evidence.
    why = "; ".join(dict.fromkeys(v.finding for v in verdicts if not v.passed))
    return f"{name} stays in {stage}, because {why}."


def _partly(candidate: Candidate, start: Stage, passed: tuple[Verdict, ...], refusal: str) -> str:
    """Sentence on a candidate that moved on the way to the stage that it is refused."""
    why = _finding(passed)
    moved = f"moved from {start} to {Stage.BETA}{f' ({why})' if why else ''} and"
    return refusal.replace(candidate.name, f"{candidate.name} {moved}", 1)


def _dry_sentence(
    candidate: Candidate, stage: Stage, to: Stage, verdicts: tuple[Verdict, ...], refused: bool
) -> str:
    if refused:
        return _sentence(candidate, stage, verdicts, refused).replace("stays", "would stay", 1)
    return f"{candidate.name} would be {to}; nothing was put on record."


def require_promoted(promotion: Promotion) -> None:
    """Raise RefusedError for a refused promotion, for the exit code of a command."""
    if promotion.refused:
        gates = ", ".join(one.gate for one in promotion.verdicts if not one.passed)
        raise RefusedError(
            f"{promotion.candidate.name} is {promotion.stage} and is refused by {gates}",
            fix=f"look at the evidence: podium show {promotion.candidate.id}",
        )


def write_champions(project: Project) -> None:
    """Rewrite ``best.pt`` and the file that ``resolve`` reads without a readable record."""
    reader = project.reader
    sequence = reader.sequence()
    champions = {slot: vars(holder) for slot, holder in reader.champions().items()}
    content = {"podium": 1, "sequence": sequence, "champions": champions}
    text = json.dumps(content, indent=2, sort_keys=True)
    write_atomic(project.root / CACHE, text + "\n")
    best_file.write(project)
