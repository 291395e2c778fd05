"""Writes to the record, one function per kind of row; each runs in the caller's transaction."""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from podium.dataset import Dataset
from podium.errors import ConflictError
from podium.evidence import SCHEMA, Evidence
from podium.hashing import canonical, digest, digest_bytes, new_id
from podium.ledger import outbox, reads, schema
from podium.ledger.ledger import Transaction, now
from podium.ledger.statements import (
    append,
    delete,
    first,
    insert,
    insert_missing,
    select,
    update,
    value,
    values,
)
from podium.own import Files
from podium.record import part_of
from podium.sequences import Sequences
from podium.split import Split
from podium.study import Study
from podium.trial import BASELINES, MOVES, Ended, Key, State, config_hash, run_name

# Kinds of evidence with results on the sealed test, and the prefix of these results.
JUDGED, TEST = ("test", "evaluation"), "test_"
# Phase of a study's trials that had failed and were trained again.
RETRIED = "retried"


@dataclass(frozen=True)
class NewTrial:
    """A trial about to start, with its place in a study."""

    key: Key
    phase: str
    number: int
    metric: str
    # Whether trackers show it as a run: true for trials of a search, false for folds.
    named: bool = False
    # The user's values beside the config, for trackers; and a note.
    extras: Mapping[str, Any] | None = None
    notes: str = ""
    # Number of epochs to train for now; 0: all.
    until: int = 0


# States from which a trial is started again.
_RESUMABLE = (State.CREATED, State.PAUSED, State.INTERRUPTED, State.PRUNED)


def put_dataset(tx: Transaction, dataset: Dataset | Sequences | Files) -> None:
    """Store the dataset of a fingerprint; ``bars`` is the number of samples or files otherwise."""
    bars = dataset if isinstance(dataset, Dataset) else None
    row = {
        "fingerprint": dataset.fingerprint,
        "name": dataset.name,
        "timeframe": bars.timeframe if bars else "",
        "tickers": canonical(bars.tickers if bars else ()),
        "bars": len(dataset),
        "first_at": str(bars.times[0]) if bars else "",
        "last_at": str(bars.times[-1]) if bars else "",
        "created_at": now(),
    }
    insert_missing(tx, schema.dataset, [row])


def put_split(tx: Transaction, split: Split) -> None:
    """Store a split with its validation interval, under its hash."""
    start, stop = split.validation_interval()
    row = {
        "hash": split.hash,
        "name": split.name,
        "spec": canonical(split.spec()),
        "validation_from": start,
        "validation_to": stop,
    }
    insert_missing(tx, schema.split, [row])


def put_task(tx: Transaction, task_hash: str, spec: Mapping[str, Any]) -> None:
    """Store a task's spec under its hash."""
    insert_missing(tx, schema.task, [{"hash": task_hash, "spec": canonical(spec)}])


def put_environment(tx: Transaction, facts: Mapping[str, Any]) -> str:
    """Store code state, packages and machine; returns their hash."""
    diff, dirty = facts.get("code_diff"), facts.get("git_dirty")
    row = {
        "git_commit": facts.get("git_commit"),
        "git_dirty": None if dirty is None else int(dirty),
        "git_diff_hash": facts.get("git_diff_hash"),
        "code_diff_hash": put_text(tx, diff) if diff else None,
        "packages": canonical(facts["packages"]),
        "machine": canonical(facts["machine"]),
    }
    name = digest(row)
    insert_missing(tx, schema.environment, [{"hash": name, **row}])
    return name


def put_text(tx: Transaction, text: str) -> str:
    """Store a text under its hash."""
    return _put_blob(tx, "text", text.encode(), zlib.compress)


def put_array(tx: Transaction, array: NDArray[Any]) -> str:
    """Store a one-dimensional array under the hash of its type and bytes."""
    plain = np.ascontiguousarray(array)
    if plain.dtype.kind == "M":
        plain = plain.astype("datetime64[s]")
    # Losses and forecasts hardly compress; trying costs more than the write.
    return _put_blob(tx, plain.dtype.str, plain.tobytes(), bytes)


def _put_blob(tx: Transaction, dtype: str, data: bytes, pack: Callable[[bytes], bytes]) -> str:
    name = digest_bytes(dtype.encode(), data)
    insert_missing(tx, schema.blob, [{"hash": name, "dtype": dtype, "data": pack(data)}])
    return name


def put_study(tx: Transaction, slot: str, question: Mapping[str, Any]) -> Study:
    """Study of a question: the recorded one, or a new one."""
    study = Study(new_id("s"), slot, question)
    study_id = value(tx, schema.study.c.id, key=study.key)
    if study_id is not None:
        return replace(study, id=study_id)
    row = {"id": study.id, "key": study.key, "slot": slot, "question": canonical(question)}
    insert(tx, schema.study, [{**row, "created_at": now()}])
    announce(tx, "study", [study.id])
    return study


def announce(tx: Transaction, kind: str, subject_ids: Sequence[str]) -> None:
    """Append changed rows to the outbox, for all projections of the record."""
    item = {"kind": kind, "created_at": now()}
    insert(tx, schema.outbox, [{**item, "subject_id": id_} for id_ in subject_ids])
    if kind == "trial":
        _remember(tx, outbox.RUN_NAME, subject_ids, tx.ledger.run_name)


def _remember(tx: Transaction, key: str, trial_ids: Sequence[str], text: str) -> None:
    """Store a text with trials, because another command may send them later."""
    for trial_id in trial_ids if text else ():
        outbox.remember(tx, key, trial_id, "", text)


def start_trials(
    tx: Transaction, study: Study, trials: Sequence[NewTrial], environment_hash: str
) -> list[str]:
    """Put a batch of trials into a study; returns their ids, those of recorded keys included.

    An ended trial stays as it is. One that was interrupted, paused or pruned is started again under
    its id, unless it has as many epochs as are wanted for now.
    """
    started = now()
    bases = [run_name(trial.key.family, started) for trial in trials if trial.named]
    names = unused_names(tx, bases)
    rows = [
        {
            "id": new_id("t"),
            "run_id": next(names) if trial.named else None,
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
            "extras": canonical(trial.extras) if trial.extras else None,
            "notes": trial.notes,
            "created_at": started,
        }
        for trial in trials
    ]
    insert_missing(tx, schema.trial, rows)
    table = schema.trial.c
    keys = [row["key"] for row in rows]
    recorded = select(tx, [table.key, table.id, table.state, table.epochs], key=keys)
    known = {row["key"]: row for row in recorded}
    again = [
        row["id"]
        for trial in trials
        for row in [known[trial.key.hash]]
        if row["state"] in _RESUMABLE and (not trial.until or row["epochs"] < trial.until)
    ]
    _move(tx, again, State.RUNNING)
    ids: list[str] = [known[key]["id"] for key in keys]
    links = [
        {"study_id": study.id, "phase": trial.phase, "number": trial.number, "trial_id": id_}
        for trial, id_ in zip(trials, ids, strict=True)
    ]
    insert_missing(tx, schema.study_trial, links)
    return ids


def link_trials(
    tx: Transaction, study_id: str, phase: str, trial_ids: Sequence[str], start: int = 0
) -> None:
    """Put trials into a study, numbered in their order."""
    links = [
        {"study_id": study_id, "phase": phase, "number": number, "trial_id": id_}
        for number, id_ in enumerate(trial_ids, start)
    ]
    insert(tx, schema.study_trial, links)


def unused_names(tx: Transaction, wanted: Sequence[str]) -> Iterator[str]:
    """An unused run id for each wanted one, in their order: itself, or with ``-2``, ``-3`` ..."""
    counts = Counter(wanted)
    free = {base: iter(free_names(tx, base, count)) for base, count in counts.items()}
    used: set[str] = set()
    for base in wanted:
        name = next(free[base], None)
        while name is None or name in used:
            # Another wanted name equals a numbered one of this base: query more names.
            more = free_names(tx, base, len(used) + 2)
            name = next(each for each in more if each not in used)
        used.add(name)
        yield name


def free_names(tx: Transaction, base: str, count: int = 1) -> list[str]:
    """Unused run ids: the base, then the base with ``-2``, ``-3`` ...

    The transaction is the only one that writes, so free ids stay free until it ends.
    """
    free, number, step = list[str](), 1, count
    while len(free) < count:
        names = [base if n == 1 else f"{base}-{n}" for n in range(number, number + step)]
        taken = values(tx, schema.trial.c.run_id, run_id=names)
        free += [name for name in names if name not in taken]
        number += step
        # Growing steps need few queries for many runs of one second.
        step = min(2 * step, 500)
    return free[:count]


def end_trial(
    tx: Transaction,
    ended: Ended,
    *,
    metric: str,
    index_hash: str | None,
    errors: Mapping[str, float] | None = None,
) -> None:
    """Write the end of a trial with its new epochs.

    ``errors`` are results computed from its forecasts; reported results take precedence.
    """
    trial_id = ended.task.trial_id
    scores = _new_epochs(tx, ended)
    if ended.state is State.COMPLETE:
        final = {"part": "best", "epoch": 0, "metric": metric, "value": real(ended.score)}
        scores.append({**_scored(ended), **final})
    new: dict[str, Any] = {
        "score": real(ended.score),
        "reason": ended.reason,
        "ended_at": now(),
        "best_epoch": ended.best_epoch,
    }
    if len(ended.losses):
        new["loss_hash"] = put_array(tx, ended.losses)
        new["index_hash"] = index_hash
    if ended.prediction is not None:
        forecasts = ended.prediction.values.astype(np.float32)
        new["prediction_hash"] = put_array(tx, forecasts)
    family = _end_running(tx, ended, ended.state, new)
    insert(tx, schema.score, scores)
    results = {**(errors or {}), **results_of(ended, metric)}
    insert(tx, schema.result, result_rows(trial_id, family, results))
    announce(tx, "trial", [trial_id])
    _remember(tx, outbox.VERB, [trial_id], tx.ledger.verb)


def pause_trial(tx: Transaction, ended: Ended) -> None:
    """Pause a trial and write its epochs so far."""
    scores = _new_epochs(tx, ended)
    _end_running(tx, ended, State.PAUSED, {})
    insert(tx, schema.score, scores)


def _end_running(tx: Transaction, ended: Ended, state: State, new: Mapping[str, Any]) -> str:
    """Move a trial out of running; returns its family."""
    table = schema.trial
    common = {
        "state": state,
        "seconds": sa.func.coalesce(table.c.seconds, 0.0) + ended.seconds,
        "epochs": max((epoch.epoch for epoch in ended.epochs), default=0),
    }
    family = tx.execute(
        sa.update(table)
        .where(
            table.c.project_id == tx.project_id,
            table.c.id == ended.task.trial_id,
            table.c.state.in_(_from(ended.state)),
        )
        .values({**common, **new})
        .returning(table.c.family)
    ).scalar()
    if family is None:
        raise ConflictError(
            f"trial {ended.task.trial_id} is no longer running",
            "one end per trial",
            "run the command again",
        )
    return str(family)


def prune_trials(tx: Transaction, trial_ids: Sequence[str], reason: str) -> None:
    """Mark trials that have not ended as pruned; their epochs so far are kept."""
    table = schema.trial.c
    wanted = {"id": trial_ids, "state": _from(State.PRUNED)}
    pruned = values(tx, table.id, order=table.seq, **wanted)
    new = {"state": State.PRUNED, "reason": reason, "ended_at": now()}
    update(tx, schema.trial, new, id=pruned)
    announce(tx, "trial", pruned)
    _remember(tx, outbox.VERB, pruned, tx.ledger.verb)


_SCORE = schema.score.c
# Built once: every end of a trial runs it, and building it takes longer than running it.
_LAST = sa.select(sa.func.max(_SCORE.epoch)).where(
    _SCORE.project_id == sa.bindparam("project"),
    _SCORE.trial_id == sa.bindparam("trial"),
    _SCORE.part != "best",
)


def _new_epochs(tx: Transaction, ended: Ended) -> list[dict[str, Any]]:
    """Scores of the epochs that are not on record yet; a resumed trial reports all its epochs."""
    # Not the trial's epoch count: some trials count from 0.
    last = tx.execute(_LAST, {"project": tx.project_id, "trial": ended.task.trial_id}).scalar()
    before = -1 if last is None else int(last)
    common = _scored(ended)
    return [
        {**common, "part": part, "epoch": epoch.epoch, "metric": name, "value": real(reported)}
        for epoch in ended.epochs
        if epoch.epoch > before
        for reported_name, reported in epoch.scores.items()
        for part, name in [part_of(reported_name)]
    ]


def _scored(ended: Ended) -> dict[str, Any]:
    """Columns that all scores of a trial share."""
    return {"trial_id": ended.task.trial_id, "fold": ended.task.fold}


def results_of(ended: Ended, metric: str) -> dict[str, float]:
    """Results of a trial: every reported metric at its best epoch, and its score."""
    results: dict[str, float] = {}
    for epoch in ended.epochs:
        if epoch.epoch <= (ended.best_epoch or epoch.epoch):
            results.update(epoch.scores)
    results.update(ended.final)
    if len(ended.losses):
        results[f"val_{metric}"] = ended.score
    return results


def result_rows(
    trial_id: str, family: str, results: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Rows of a trial's results."""
    common = {"trial_id": trial_id, "family": family}
    return [{**common, "metric": name, "value": real(v)} for name, v in results.items()]


def put_results(tx: Transaction, trial_id: str, family: str, results: Mapping[str, float]) -> None:
    """Add results to a finished trial; existing ones stay."""
    insert_missing(tx, schema.result, result_rows(trial_id, family, results))


def put_note(tx: Transaction, subject_id: str, text: str, actor: str) -> None:
    """Append a dated note about a trial, candidate, study or decision."""
    row = {"subject_id": subject_id, "text": text, "actor": actor, "created_at": now()}
    insert(tx, schema.note, [row])
    announce(tx, "note", [subject_id])


def set_artifact(tx: Transaction, trial_id: str, artifact_hash: str, checkpoint: str = "") -> None:
    """Store the artefact of a finished trial, and the file in it that a framework opens."""
    new = {"artifact_hash": artifact_hash, "checkpoint": checkpoint or None}
    update(tx, schema.trial, new, id=trial_id)


def forget_model(tx: Transaction, artifact_hash: str, note: str, actor: str) -> None:
    """Clear the checkpoint of every trial with this model, and note the reason.

    The rows keep the hash, so that the same model is recognised if it is trained again.
    """
    table = schema.trial.c
    has_model = table.checkpoint.is_not(None)
    ids = values(tx, table.id, has_model, order=table.seq, artifact_hash=artifact_hash)
    update(tx, schema.trial, {"checkpoint": None}, id=ids)
    for id_ in ids:
        put_note(tx, id_, note, actor)


def resume_trials(tx: Transaction, trial_ids: Sequence[str]) -> None:
    """Set resumed trials to running."""
    _move(tx, trial_ids, State.RUNNING)


def interrupt_trials(tx: Transaction, trial_ids: Iterable[str]) -> None:
    """Mark trials whose driver stopped; the next run starts them again."""
    _move(tx, list(trial_ids), State.INTERRUPTED)


def retry_trials(tx: Transaction, trial_ids: Sequence[str], actor: str) -> None:
    """Start failed trials again, with the reason of the failure as a note; skip other trials.

    Every study that looked at one keeps a link in phase ``retried``, because its search received
    the failure before its later trials. A baseline is no trial of a search.
    """
    link = schema.study_trial.c
    for id_ in trial_ids:
        reason = value(tx, schema.trial.c.reason, id=id_, state=State.FAILED)
        if reason is None:
            continue
        put_note(tx, id_, f"trained again; it had failed: {reason}", actor)
        for table in (schema.score, schema.result):
            delete(tx, table, trial_id=id_)
        update(tx, schema.trial, {"reason": "", "state": State.RUNNING}, id=id_)
        columns, newest = [link.study_id, link.number], link.number.desc()
        looks = select(tx, columns, link.phase.not_in(BASELINES), order=newest, trial_id=id_)
        first_looks = {row["study_id"]: row for row in looks}.values()
        rows = [{**row, "phase": RETRIED, "trial_id": id_} for row in first_looks]
        insert_missing(tx, schema.study_trial, rows)


def _move(tx: Transaction, trial_ids: Sequence[str], target: State) -> None:
    update(tx, schema.trial, {"state": target}, id=trial_ids, state=_from(target))


def _from(target: State) -> list[State]:
    """States from which a trial may move to the target."""
    return [state for state, moves in MOVES.items() if target in moves]


def put_receipt(
    tx: Transaction, slot: str, step: str, inputs: reads.Inputs, outputs: Mapping[str, Any]
) -> None:
    """Store the outputs of a step that is complete for these inputs.

    Parameters
    ----------
    inputs : mapping of name to JSON value, or str
        A text stands for inputs that are not compared by name.
    """
    row = {
        "slot": slot,
        "step": step,
        "inputs": canonical({} if isinstance(inputs, str) else inputs),
        "inputs_hash": reads.hash_of(inputs),
        "outputs": canonical(outputs),
        "created_at": now(),
    }
    insert(tx, schema.receipt, [row])


def put_evidence(tx: Transaction, evidence: Evidence) -> None:
    """Append one piece of evidence."""
    row = {
        **vars(evidence),
        "schema": SCHEMA,
        "scalars": canonical(
            {k: [_json_real(s.value), s.unit, s.direction] for k, s in evidence.scalars.items()}
        ),
        "series": canonical(evidence.series),
        "notes": canonical(evidence.notes),
    }
    append(tx, schema.evidence, [row])
    if evidence.kind in JUDGED:
        _put_test_results(tx, evidence)


def _put_test_results(tx: Transaction, evidence: Evidence) -> None:
    """Results ``test_<metric>`` of the runs with the config of a judged candidate.

    They are those in the metrics that the run has on the validation part.
    """
    trial, link, result = schema.trial.c, schema.study_trial.c, schema.result.c
    made = first(tx, schema.candidate, id=evidence.candidate_id)
    if made is None or made["study_id"] is None:
        return
    is_looked_at = trial.id.in_(
        sa.select(link.trial_id).where(
            link.project_id == tx.project_id, link.study_id == made["study_id"]
        )
    )
    key = config_hash(made["family"], json.loads(made["config"]))
    is_run = (is_looked_at, trial.run_id.is_not(None))
    scalars = {
        f"{TEST}{scalar.unit if name == 'loss' else name}": scalar.value
        for name, scalar in evidence.scalars.items()
        if ":" not in name and math.isfinite(scalar.value)
    }
    ids = values(tx, trial.id, *is_run, config_hash=key, state=State.COMPLETE)
    for id_ in ids:
        known = {*values(tx, result.metric, trial_id=id_)}
        results = {
            name: v for name, v in scalars.items() if f"val_{name.removeprefix(TEST)}" in known
        }
        delete(tx, schema.result, trial_id=id_, metric=[name for name in results if name in known])
        insert(tx, schema.result, result_rows(id_, made["family"], results))
    announce(tx, "trial", ids)


def _json_real(value: float) -> float | str | None:
    """Number as JSON value; infinity, which JSON lacks, as the text that float() reads."""
    return str(value) if math.isinf(value) else real(value)


def real(value: float | None) -> float | None:
    """Number as databases store it: NaN is NULL."""
    return None if value is None or value != value else float(value)
