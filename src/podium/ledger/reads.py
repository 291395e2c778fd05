"""Reads of the driver: rows of the record as podium's types."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from numpy.typing import NDArray

from podium.candidate import Candidate
from podium.decision import Kind, Stage
from podium.errors import NotFoundError
from podium.evidence import SCHEMA, Evidence, Scalar
from podium.hashing import digest
from podium.ledger import schema
from podium.ledger.chain import changed_outside, decision_hash, row_hash
from podium.ledger.columns import json_column, stored_array
from podium.ledger.ledger import Transaction
from podium.ledger.statements import (
    fields,
    first,
    mine,
    select,
    select_everywhere,
    value,
    values,
)
from podium.record import nan_if_null
from podium.space import ConfigDict
from podium.trial import FINALIZE, UNCOUNTED, State


@dataclass(frozen=True)
class TrialRow:
    """A recorded trial, with its place in one study."""

    id: str
    phase: str
    number: int
    family: str
    config: ConfigDict
    config_hash: str
    split_hash: str
    fold: int
    seed: int
    state: State
    score: float
    loss_hash: str | None
    index_hash: str | None
    artifact_hash: str | None
    checkpoint: str | None
    seconds: float
    reason: str
    metric: str
    prediction_hash: str | None
    epochs: int


_TRIAL = fields(schema.trial, TrialRow)
_UNLINKED = {"phase": "", "number": 0}


def trials_of(tx: Transaction, study_id: str, *phases: str) -> list[TrialRow]:
    """Trials of a study in these phases, in the order in which it started them.

    A phase of a search, such as ``tune/start``, is part of the step's phase, ``tune``.
    """
    trial, link = schema.trial.c, schema.study_trial.c
    inside = [link.phase.startswith(f"{phase}/", autoescape=True) for phase in phases]
    rows = select(
        tx,
        [*_TRIAL, link.phase, link.number],
        link.trial_id == trial.id,
        link.study_id == study_id,
        sa.or_(link.phase.in_(phases), *inside),
        order=[link.phase, link.number],
    )
    trials = map(_trial, rows)
    return sorted(trials, key=lambda row: (row.phase.partition("/")[0], row.number))


def trials_by_id(tx: Transaction, ids: Sequence[str]) -> dict[str, TrialRow]:
    """Trials by their id, without phase and number."""
    rows = select(tx, _TRIAL, id=ids)
    return {row["id"]: _trial({**row, **_UNLINKED}) for row in rows}


def trials_by_key(tx: Transaction, keys: Sequence[str]) -> dict[str, TrialRow]:
    """Recorded trials by their key, without phase and number."""
    rows = select(tx, [schema.trial.c.key, *_TRIAL], key=keys)
    return {row["key"]: _trial({**row, **_UNLINKED}) for row in rows}


def _trial(row: Mapping[str, Any]) -> TrialRow:
    try:
        state, numbers = State(row["state"]), {n: nan_if_null(row[n]) for n in ("score", "seconds")}
    except ValueError:
        raise changed_outside(f"trial {row['id']}") from None
    plain = {name: row[name] for name in TrialRow.__dataclass_fields__}
    return TrialRow(**{**plain, **numbers, "state": state, "config": json_column(row, "config")})


def count_ended(tx: Transaction, keys: Sequence[str]) -> int:
    """Number of ended trials with these keys."""
    number = sa.func.count(schema.trial.c.id)
    return sum(values(tx, number, key=keys, state=[s for s in State if s.ended]))


def array(tx: Transaction, name: str) -> NDArray[Any]:
    """Stored array with this hash.

    Raises
    ------
    NotFoundError
    """
    return arrays(tx, [name])[name]


def arrays(tx: Transaction, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Stored arrays by their hash.

    Raises
    ------
    NotFoundError
        An array is missing.
    DataError
        An array differs from its hash.
    """
    blob = schema.blob.c
    rows = select(tx, [blob.hash, blob.dtype, blob.data], hash=sorted(set(names)))
    stored = {row["hash"]: stored_array(row) for row in rows}
    for name in names:
        if name not in stored:
            raise NotFoundError(f"no stored series {name[:12]}", fix="run: podium doctor")
    return stored


def results(
    tx: Transaction, trial_ids: Sequence[str], names: Sequence[str] | None = None
) -> list[tuple[str, str, float]]:
    """Trial, name and value of the recorded metrics of these trials; default: all metrics."""
    result = schema.result.c
    columns = [result.trial_id, result.metric, result.value]
    wanted = sa.true() if names is None else result.metric.in_(names)
    rows = select(tx, columns, wanted, trial_id=trial_ids)
    return [(row["trial_id"], row["metric"], nan_if_null(row["value"])) for row in rows]


def curves(
    tx: Transaction, trial_ids: Sequence[str], part: str, metric: str
) -> dict[str, list[float]]:
    """Values of one metric over the epochs of trials, by trial; empty where none was reported."""
    score = schema.score.c
    columns, order = [score.trial_id, score.value], [score.trial_id, score.epoch]
    rows = select(tx, columns, order=order, trial_id=trial_ids, part=part, metric=metric)
    by_trial: dict[str, list[float]] = {id_: [] for id_ in trial_ids}
    for row in rows:
        by_trial[row["trial_id"]].append(nan_if_null(row["value"]))
    return by_trial


def epochs_of(tx: Transaction, trial_id: str) -> dict[int, dict[str, float]]:
    """Reported values of a trial, by epoch and reported name."""
    score = schema.score.c
    columns = [score.part, score.metric, score.epoch, score.value]
    order = [score.epoch, score.part, score.metric]
    rows = select(tx, columns, score.part != "best", order=order, trial_id=trial_id)
    epochs: dict[int, dict[str, float]] = {}
    for row in rows:
        name = f"{row['part']}_{row['metric']}".removeprefix("_")
        epochs.setdefault(row["epoch"], {})[name] = nan_if_null(row["value"])
    return epochs


# Inputs of a step by name, or one text that stands for all of them.
Inputs = Mapping[str, Any] | str


@dataclass(frozen=True)
class Receipt:
    """Inputs by name and outputs of a completed step.

    Parameters
    ----------
    seq : int
        Place in the record; later receipts have larger ones.
    """

    seq: int
    inputs: Mapping[str, Any]
    inputs_hash: str
    outputs: Mapping[str, Any]


def hash_of(inputs: Inputs) -> str:
    """Lookup key of inputs: their SHA-256, or the text that stands for them."""
    return inputs if isinstance(inputs, str) else digest(inputs)


def receipt(tx: Transaction, slot: str, step: str, inputs: Inputs) -> dict[str, Any] | None:
    """Outputs of a step that is complete for these inputs, or None."""
    table = schema.receipt.c
    equal = {"slot": slot, "step": step, "inputs_hash": hash_of(inputs)}
    text = value(tx, table.outputs, order=table.seq.desc(), **equal)
    return None if text is None else json.loads(text)


def newest_receipts(tx: Transaction, slot: str, step: str, limit: int | None = 1) -> list[Receipt]:
    """Receipts of a slot's step, newest first; at most ``limit``, or all if that is None."""
    newest = schema.receipt.c.seq.desc()
    columns = fields(schema.receipt, Receipt)
    rows = select(tx, columns, order=newest, limit=limit, slot=slot, step=step)
    decoded = ({**row, **{k: json_column(row, k) for k in ("inputs", "outputs")}} for row in rows)
    return [Receipt(**row) for row in decoded]


def receipts(tx: Transaction, slot: str, step: str) -> list[dict[str, Any]]:
    """Outputs of a slot's step for all inputs, oldest first."""
    table = schema.receipt.c
    outputs = values(tx, table.outputs, order=table.seq, slot=slot, step=step)
    return [json.loads(text) for text in outputs]


def candidate_by_id(tx: Transaction, candidate_id: str) -> Candidate:
    """Candidate with this id.

    Raises
    ------
    NotFoundError
    """
    row = first(tx, fields(schema.candidate, Candidate), id=candidate_id)
    if row is None:
        raise NotFoundError(f"no candidate '{candidate_id}'", fix="run: podium list candidates")
    return Candidate(**{**row, "config": json_column(row, "config")})


def trial_of_artifact(tx: Transaction, artifact_hash: str) -> tuple[TrialRow, str] | None:
    """Trial that produced an artefact, and the newest study that looked at it."""
    trial, link = schema.trial.c, schema.study_trial.c
    columns = [*_TRIAL, link.phase, link.number, link.study_id]
    same, newest = link.trial_id == trial.id, link.seq.desc()
    row = first(tx, columns, same, order=newest, artifact_hash=artifact_hash)
    return None if row is None else (_trial(row), row["study_id"])


def evidence_of(tx: Transaction, candidate_id: str) -> dict[str, Evidence]:
    """Newest evidence of each kind about a candidate, by kind.

    Evidence about another artefact, or of an older schema, does not count.
    """
    own_hash = mine(tx, schema.candidate.c.artifact_hash, id=candidate_id).scalar_subquery()
    table = schema.evidence
    rows = select(
        tx,
        table,
        order=table.c.seq,
        candidate_id=candidate_id,
        artifact_hash=own_hash,
        schema=SCHEMA,
    )
    return {row["kind"]: _evidence(row) for row in rows}


def evidence_by_id(tx: Transaction, ids: Sequence[str]) -> list[Evidence]:
    """Evidence with these ids, in the order in which it was appended."""
    rows = select(tx, schema.evidence, order=schema.evidence.c.seq, id=ids)
    return [_evidence(row) for row in rows]


def _evidence(row: Mapping[str, Any]) -> Evidence:
    if row_hash(row) != row["hash"]:
        raise changed_outside(f"evidence {row['id']}")
    scalars = {
        name: Scalar(nan_if_null(number), unit, direction)
        for name, (number, unit, direction) in json_column(row, "scalars").items()
    }
    decoded = {name: json_column(row, name) for name in ("series", "notes")}
    plain = {name: row[name] for name in Evidence.__dataclass_fields__}
    return Evidence(**{**plain, **decoded, "scalars": scalars})


def champion_before(tx: Transaction, candidate_id: str) -> str | None:
    """The slot's champion at the decision of a candidate's first move, or None."""
    column = schema.decision.c.expected_champion
    return _of_first_decision(tx, candidate_id, Kind.MOVE, column)


def author_of(tx: Transaction, candidate_id: str) -> str:
    """Actor that registered a candidate; empty if not on record."""
    column = schema.decision.c.actor
    return _of_first_decision(tx, candidate_id, Kind.REGISTER, column) or ""


def _of_first_decision(
    tx: Transaction, candidate_id: str, kind: Kind, column: sa.Column[Any]
) -> Any | None:
    """Column value of the first decision of a kind about a candidate."""
    seq = schema.decision.c.seq
    return value(tx, column, order=seq, candidate_id=candidate_id, kind=kind)


_DECISION = schema.decision.c
# Built once: every promotion runs them, and building them takes longer than running them.
_MOVES = sa.select(schema.decision).where(_DECISION.project_id == sa.bindparam("project")).limit(1)
_MOVE_OF_CANDIDATE = _MOVES.where(
    _DECISION.candidate_id == sa.bindparam("candidate"), sa.text(schema.MOVES)
).order_by(_DECISION.seq.desc())
_OF_CHAMPIONS = _MOVES.where(_DECISION.slot == sa.bindparam("slot"), sa.text(schema.CHAMPION_MOVES))
_MOVE_OF_CHAMPION = _OF_CHAMPIONS.order_by(_DECISION.seq.desc())
_NEXT_CHAMPION = _OF_CHAMPIONS.where(_DECISION.seq > sa.bindparam("seq")).order_by(_DECISION.seq)


def stage_of(tx: Transaction, candidate_id: str) -> str | None:
    """Stage of a candidate, or None before it is registered.

    Raises
    ------
    DataError
        The decisions lead to another stage, or the newest one about it was changed.
    """
    table = schema.stage
    head = first(tx, [table.c.stage, table.c.decision_id], candidate_id=candidate_id)
    move, expected = _move(tx, _MOVE_OF_CANDIDATE, candidate=candidate_id), None
    if move is not None:
        expected = {"stage": move["to_stage"], "decision_id": move["id"]}
        if move["to_stage"] == Stage.CHAMPION:
            ended = _move(tx, _NEXT_CHAMPION, slot=move["slot"], seq=move["seq"])
            if ended is not None:
                expected = {"stage": Stage.ARCHIVED, "decision_id": ended["id"]}
    if head != expected:
        raise changed_outside(f"the stage of {candidate_id}")
    return None if head is None else str(head["stage"])


def champion_of(tx: Transaction, slot: str) -> str | None:
    """Candidate that holds a slot, or None.

    Raises
    ------
    DataError
        The decisions lead to another champion, or the newest one about it was changed.
    """
    table = schema.champion
    head = first(tx, [table.c.candidate_id, table.c.decision_id], slot=slot)
    move, expected = _move(tx, _MOVE_OF_CHAMPION, slot=slot), None
    if move is not None and move["to_stage"] == Stage.CHAMPION:
        expected = {"candidate_id": move["candidate_id"], "decision_id": move["id"]}
    if head != expected:
        holder = (head or expected or {}).get("candidate_id")
        raise changed_outside(f"the champion of {slot}, {holder},")
    return None if head is None else str(head["candidate_id"])


def require_decisions(tx: Transaction, slot: str) -> None:
    """Raise DataError where a decision about a slot differs from its hash."""
    for row in select(tx, schema.decision, slot=slot):
        _require_intact(row)


def _move(tx: Transaction, statement: sa.Select[Any], **about: Any) -> Mapping[str, Any] | None:
    """The first decision that a statement selects, after a comparison with its hash."""
    rows = tx.execute(statement, {"project": tx.project_id, **about}).mappings()
    for row in map(dict, rows):
        _require_intact(row)
        return row
    return None


def _require_intact(decision: Mapping[str, Any]) -> None:
    if decision_hash(decision) != decision["hash"]:
        raise changed_outside(f"decision {decision['id']}")


def of_slot(slot: str) -> list[sa.ColumnElement[bool]]:
    """Conditions on trials and links: a study of the slot looked at the trial."""
    trial, link, study = schema.trial.c, schema.study_trial.c, schema.study.c
    return [link.trial_id == trial.id, study.id == link.study_id, study.slot == slot]


@dataclass(frozen=True)
class TestedConfig:
    """One config that a study tested in some task, without its result.

    Parameters
    ----------
    project_id, slot : str
        Of the study.
    tickers : tuple of str
        Of the dataset; empty if it has none or is not on record.
    task : mapping
        Spec of the task; empty for imported and logged runs, which name neither task nor data.
    """

    project_id: str
    slot: str
    config_hash: str
    task_hash: str
    dataset_fingerprint: str
    timeframe: str
    tickers: tuple[str, ...]
    task: Mapping[str, Any]


def tested_configs(tx: Transaction, interval: tuple[str, str]) -> list[TestedConfig]:
    """Configs tested on an overlapping validation interval, in all projects of the record.

    Folds, seeds and training lengths of one config are one; pruned and failed configs count; a
    baseline counts if a study also looked at its config in another phase. Imported and logged runs
    name no bars, so they count as overlapping.
    """
    trial, split, study, link = (
        table.c for table in (schema.trial, schema.split, schema.study, schema.study_trial)
    )
    overlapping = sa.select(split.hash).where(
        split.validation_from <= interval[1], split.validation_to >= interval[0]
    )
    names = ("project_id", "config_hash", "task_hash", "dataset_fingerprint")
    rows = select_everywhere(
        tx,
        [*(trial[name] for name in names), study.slot],
        link.trial_id == trial.id,
        study.id == link.study_id,
        link.phase.not_in(UNCOUNTED),
        sa.or_(trial.split_hash == "", trial.split_hash.in_(overlapping)),
    )
    facts = _data_and_tasks(tx, rows)
    return [TestedConfig(**row, **facts(row)) for row in rows]


@dataclass(frozen=True)
class TestedTrial(TestedConfig):
    """The same with one trial's result."""

    metric: str
    score: float
    loss_hash: str | None
    prediction_hash: str | None


def tested_trials(tx: Transaction, index_hash: str, *, with_baselines: bool) -> list[TestedTrial]:
    """Trials on exactly these windows that a study of the project looked at, in their order."""
    trial, study, link = schema.trial.c, schema.study.c, schema.study_trial.c
    rows = select(
        tx,
        [*fields(schema.trial, TestedTrial), study.slot],
        link.trial_id == trial.id,
        study.id == link.study_id,
        link.phase.not_in([FINALIZE] if with_baselines else UNCOUNTED),
        trial.state.in_([State.COMPLETE, State.PRUNED]),
        order=link.seq,
        index_hash=index_hash,
    )
    facts = _data_and_tasks(tx, rows)
    return [
        TestedTrial(**{**row, "score": nan_if_null(row["score"])}, **facts(row)) for row in rows
    ]


def _data_and_tasks(
    tx: Transaction, rows: Sequence[Mapping[str, Any]]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Fields of :class:`TestedConfig` about the dataset and the task of a row."""
    dataset, task = schema.dataset.c, schema.task.c
    columns = [dataset.fingerprint, dataset.timeframe, dataset.tickers]
    fingerprints = {row["dataset_fingerprint"] for row in rows}
    datasets = {
        row["fingerprint"]: (row["timeframe"], tuple(json_column(row, "tickers")))
        for row in select_everywhere(tx, columns, fingerprint=fingerprints)
    }
    hashes = {row["task_hash"] for row in rows}
    specs = {
        row["hash"]: json_column(row, "spec")
        for row in select_everywhere(tx, [task.hash, task.spec], hash=hashes)
    }

    def facts(row: Mapping[str, Any]) -> dict[str, Any]:
        timeframe, tickers = datasets.get(row["dataset_fingerprint"], ("", ()))
        return {
            "timeframe": timeframe,
            "tickers": tickers,
            "task": specs.get(row["task_hash"], {}),
        }

    return facts
