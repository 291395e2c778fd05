"""What the driver reads back from the record, as nouns."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from podium.candidate import Candidate
from podium.decision import Kind
from podium.errors import NotFoundError
from podium.evidence import SCHEMA, Evidence, Scalar
from podium.hashing import digest
from podium.ledger import schema
from podium.ledger.ledger import Ledger
from podium.ledger.statements import fields, first, mine, select, value, values
from podium.record import nan_if_null
from podium.space import ConfigDict
from podium.trial import BASELINES, State


@dataclass(frozen=True)
class TrialRow:
    """A trial as the record has it, with its place in one study."""

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
    # What its score is of.
    metric: str
    prediction_hash: str | None
    # How many it has had.
    epochs: int


_TRIAL = fields(schema.trial, TrialRow)
_UNLINKED = {"phase": "", "number": 0}


def trials_of(ledger: Ledger, tx: sa.Connection, study_id: str, *phases: str) -> list[TrialRow]:
    """Trials a study looked at in these phases, in the order it asked for them.

    A phase of a search, such as ``tune/start``, is part of the step's, ``tune``.
    """
    trial, link = schema.trial.c, schema.study_trial.c
    inside = [link.phase.startswith(f"{phase}/", autoescape=True) for phase in phases]
    rows = select(
        ledger,
        tx,
        [*_TRIAL, link.phase, link.number],
        link.trial_id == trial.id,
        link.study_id == study_id,
        sa.or_(link.phase.in_(phases), *inside),
        order=[link.phase, link.number],
    )
    found = [_trial(row) for row in rows]
    return sorted(found, key=lambda row: (row.phase.partition("/")[0], row.number))


def trials_by_id(ledger: Ledger, tx: sa.Connection, ids: Sequence[str]) -> dict[str, TrialRow]:
    """Trials by their id; outside any study, so without phase and number."""
    rows = select(ledger, tx, _TRIAL, id=ids)
    return {row["id"]: _trial({**row, **_UNLINKED}) for row in rows}


def trials_by_key(ledger: Ledger, tx: sa.Connection, keys: Sequence[str]) -> dict[str, TrialRow]:
    """Trials by their key, where they are on record; without phase and number."""
    rows = select(ledger, tx, [schema.trial.c.key, *_TRIAL], key=keys)
    return {row["key"]: _trial({**row, **_UNLINKED}) for row in rows}


def _trial(row: Mapping[str, Any]) -> TrialRow:
    return TrialRow(
        **{
            **{name: row[name] for name in TrialRow.__dataclass_fields__},
            "config": json.loads(row["config"]),
            "state": State(row["state"]),
            "score": nan_if_null(row["score"]),
            "seconds": nan_if_null(row["seconds"]),
        }
    )


def count_ended(ledger: Ledger, tx: sa.Connection, keys: Sequence[str]) -> int:
    """How many trials with these keys have ended."""
    number = sa.func.count(schema.trial.c.id)
    return sum(values(ledger, tx, number, key=keys, state=[s for s in State if s.ended]))


def array(ledger: Ledger, tx: sa.Connection, name: str) -> NDArray[Any]:
    """Stored array of that hash.

    Raises
    ------
    NotFoundError
    """
    found = arrays(ledger, tx, [name])
    if not found:
        raise NotFoundError(f"no stored series {name[:12]}", fix="run: podium doctor")
    return found[name]


def arrays(ledger: Ledger, tx: sa.Connection, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Stored arrays by their hash; those that are not there are left out."""
    blob = schema.blob.c
    rows = select(ledger, tx, [blob.hash, blob.dtype, blob.data], hash=sorted(set(names)))
    return {row["hash"]: np.frombuffer(row["data"], dtype=np.dtype(row["dtype"])) for row in rows}


def results(
    ledger: Ledger,
    tx: sa.Connection,
    trial_ids: Sequence[str],
    names: Sequence[str] | None = None,
) -> list[tuple[str, str, float]]:
    """Trial, name and value of the metrics of these trials on record; default: all metrics."""
    result = schema.result.c
    columns = [result.trial_id, result.metric, result.value]
    wanted = sa.true() if names is None else result.metric.in_(names)
    rows = select(ledger, tx, columns, wanted, trial_id=trial_ids)
    return [(row["trial_id"], row["metric"], nan_if_null(row["value"])) for row in rows]


def curves(
    ledger: Ledger, tx: sa.Connection, trial_ids: Sequence[str], part: str, metric: str
) -> dict[str, list[float]]:
    """Values of one metric over the epochs of trials, by trial; empty where none was reported."""
    score = schema.score.c
    rows = select(
        ledger,
        tx,
        [score.trial_id, score.value],
        order=[score.trial_id, score.epoch],
        trial_id=trial_ids,
        part=part,
        metric=metric,
    )
    found: dict[str, list[float]] = {id_: [] for id_ in trial_ids}
    for row in rows:
        found[row["trial_id"]].append(nan_if_null(row["value"]))
    return found


def epochs_of(ledger: Ledger, tx: sa.Connection, trial_id: str) -> dict[int, dict[str, float]]:
    """Everything a trial reported, by epoch and the name it was reported under."""
    score = schema.score.c
    rows = select(
        ledger,
        tx,
        [score.part, score.metric, score.epoch, score.value],
        score.part != "best",
        order=[score.epoch, score.part, score.metric],
        trial_id=trial_id,
    )
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        name = f"{row['part']}_{row['metric']}".removeprefix("_")
        found.setdefault(row["epoch"], {})[name] = nan_if_null(row["value"])
    return found


# What went into a step, by name; or one text for all of it.
Inputs = Mapping[str, Any] | str


@dataclass(frozen=True)
class Receipt:
    """A step that is complete: what went in, by name, and what came out.

    Parameters
    ----------
    seq : int
        Place in the record: a later receipt has a larger one.
    """

    seq: int
    inputs: Mapping[str, Any]
    inputs_hash: str
    outputs: Mapping[str, Any]


def hash_of(inputs: Inputs) -> str:
    """What inputs are looked up by: their SHA-256, or the text that stands for them."""
    return inputs if isinstance(inputs, str) else digest(inputs)


def receipt(
    ledger: Ledger, tx: sa.Connection, slot: str, step: str, inputs: Inputs
) -> dict[str, Any] | None:
    """Outputs of a step that is complete for these inputs, or None."""
    table = schema.receipt.c
    wanted = {"slot": slot, "step": step, "inputs_hash": hash_of(inputs)}
    found = value(ledger, tx, table.outputs, order=table.seq.desc(), **wanted)
    return None if found is None else json.loads(found)


def newest_receipts(
    ledger: Ledger, tx: sa.Connection, slot: str, step: str, limit: int | None = 1
) -> list[Receipt]:
    """What a step of a slot did last, the newest first; at most ``limit`` of them, None: all."""
    newest = schema.receipt.c.seq.desc()
    columns = fields(schema.receipt, Receipt)
    rows = select(ledger, tx, columns, order=newest, limit=limit, slot=slot, step=step)
    return [
        Receipt(
            row["seq"], json.loads(row["inputs"]), row["inputs_hash"], json.loads(row["outputs"])
        )
        for row in rows
    ]


def receipts(ledger: Ledger, tx: sa.Connection, slot: str, step: str) -> list[dict[str, Any]]:
    """Outputs of a step of a slot, for whatever inputs, the oldest first."""
    table = schema.receipt.c
    found = values(ledger, tx, table.outputs, order=table.seq, slot=slot, step=step)
    return [json.loads(text) for text in found]


def candidate_by_id(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> Candidate:
    """A candidate.

    Raises
    ------
    NotFoundError
    """
    row = first(ledger, tx, fields(schema.candidate, Candidate), id=candidate_id)
    if row is None:
        raise NotFoundError(f"no candidate '{candidate_id}'", fix="run: podium list candidates")
    return Candidate(**{**row, "config": json.loads(row["config"])})


def trial_of_artifact(
    ledger: Ledger, tx: sa.Connection, artifact_hash: str
) -> tuple[TrialRow, str] | None:
    """The trial that left an artefact, and the newest study that looked at it."""
    trial, link = schema.trial.c, schema.study_trial.c
    row = first(
        ledger,
        tx,
        [*_TRIAL, link.phase, link.number, link.study_id],
        link.trial_id == trial.id,
        order=link.seq.desc(),
        artifact_hash=artifact_hash,
    )
    return None if row is None else (_trial(row), row["study_id"])


def evidence_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> dict[str, Evidence]:
    """Newest evidence of each kind about a candidate, by kind.

    What was found about another artefact, or written in an older form, does not count.
    """
    its = mine(ledger, schema.candidate.c.artifact_hash, id=candidate_id).scalar_subquery()
    rows = select(
        ledger,
        tx,
        fields(schema.evidence, Evidence),
        order=schema.evidence.c.seq,
        candidate_id=candidate_id,
        artifact_hash=its,
        schema=SCHEMA,
    )
    return {row["kind"]: _evidence(row) for row in rows}


def evidence_by_id(ledger: Ledger, tx: sa.Connection, ids: Sequence[str]) -> list[Evidence]:
    """Findings of these ids, in the order they were appended."""
    columns = fields(schema.evidence, Evidence)
    rows = select(ledger, tx, columns, order=schema.evidence.c.seq, id=ids)
    return [_evidence(row) for row in rows]


def _evidence(row: Mapping[str, Any]) -> Evidence:
    scalars = {
        name: Scalar(nan_if_null(number), unit, direction)
        for name, (number, unit, direction) in json.loads(row["scalars"]).items()
    }
    told = {name: json.loads(row[name]) for name in ("series", "notes")}
    return Evidence(**{**row, **told, "scalars": scalars})


def champion_before(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str | None:
    """The slot's champion when the first move of a candidate was decided; None: there was none."""
    column = schema.decision.c.expected_champion
    return _of_first_decision(ledger, tx, candidate_id, Kind.MOVE, column)


def author_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str:
    """Who registered a candidate; empty where the record does not say."""
    column = schema.decision.c.actor
    return _of_first_decision(ledger, tx, candidate_id, Kind.REGISTER, column) or ""


def _of_first_decision(
    ledger: Ledger, tx: sa.Connection, candidate_id: str, kind: Kind, column: sa.Column[Any]
) -> Any | None:
    """A column of the first decision of a kind about a candidate."""
    first_one = schema.decision.c.seq
    return value(ledger, tx, column, order=first_one, candidate_id=candidate_id, kind=kind)


def stage_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str | None:
    """Stage of a candidate, or None before it is registered."""
    return value(ledger, tx, schema.stage.c.stage, candidate_id=candidate_id)


def champion_of(ledger: Ledger, tx: sa.Connection, slot: str) -> str | None:
    """Candidate that holds a slot, or None."""
    return value(ledger, tx, schema.champion.c.candidate_id, slot=slot)


def asked_by_slot(slot: str) -> list[sa.ColumnElement[bool]]:
    """Conditions on trials and links: that a study of the slot asked for the trial."""
    trial, link, study = schema.trial.c, schema.study_trial.c, schema.study.c
    return [link.trial_id == trial.id, study.id == link.study_id, study.slot == slot]


def luck(ledger: Ledger, tx: sa.Connection, slot: str, interval: tuple[str, str]) -> int:
    """Distinct configs ever looked at for a slot on an overlapping validation interval.

    Folds, seeds and training lengths of one config count once; pruned and failed ones count too;
    a baseline counts where a study looked at its config otherwise too. What was imported or logged
    by a tracker says on no bars, so it counts as overlapping.
    """
    trial, split = schema.trial.c, schema.split.c
    overlapping = mine(
        ledger,
        split.hash,
        split.validation_from <= interval[1],
        split.validation_to >= interval[0],
    )
    return _count_configs(
        ledger,
        tx,
        slot,
        schema.study_trial.c.phase.not_in(BASELINES),
        sa.or_(trial.split_hash == "", trial.split_hash.in_(overlapping)),
    )


def given_up(ledger: Ledger, tx: sa.Connection, slot: str) -> int:
    """Distinct configs that studies of a slot looked at and that are not trained to their end."""
    return _count_configs(ledger, tx, slot, schema.trial.c.state == State.PRUNED)


def _count_configs(
    ledger: Ledger, tx: sa.Connection, slot: str, *where: sa.ColumnElement[bool]
) -> int:
    number = sa.func.count(sa.distinct(schema.trial.c.config_hash))
    return value(ledger, tx, number, *asked_by_slot(slot), *where) or 0


@dataclass(frozen=True)
class TestedConfig:
    """One config that was looked at on some windows, by its best trial there.

    Parameters
    ----------
    tickers : tuple of str
        What the numbers of items in its index stand for.
    task : mapping
        What its target was, among others.
    """

    config_hash: str
    metric: str
    score: float
    loss_hash: str | None
    prediction_hash: str | None
    tickers: tuple[str, ...]
    task: Mapping[str, Any]
    task_hash: str

    def preference(self, task_hash: str, sign: float) -> tuple[bool, bool, float]:
        """Sorts the trials of one config; a pruned one may have no score and comes last."""
        return self.task_hash != task_hash, math.isnan(self.score), sign * self.score


def looked_at(
    ledger: Ledger, tx: sa.Connection, slot: str, index_hash: str, task_hash: str, sign: float
) -> list[TestedConfig]:
    """Every config any study of a slot judged on these very windows, in the order of first looks.

    Of the trials of one config the best one counts, which is the one a choice is made by; one of
    this task before those of others. ``sign`` is the metric's: lower scores times it are better.
    """
    trial, task, dataset = schema.trial.c, schema.task.c, schema.dataset.c
    rows = select(
        ledger,
        tx,
        [*fields(schema.trial, TestedConfig), task.spec.label("task"), dataset.tickers],
        *asked_by_slot(slot),
        task.hash == trial.task_hash,
        dataset.fingerprint == trial.dataset_fingerprint,
        schema.study_trial.c.phase.not_in(BASELINES),
        trial.state.in_([State.COMPLETE, State.PRUNED]),
        order=schema.study_trial.c.seq,
        index_hash=index_hash,
    )
    best: dict[str, TestedConfig] = {}
    for row in rows:
        tickers, task = json.loads(row["tickers"] or "[]"), json.loads(row["task"])
        facts = {"tickers": tuple(tickers), "task": task, "score": nan_if_null(row["score"])}
        found = TestedConfig(**{**row, **facts})
        known = best.get(found.config_hash)
        if known is None or found.preference(task_hash, sign) < known.preference(task_hash, sign):
            best[found.config_hash] = found
    return list(best.values())
