"""Everything that is written to the record, one function a fact; each runs in a transaction."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from podium.dataset import Dataset
from podium.errors import ConflictError
from podium.evidence import SCHEMA, Evidence
from podium.hashing import canonical, digest, digest_bytes, new_id
from podium.ledger import outbox, reads, schema
from podium.ledger.ledger import Ledger, now
from podium.own import Files
from podium.record import part_of
from podium.sequences import Sequences
from podium.split import Split
from podium.study import Study
from podium.trial import BASELINES, MOVES, Ended, Key, State, config_hash, run_name

# Phase of a study's trials that had failed when it was told of them, and were trained again.
RETRIED = "retried"


@dataclass(frozen=True)
class NewTrial:
    """A trial about to start, with its place in a study."""

    key: Key
    phase: str
    number: int
    metric: str
    # Whether trackers know it as a run of its own, as trials of a search and unlike folds.
    named: bool = False
    # What the user said beside the config, for trackers; and a note.
    said: Mapping[str, Any] | None = None
    notes: str = ""
    # How many epochs are wanted of it for now; 0: all.
    until: int = 0


# A trial in one of these is started again where somebody asks for more of it.
_RESTING = (State.CREATED, State.PAUSED, State.INTERRUPTED, State.PRUNED)


def _put(tx: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, leaving those that are there already (same unique key) alone."""
    if rows:
        insert = sqlite_insert if tx.dialect.name == "sqlite" else postgresql_insert
        tx.execute(insert(table).on_conflict_do_nothing(), list(rows))


def put_rows(
    ledger: Ledger, tx: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows of another project as this one's, leaving those that are there alone."""
    # A trigger refuses what the tables that only grow have already; nobody else writes meanwhile.
    _put(tx, table, [{**row, "project_id": ledger.project_id} for row in rows])


def put_dataset(ledger: Ledger, tx: sa.Connection, dataset: Dataset | Sequences | Files) -> None:
    """Remember which data a fingerprint stands for; ``bars`` counts samples of sequences, files."""
    bars = dataset if isinstance(dataset, Dataset) else None
    row = {
        "project_id": ledger.project_id,
        "fingerprint": dataset.fingerprint,
        "name": dataset.name,
        "timeframe": bars.timeframe if bars else "",
        "tickers": canonical(bars.tickers if bars else ()),
        "bars": len(dataset),
        "first_at": str(bars.times[0]) if bars else "",
        "last_at": str(bars.times[-1]) if bars else "",
        "created_at": now(),
    }
    _put(tx, schema.dataset, [row])


def put_split(ledger: Ledger, tx: sa.Connection, split: Split) -> None:
    """Remember which bars a split's hash stands for."""
    start, stop = split.validation_interval()
    row = {
        "project_id": ledger.project_id,
        "hash": split.hash,
        "name": split.name,
        "spec": canonical(split.spec()),
        "validation_from": start,
        "validation_to": stop,
    }
    _put(tx, schema.split, [row])


def put_task(ledger: Ledger, tx: sa.Connection, task_hash: str, spec: Mapping[str, Any]) -> None:
    """Remember what a task's hash stands for."""
    row = {"project_id": ledger.project_id, "hash": task_hash, "spec": canonical(spec)}
    _put(tx, schema.task, [row])


def put_environment(ledger: Ledger, tx: sa.Connection, facts: Mapping[str, Any]) -> str:
    """Remember code state, packages and machine; returns their hash."""
    diff = facts.get("git_diff")
    diff_hash = put_text(ledger, tx, diff) if diff else None
    row = {
        "git_commit": facts.get("git_commit"),
        "git_diff_hash": diff_hash,
        "packages": canonical(facts["packages"]),
        "machine": canonical(facts["machine"]),
    }
    name = digest(row)
    _put(tx, schema.environment, [{"project_id": ledger.project_id, "hash": name, **row}])
    return name


def put_text(ledger: Ledger, tx: sa.Connection, text: str) -> str:
    """Store a text under its hash."""
    return _put_blob(ledger, tx, "text", text.encode(), zlib.compress)


def text_hash(text: str) -> str:
    """Hash a text is stored under."""
    return digest_bytes(b"text", text.encode())


def put_array(ledger: Ledger, tx: sa.Connection, array: NDArray[Any]) -> str:
    """Store a one-dimensional array under the hash of its type and bytes."""
    plain = np.ascontiguousarray(array)
    if plain.dtype.kind == "M":
        plain = plain.astype("datetime64[s]")
    # Losses and forecasts hardly compress; trying costs more than the write.
    return _put_blob(ledger, tx, plain.dtype.str, plain.tobytes(), bytes)


def _put_blob(
    ledger: Ledger, tx: sa.Connection, dtype: str, data: bytes, pack: Callable[[bytes], bytes]
) -> str:
    name = digest_bytes(dtype.encode(), data)
    row = {
        "project_id": ledger.project_id,
        "hash": name,
        "dtype": dtype,
        "data": pack(data),
    }
    _put(tx, schema.blob, [row])
    return name


def put_study(ledger: Ledger, tx: sa.Connection, slot: str, question: Mapping[str, Any]) -> Study:
    """The study that asks this question; found again when it was asked before."""
    study = Study(new_id("s"), slot, question)
    row = {
        "project_id": ledger.project_id,
        "id": study.id,
        "key": study.key,
        "slot": slot,
        "question": canonical(question),
        "created_at": now(),
    }
    table = schema.study.c
    known = sa.select(table.id).where(table.project_id == ledger.project_id, table.key == study.key)
    found = tx.execute(known).scalar()
    if found is None:
        tx.execute(schema.study.insert().values(row))
        announce(ledger, tx, "study", [study.id])
    return replace(study, id=found or study.id)


def announce(ledger: Ledger, tx: sa.Connection, kind: str, subject_ids: Sequence[str]) -> None:
    """Put into the outbox what has just been written, for everything that projects the record."""
    moment = now()
    rows = [
        {
            "project_id": ledger.project_id,
            "kind": kind,
            "subject_id": subject_id,
            "created_at": moment,
        }
        for subject_id in subject_ids
    ]
    if rows:
        tx.execute(schema.outbox.insert(), rows)
    if kind == "trial" and ledger.run_name:
        # The name goes with the trial: whoever sends it may be another command, much later.
        for subject_id in subject_ids:
            outbox.remember(ledger, tx, outbox.RUN_NAME, subject_id, "", ledger.run_name)


def start_trials(
    ledger: Ledger,
    tx: sa.Connection,
    study: Study,
    trials: Sequence[NewTrial],
    environment_hash: str,
) -> list[str]:
    """Put a batch of trials into a study; returns their ids, known ones found by their key.

    A trial that ended stays as it is; one that was cut off (its driver died), paused or pruned is
    started again under its own id, unless it has had as many epochs as are wanted for now.
    """
    started = now()
    names = _names(ledger, tx, trials, started)
    rows = [
        {
            "project_id": ledger.project_id,
            "id": new_id("t"),
            "run_id": name,
            "key": trial.key.hash,
            "family": trial.key.family,
            "family_version": trial.key.family_version,
            "config": canonical(trial.key.config),
            "config_hash": config_hash(trial.key.family, trial.key.config),
            "dataset_fingerprint": trial.key.dataset,
            "task_hash": trial.key.task,
            "split_hash": trial.key.split,
            "fold": trial.key.fold,
            "seed": trial.key.seed,
            "state": State.RUNNING,
            "metric": trial.metric,
            "score": None,
            "environment_hash": environment_hash,
            "seconds": None,
            "reason": "",
            "said": canonical(trial.said) if trial.said else None,
            "notes": trial.notes,
            "created_at": started,
        }
        for trial, name in zip(trials, names, strict=True)
    ]
    _put(tx, schema.trial, rows)
    table = schema.trial.c
    known = {
        row.key: row
        for row in tx.execute(
            sa.select(table.key, table.id, table.state, table.epochs).where(
                table.project_id == ledger.project_id, table.key.in_([r["key"] for r in rows])
            )
        )
    }
    again = [
        row.id
        for trial in trials
        for row in [known[trial.key.hash]]
        if row.state in _RESTING and (not trial.until or row.epochs < trial.until)
    ]
    _move(ledger, tx, again, State.RUNNING)
    ids = [known[row["key"]].id for row in rows]
    _put(
        tx,
        schema.study_trial,
        [
            {
                "project_id": ledger.project_id,
                "study_id": study.id,
                "phase": trial.phase,
                "number": trial.number,
                "trial_id": id_,
            }
            for trial, id_ in zip(trials, ids, strict=True)
        ],
    )
    return ids


def _names(
    ledger: Ledger, tx: sa.Connection, trials: Sequence[NewTrial], started: str
) -> list[str | None]:
    """Names of those trials that get one, in their order."""
    wanted: dict[str, int] = {}
    for trial in trials:
        if trial.named:
            wanted[trial.key.family] = wanted.get(trial.key.family, 0) + 1
    free = {
        family: iter(free_names(ledger, tx, run_name(family, started), count))
        for family, count in wanted.items()
    }
    return [next(free[trial.key.family]) if trial.named else None for trial in trials]


def free_names(ledger: Ledger, tx: sa.Connection, base: str, count: int = 1) -> list[str]:
    """Run ids nobody has yet: the base, then the base with ``-2``, ``-3`` ...

    The transaction is the only one that writes, so what is free now stays free until it ends.
    """
    table, found, number = schema.trial.c, list[str](), 1
    step = count
    while len(found) < count:
        asked = [base if n == 1 else f"{base}-{n}" for n in range(number, number + step)]
        taken = set(
            tx.execute(
                sa.select(table.run_id).where(
                    table.project_id == ledger.project_id, table.run_id.in_(asked)
                )
            ).scalars()
        )
        found += [name for name in asked if name not in taken]
        number += step
        # Many runs of one second are asked about in few, growing questions.
        step = min(2 * step, 512)
    return found[:count]


def end_trial(
    ledger: Ledger,
    tx: sa.Connection,
    ended: Ended,
    *,
    metric: str,
    index_hash: str | None,
    errors: Mapping[str, float] | None = None,
) -> None:
    """Write how a trial ended, with all its epochs, in the transaction's one commit.

    ``errors`` are results that were reckoned from its forecasts; what it reported itself wins.
    """
    trial_id, table = ended.task.trial_id, schema.trial
    scores = _new_epochs(ledger, tx, ended)
    if ended.state is State.COMPLETE:
        final = {"part": "best", "epoch": 0, "metric": metric, "value": real(ended.score)}
        scores.append({**_scored(ledger, ended), **final})
    values: dict[str, Any] = {
        "state": ended.state,
        "score": real(ended.score),
        "seconds": sa.func.coalesce(table.c.seconds, 0.0) + ended.seconds,
        "reason": ended.reason,
        "ended_at": now(),
        "epochs": _last_epoch(ended),
        "best_epoch": ended.best_epoch,
    }
    if len(ended.losses):
        values["loss_hash"] = put_array(ledger, tx, ended.losses)
        values["index_hash"] = index_hash
    if ended.prediction is not None:
        values["prediction_hash"] = put_array(
            ledger, tx, ended.prediction.values.astype(np.float32)
        )
    family = _leave(ledger, tx, ended, values)
    if scores:
        tx.execute(schema.score.insert(), scores)
    if results := {**(errors or {}), **results_of(ended, metric)}:
        tx.execute(schema.result.insert(), result_rows(ledger, trial_id, family, results))
    announce(ledger, tx, "trial", [trial_id])


def pause_trial(ledger: Ledger, tx: sa.Connection, ended: Ended) -> None:
    """Write the epochs a trial has had so far; it may go on."""
    scores = _new_epochs(ledger, tx, ended)
    values = {
        "state": State.PAUSED,
        "seconds": sa.func.coalesce(schema.trial.c.seconds, 0.0) + ended.seconds,
        "epochs": _last_epoch(ended),
    }
    _leave(ledger, tx, ended, values)
    if scores:
        tx.execute(schema.score.insert(), scores)


def _leave(ledger: Ledger, tx: sa.Connection, ended: Ended, values: Mapping[str, Any]) -> str:
    """Move a trial out of running; returns its family."""
    table = schema.trial
    family = tx.execute(
        sa.update(table)
        .where(
            table.c.project_id == ledger.project_id,
            table.c.id == ended.task.trial_id,
            table.c.state.in_(_from(ended.state)),
        )
        .values(values)
        .returning(table.c.family)
    ).scalar()
    if family is None:
        raise ConflictError(
            f"trial {ended.task.trial_id} is not running any more",
            "one end a trial",
            "run the command again",
        )
    return str(family)


def prune_trials(ledger: Ledger, tx: sa.Connection, trial_ids: Sequence[str], reason: str) -> None:
    """Give trials up that have not ended; what they showed so far stays."""
    table = schema.trial
    mine = (table.c.project_id == ledger.project_id, table.c.id.in_(trial_ids))
    pruned = (
        tx.execute(
            sa.select(table.c.id)
            .where(*mine, table.c.state.in_(_from(State.PRUNED)))
            .order_by(table.c.seq)
        )
        .scalars()
        .all()
    )
    values = {"state": State.PRUNED, "reason": reason, "ended_at": now()}
    tx.execute(sa.update(table).where(*mine, table.c.id.in_(pruned)).values(values))
    announce(ledger, tx, "trial", pruned)


def _new_epochs(ledger: Ledger, tx: sa.Connection, ended: Ended) -> list[dict[str, Any]]:
    """Scores of the epochs that are not on record yet: a trial that goes on tells all of them."""
    table = schema.score.c
    # Not the trial's own count: some are counted from nought.
    known = sa.select(sa.func.max(table.epoch)).where(
        table.project_id == ledger.project_id,
        table.trial_id == ended.task.trial_id,
        table.part != "best",
    )
    last = tx.execute(known).scalar()
    before = -1 if last is None else last
    return [
        {
            **_scored(ledger, ended),
            "part": part,
            "epoch": epoch.epoch,
            "metric": name,
            "value": real(value),
        }
        for epoch in ended.epochs
        if epoch.epoch > before
        for said, value in epoch.scores.items()
        for part, name in [part_of(said)]
    ]


def _scored(ledger: Ledger, ended: Ended) -> dict[str, Any]:
    """What all scores of a trial have in common."""
    task = ended.task
    return {"project_id": ledger.project_id, "trial_id": task.trial_id, "fold": task.fold}


def _last_epoch(ended: Ended) -> int:
    return max((epoch.epoch for epoch in ended.epochs), default=0)


def results_of(ended: Ended, metric: str) -> dict[str, float]:
    """What a trial came to: every reported metric at its best epoch, and its score."""
    results: dict[str, float] = {}
    for epoch in ended.epochs:
        if epoch.epoch <= (ended.best_epoch or epoch.epoch):
            results.update(epoch.scores)
    results.update(ended.final)
    if len(ended.losses):
        results[f"val_{metric}"] = ended.score
    return results


def result_rows(
    ledger: Ledger, trial_id: str, family: str, results: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Rows of what a trial came to."""
    common = {"project_id": ledger.project_id, "trial_id": trial_id, "family": family}
    return [{**common, "metric": name, "value": real(v)} for name, v in results.items()]


def put_results(
    ledger: Ledger, tx: sa.Connection, trial_id: str, family: str, results: Mapping[str, float]
) -> None:
    """Remember what else a finished trial came to; what is there already stays."""
    _put(tx, schema.result, result_rows(ledger, trial_id, family, results))


def put_note(ledger: Ledger, tx: sa.Connection, subject_id: str, text: str, actor: str) -> None:
    """Append a dated note about a trial, candidate, study or decision."""
    tx.execute(
        schema.note.insert().values(
            project_id=ledger.project_id,
            subject_id=subject_id,
            text=text,
            actor=actor,
            created_at=now(),
        )
    )
    announce(ledger, tx, "note", [subject_id])


def set_artifact(
    ledger: Ledger, tx: sa.Connection, trial_id: str, artifact_hash: str, checkpoint: str = ""
) -> None:
    """Remember the artefact a finished trial left, and the file in it a framework opens."""
    table = schema.trial
    tx.execute(
        sa.update(table)
        .where(table.c.project_id == ledger.project_id, table.c.id == trial_id)
        .values(artifact_hash=artifact_hash, checkpoint=checkpoint or None)
    )


def forget_model(
    ledger: Ledger, tx: sa.Connection, artifact_hash: str, note: str, actor: str
) -> None:
    """Say of every trial that kept this model that it is not there any more, and why.

    Their rows keep its hash, so that the same model is known again if it is ever trained again.
    """
    table = schema.trial
    mine = sa.and_(
        table.c.project_id == ledger.project_id,
        table.c.artifact_hash == artifact_hash,
        table.c.checkpoint.is_not(None),
    )
    ids = tx.execute(sa.select(table.c.id).where(mine).order_by(table.c.seq)).scalars().all()
    tx.execute(sa.update(table).where(mine).values(checkpoint=None))
    for id_ in ids:
        put_note(ledger, tx, id_, note, actor)


def resume_trials(ledger: Ledger, tx: sa.Connection, trial_ids: Sequence[str]) -> None:
    """Go on with trials that rest."""
    _move(ledger, tx, trial_ids, State.RUNNING)


def interrupt_trials(ledger: Ledger, tx: sa.Connection, trial_ids: Iterable[str]) -> None:
    """Mark trials whose driver stopped; the next run starts them again with the same config."""
    _move(ledger, tx, list(trial_ids), State.INTERRUPTED)


def retry_trials(ledger: Ledger, tx: sa.Connection, trial_ids: Sequence[str], actor: str) -> None:
    """Start failed trials again, and leave others alone; why they failed becomes a note.

    Every study that looked at one remembers that it failed then: its search was told so before it
    asked for what came later. A baseline is no trial of a search.
    """
    trial, link = schema.trial, schema.study_trial
    for id_ in trial_ids:
        mine = sa.and_(
            trial.c.project_id == ledger.project_id,
            trial.c.id == id_,
            trial.c.state == State.FAILED,
        )
        reason = tx.execute(sa.select(trial.c.reason).where(mine)).scalar()
        if reason is None:
            continue
        put_note(ledger, tx, id_, f"trained again; it had failed: {reason}", actor)
        for table in (schema.score, schema.result):
            tx.execute(
                sa.delete(table).where(
                    table.c.project_id == ledger.project_id, table.c.trial_id == id_
                )
            )
        tx.execute(sa.update(trial).where(mine).values(reason="", state=State.RUNNING))
        looked = sa.select(link.c.study_id, sa.func.min(link.c.number)).where(
            link.c.project_id == ledger.project_id,
            link.c.trial_id == id_,
            link.c.phase.not_in(BASELINES),
        )
        rows = [
            {
                "project_id": ledger.project_id,
                "study_id": study_id,
                "phase": RETRIED,
                "number": number,
                "trial_id": id_,
            }
            for study_id, number in tx.execute(looked.group_by(link.c.study_id))
        ]
        _put(tx, link, rows)


def _move(ledger: Ledger, tx: sa.Connection, trial_ids: Sequence[str], target: State) -> None:
    table = schema.trial
    if trial_ids:
        tx.execute(
            sa.update(table)
            .where(
                table.c.project_id == ledger.project_id,
                table.c.id.in_(trial_ids),
                table.c.state.in_(_from(target)),
            )
            .values(state=target)
        )


def _from(target: State) -> list[State]:
    """States a trial may be in to move to the target."""
    return [state for state, moves in MOVES.items() if target in moves]


def put_receipt(
    ledger: Ledger,
    tx: sa.Connection,
    slot: str,
    step: str,
    inputs: reads.Inputs,
    outputs: Mapping[str, Any],
) -> None:
    """Remember that a step is complete for these inputs, and what came out.

    Parameters
    ----------
    inputs : mapping of name to JSON value, or str
        A text stands for inputs that nobody needs to tell apart by name.
    """
    tx.execute(
        schema.receipt.insert().values(
            project_id=ledger.project_id,
            slot=slot,
            step=step,
            inputs=canonical({} if isinstance(inputs, str) else inputs),
            inputs_hash=reads.hash_of(inputs),
            outputs=canonical(outputs),
            created_at=now(),
        )
    )


def put_evidence(ledger: Ledger, tx: sa.Connection, evidence: Evidence) -> None:
    """Append one finding."""
    row = {
        **vars(evidence),
        "project_id": ledger.project_id,
        "schema": SCHEMA,
        "scalars": canonical(
            {k: [_json_real(s.value), s.unit, s.direction] for k, s in evidence.scalars.items()}
        ),
        "series": canonical(evidence.series),
        "notes": canonical(evidence.notes),
    }
    tx.execute(schema.evidence.insert().values(row))


def count_look(
    ledger: Ledger, tx: sa.Connection, dataset: str, interval: tuple[str, str], candidate_id: str
) -> int:
    """Count one look at a sealed test; returns how often it has been looked at, this included."""
    table = schema.test_look
    tx.execute(
        table.insert().values(
            project_id=ledger.project_id,
            dataset=dataset,
            interval_from=interval[0],
            interval_to=interval[1],
            candidate_id=candidate_id,
            created_at=now(),
        )
    )
    # Intervals that overlap share bars, so a look at one is a look at the other.
    looks = tx.execute(
        sa.select(sa.func.count(sa.distinct(table.c.candidate_id))).where(
            table.c.project_id == ledger.project_id,
            table.c.dataset == dataset,
            table.c.interval_from <= interval[1],
            table.c.interval_to >= interval[0],
        )
    ).scalar_one()
    return int(looks)


def _json_real(value: float) -> float | str | None:
    """JSON knows no infinity; it is kept as the text that float() reads."""
    return str(value) if math.isinf(value) else real(value)


def real(value: float | None) -> float | None:
    """A number as databases keep it: NaN is NULL."""
    return None if value is None or value != value else float(value)
