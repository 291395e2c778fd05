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
from podium.ledger.pieces import pieces
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


_TRIAL = [name for name in TrialRow.__dataclass_fields__ if name in schema.trial.c]


def trials_of(ledger: Ledger, tx: sa.Connection, study_id: str, *phases: str) -> list[TrialRow]:
    """Trials a study looked at in these phases, in the order it asked for them.

    A phase of a search, such as ``tune/start``, is part of the step's, ``tune``.
    """
    trial, link = schema.trial.c, schema.study_trial.c
    rows = tx.execute(
        sa.select(*(trial[name] for name in _TRIAL), link.phase, link.number)
        .select_from(
            schema.study_trial.join(
                schema.trial,
                sa.and_(link.project_id == trial.project_id, link.trial_id == trial.id),
            )
        )
        .where(
            link.project_id == ledger.project_id,
            link.study_id == study_id,
            sa.or_(
                link.phase.in_(phases),
                *(link.phase.startswith(f"{phase}/", autoescape=True) for phase in phases),
            ),
        )
        .order_by(link.phase, link.number)
    )
    found = [_trial({**row}) for row in rows.mappings()]
    return sorted(found, key=lambda row: (row.phase.partition("/")[0], row.number))


def trials_by_id(ledger: Ledger, tx: sa.Connection, ids: Sequence[str]) -> dict[str, TrialRow]:
    """Trials by their id; outside any study, so without phase and number."""
    trial = schema.trial.c
    rows = tx.execute(
        sa.select(*(trial[name] for name in _TRIAL)).where(
            trial.project_id == ledger.project_id, trial.id.in_(ids)
        )
    )
    return {row["id"]: _trial({**row, "phase": "", "number": 0}) for row in rows.mappings()}


def trials_by_key(ledger: Ledger, tx: sa.Connection, keys: Sequence[str]) -> dict[str, TrialRow]:
    """Trials by their key, where they are on record; without phase and number."""
    trial, found = schema.trial.c, {}
    for piece in pieces(keys):
        rows = tx.execute(
            sa.select(trial.key, *(trial[name] for name in _TRIAL)).where(
                trial.project_id == ledger.project_id, trial.key.in_(piece)
            )
        )
        for row in rows.mappings():
            facts = {name: row[name] for name in _TRIAL}
            found[row["key"]] = _trial({**facts, "phase": "", "number": 0})
    return found


def _trial(row: Mapping[str, Any]) -> TrialRow:
    return TrialRow(
        **{
            **row,
            "config": json.loads(row["config"]),
            "state": State(row["state"]),
            "score": nan_if_null(row["score"]),
            "seconds": nan_if_null(row["seconds"]),
        }
    )


def count_ended(ledger: Ledger, tx: sa.Connection, keys: Sequence[str]) -> int:
    """How many trials with these keys have ended."""
    table, count = schema.trial.c, 0
    for piece in pieces(keys):
        query = sa.select(sa.func.count()).where(
            table.project_id == ledger.project_id,
            table.key.in_(piece),
            table.state.in_([state for state in State if state.ended]),
        )
        count += int(tx.execute(query).scalar_one())
    return count


def array(ledger: Ledger, tx: sa.Connection, name: str) -> NDArray[Any]:
    """Stored array of that hash.

    Raises
    ------
    NotFoundError
    """
    table = schema.blob.c
    row = tx.execute(
        sa.select(table.dtype, table.data).where(
            table.project_id == ledger.project_id, table.hash == name
        )
    ).first()
    if row is None:
        raise NotFoundError(f"no stored series {name[:12]}", fix="run: podium doctor")
    return np.frombuffer(row.data, dtype=np.dtype(row.dtype))


def results(
    ledger: Ledger, tx: sa.Connection, trial_ids: Sequence[str], names: Sequence[str]
) -> list[tuple[str, str, float]]:
    """Trial, name and value of what these trials came to, where it is on record."""
    table = schema.result.c
    rows = tx.execute(
        sa.select(table.trial_id, table.metric, table.value).where(
            table.project_id == ledger.project_id,
            table.trial_id.in_(trial_ids),
            table.metric.in_(names),
        )
    )
    return [(row.trial_id, row.metric, nan_if_null(row.value)) for row in rows]


def arrays(ledger: Ledger, tx: sa.Connection, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Stored arrays by their hash; those that are not there are left out."""
    table, found = schema.blob.c, {}
    for piece in pieces(sorted(set(names))):
        query = sa.select(table.hash, table.dtype, table.data).where(
            table.project_id == ledger.project_id, table.hash.in_(piece)
        )
        for row in tx.execute(query):
            found[row.hash] = np.frombuffer(row.data, dtype=np.dtype(row.dtype))
    return found


def curves(
    ledger: Ledger, tx: sa.Connection, trial_ids: Sequence[str], part: str, metric: str
) -> dict[str, list[float]]:
    """Values of one metric over the epochs of trials, by trial; empty where none was reported."""
    table = schema.score.c
    rows = tx.execute(
        sa.select(table.trial_id, table.value)
        .where(
            table.project_id == ledger.project_id,
            table.trial_id.in_(trial_ids),
            table.part == part,
            table.metric == metric,
        )
        .order_by(table.trial_id, table.epoch)
    )
    found: dict[str, list[float]] = {id_: [] for id_ in trial_ids}
    for row in rows:
        found[row.trial_id].append(nan_if_null(row.value))
    return found


def epochs_of(ledger: Ledger, tx: sa.Connection, trial_id: str) -> dict[int, dict[str, float]]:
    """Everything a trial reported, by epoch and the name it was reported under."""
    table = schema.score.c
    rows = tx.execute(
        sa.select(table.epoch, table.part, table.metric, table.value)
        .where(
            table.project_id == ledger.project_id,
            table.trial_id == trial_id,
            table.part != "best",
        )
        .order_by(table.epoch)
    )
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        name = f"{row.part}_{row.metric}" if row.part else row.metric
        found.setdefault(row.epoch, {})[name] = nan_if_null(row.value)
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
    found = tx.execute(
        sa.select(table.outputs)
        .where(
            table.project_id == ledger.project_id,
            table.slot == slot,
            table.step == step,
            table.inputs_hash == hash_of(inputs),
        )
        .order_by(table.seq.desc())
        .limit(1)
    ).scalar()
    return None if found is None else json.loads(found)


def newest_receipts(
    ledger: Ledger, tx: sa.Connection, slot: str, step: str, limit: int | None = 1
) -> list[Receipt]:
    """What a step of a slot did last, the newest first; at most ``limit`` of them, None: all."""
    table = schema.receipt.c
    rows = tx.execute(
        sa.select(table.seq, table.inputs, table.inputs_hash, table.outputs)
        .where(table.project_id == ledger.project_id, table.slot == slot, table.step == step)
        .order_by(table.seq.desc())
        .limit(limit)
    )
    return [
        Receipt(row.seq, json.loads(row.inputs), row.inputs_hash, json.loads(row.outputs))
        for row in rows
    ]


def receipts(ledger: Ledger, tx: sa.Connection, slot: str, step: str) -> list[dict[str, Any]]:
    """Outputs of a step of a slot, for whatever inputs, the oldest first."""
    table = schema.receipt.c
    found = tx.execute(
        sa.select(table.outputs)
        .where(table.project_id == ledger.project_id, table.slot == slot, table.step == step)
        .order_by(table.seq)
    )
    return [json.loads(text) for text in found.scalars()]


def candidate_by_id(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> Candidate:
    """A candidate.

    Raises
    ------
    NotFoundError
    """
    table = schema.candidate
    row = (
        tx.execute(
            sa.select(*(table.c[name] for name in Candidate.__dataclass_fields__)).where(
                table.c.project_id == ledger.project_id, table.c.id == candidate_id
            )
        )
        .mappings()
        .first()
    )
    if row is None:
        raise NotFoundError(f"no candidate '{candidate_id}'", fix="run: podium list candidates")
    return Candidate(**{**row, "config": json.loads(row["config"])})


def trial_of_artifact(
    ledger: Ledger, tx: sa.Connection, artifact_hash: str
) -> tuple[TrialRow, str] | None:
    """The trial that left an artefact, and the newest study that looked at it."""
    trial, link = schema.trial.c, schema.study_trial.c
    row = (
        tx.execute(
            sa.select(*(trial[name] for name in _TRIAL), link.phase, link.number, link.study_id)
            .select_from(
                schema.study_trial.join(
                    schema.trial,
                    sa.and_(link.project_id == trial.project_id, link.trial_id == trial.id),
                )
            )
            .where(trial.project_id == ledger.project_id, trial.artifact_hash == artifact_hash)
            .order_by(link.seq.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )
    if row is None:
        return None
    fields = {**row}
    study_id = fields.pop("study_id")
    return _trial(fields), study_id


def evidence_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> dict[str, Evidence]:
    """Newest evidence of each kind about a candidate, by kind.

    What was found about another artefact, or written in an older form, does not count.
    """
    table, candidate = schema.evidence, schema.candidate
    mine = sa.and_(
        candidate.c.project_id == table.c.project_id,
        candidate.c.id == table.c.candidate_id,
        candidate.c.artifact_hash == table.c.artifact_hash,
    )
    rows = tx.execute(
        sa.select(*(table.c[name] for name in Evidence.__dataclass_fields__))
        .join(candidate, mine)
        .where(
            table.c.project_id == ledger.project_id,
            table.c.candidate_id == candidate_id,
            table.c.schema == SCHEMA,
        )
        .order_by(table.c.seq)
    )
    return {row["kind"]: _evidence({**row}) for row in rows.mappings()}


def evidence_by_id(ledger: Ledger, tx: sa.Connection, ids: Sequence[str]) -> list[Evidence]:
    """Findings of these ids, in the order they were appended."""
    table = schema.evidence
    rows = tx.execute(
        sa.select(*(table.c[name] for name in Evidence.__dataclass_fields__))
        .where(table.c.project_id == ledger.project_id, table.c.id.in_(ids))
        .order_by(table.c.seq)
    )
    return [_evidence({**row}) for row in rows.mappings()]


def _evidence(row: Mapping[str, Any]) -> Evidence:
    scalars = {
        name: Scalar(nan_if_null(value), unit, direction)
        for name, (value, unit, direction) in json.loads(row["scalars"]).items()
    }
    return Evidence(
        **{
            **row,
            "scalars": scalars,
            "series": json.loads(row["series"]),
            "notes": json.loads(row["notes"]),
        }
    )


def champion_before(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str | None:
    """The slot's champion when the first move of a candidate was decided; None: there was none."""
    column = schema.decision.c.expected_champion
    return _of_first_decision(ledger, tx, candidate_id, Kind.MOVE, column)


def _of_first_decision(
    ledger: Ledger, tx: sa.Connection, candidate_id: str, kind: Kind, column: sa.Column[Any]
) -> str | None:
    """A column of the first decision of a kind about a candidate."""
    table = schema.decision.c
    found: str | None = tx.execute(
        sa.select(column)
        .where(
            table.project_id == ledger.project_id,
            table.candidate_id == candidate_id,
            table.kind == kind,
        )
        .order_by(table.seq)
        .limit(1)
    ).scalar()
    return found


def stage_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str | None:
    """Stage of a candidate, or None before it is registered."""
    table = schema.stage.c
    return tx.execute(
        sa.select(table.stage).where(
            table.project_id == ledger.project_id, table.candidate_id == candidate_id
        )
    ).scalar()


def author_of(ledger: Ledger, tx: sa.Connection, candidate_id: str) -> str:
    """Who registered a candidate; empty where the record does not say."""
    column = schema.decision.c.actor
    return _of_first_decision(ledger, tx, candidate_id, Kind.REGISTER, column) or ""


def champion_of(ledger: Ledger, tx: sa.Connection, slot: str) -> str | None:
    """Candidate that holds a slot, or None."""
    table = schema.champion.c
    return tx.execute(
        sa.select(table.candidate_id).where(
            table.project_id == ledger.project_id, table.slot == slot
        )
    ).scalar()


def _asked() -> sa.Join:
    """Trials with every study that asked for them."""
    trial, link, study = schema.trial.c, schema.study_trial.c, schema.study.c
    return schema.trial.join(
        schema.study_trial,
        sa.and_(link.project_id == trial.project_id, link.trial_id == trial.id),
    ).join(
        schema.study,
        sa.and_(study.project_id == link.project_id, study.id == link.study_id),
    )


def luck(ledger: Ledger, tx: sa.Connection, slot: str, interval: tuple[str, str]) -> int:
    """Distinct configs ever looked at for a slot on an overlapping validation interval.

    Folds, seeds and training lengths of one config count once; pruned and failed ones count too;
    a baseline counts where a study looked at its config otherwise too. What was imported or logged
    by a tracker says on no bars, so it counts as overlapping.
    """
    trial, study, split = schema.trial.c, schema.study.c, schema.split.c
    query = (
        sa.select(sa.func.count(sa.distinct(trial.config_hash)))
        .select_from(
            _asked().outerjoin(
                schema.split,
                sa.and_(split.project_id == trial.project_id, split.hash == trial.split_hash),
            )
        )
        .where(
            trial.project_id == ledger.project_id,
            study.slot == slot,
            schema.study_trial.c.phase.not_in(BASELINES),
            sa.or_(
                trial.split_hash == "",
                sa.and_(split.validation_from <= interval[1], split.validation_to >= interval[0]),
            ),
        )
    )
    return int(tx.execute(query).scalar_one())


@dataclass(frozen=True)
class Looked:
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


def given_up(ledger: Ledger, tx: sa.Connection, slot: str) -> int:
    """Distinct configs that studies of a slot looked at and that are not trained to their end."""
    trial, study = schema.trial.c, schema.study.c
    query = (
        sa.select(sa.func.count(sa.distinct(trial.config_hash)))
        .select_from(_asked())
        .where(
            trial.project_id == ledger.project_id,
            study.slot == slot,
            trial.state == State.PRUNED,
        )
    )
    return int(tx.execute(query).scalar_one())


def looked_at(
    ledger: Ledger, tx: sa.Connection, slot: str, index_hash: str, task_hash: str, sign: float
) -> list[Looked]:
    """Every config any study of a slot judged on these very windows, in the order of first looks.

    Of the trials of one config the best one counts, which is the one a choice is made by; one of
    this task before those of others. ``sign`` is the metric's: lower scores times it are better.
    """
    trial, study = schema.trial.c, schema.study.c
    task, dataset = schema.task.c, schema.dataset.c
    names = [n for n in Looked.__dataclass_fields__ if n in trial]
    query = (
        sa.select(*(trial[name] for name in names), task.spec, dataset.tickers)
        .select_from(
            _asked()
            .join(
                schema.task,
                sa.and_(task.project_id == trial.project_id, task.hash == trial.task_hash),
            )
            .join(
                schema.dataset,
                sa.and_(
                    dataset.project_id == trial.project_id,
                    dataset.fingerprint == trial.dataset_fingerprint,
                ),
            )
        )
        .where(
            trial.project_id == ledger.project_id,
            study.slot == slot,
            schema.study_trial.c.phase.not_in(BASELINES),
            trial.state.in_([State.COMPLETE, State.PRUNED]),
            trial.index_hash == index_hash,
        )
        .order_by(schema.study_trial.c.seq)
    )
    best: dict[str, Looked] = {}
    for row in tx.execute(query).mappings():
        found = Looked(
            **{**{n: row[n] for n in names}, "score": nan_if_null(row["score"])},
            tickers=tuple(json.loads(row["tickers"] or "[]")),
            task=json.loads(row["spec"]),
        )
        known = best.get(found.config_hash)
        if known is None or found.preference(task_hash, sign) < known.preference(task_hash, sign):
            best[found.config_hash] = found
    return list(best.values())
