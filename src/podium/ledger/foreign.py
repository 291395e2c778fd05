"""Runs that podium did not train, logged by trackers or read by importers, as trials."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from podium.hashing import digest, digest_bytes, json_text, new_id
from podium.importers._base import Imported
from podium.ledger import schema, writes
from podium.ledger.ledger import Transaction, now
from podium.ledger.statements import insert, select, value
from podium.record import Record, part_of
from podium.study import Study
from podium.trial import BUDGET, State, run_name

# Origin of runs logged by a tracker.
TRACKER = "tracker"


def put_records(
    tx: Transaction,
    study: Study,
    records: Sequence[Record],
    *,
    origin: str,
    environment_hash: str | Sequence[str],
) -> list[tuple[Record, bool]]:
    """Write finished runs that podium did not train, as trials of a study.

    Parameters
    ----------
    records : sequence of Record
        A ``run_id`` is kept if it is unused (else it gets ``-2``, ``-3`` ...); a record without
        one gets a name made from its model and time stamp.
    origin : str
        ``tracker``, or the source of the import: a record of a source is written once, however
        often it is imported.
    environment_hash : str or sequence of str
        One for all records, or one per record.

    Returns
    -------
    list of (Record, bool)
        In the given order, with run and trial id, and whether the record is new.
    """
    keys = [_key(record, origin) for record in records]
    environments = (
        [environment_hash] * len(records) if isinstance(environment_hash, str) else environment_hash
    )
    trial = schema.trial.c
    present = select(tx, [trial.key, trial.run_id, trial.id], key=keys)
    known = {row["key"]: (row["run_id"], row["id"]) for row in present}
    written: list[tuple[Record, bool]] = []
    rows: list[dict[str, Any]] = []
    fresh: list[Record] = []
    unseen = {k: r for r, k in zip(records, keys, strict=True) if k not in known}
    wanted = [r.run_id or run_name(r.model_name, r.timestamp) for r in unseen.values()]
    names = writes.unused_names(tx, wanted)
    for record, key, environment in zip(records, keys, environments, strict=True):
        if key in known:
            run_id, trial_id = known[key]
            written.append((replace(record, run_id=run_id, trial_id=trial_id), False))
            continue
        new = replace(record, run_id=next(names), trial_id=new_id("t"))
        known[key] = (new.run_id, new.trial_id)
        written.append((new, True))
        fresh.append(new)
        rows.append(_row(new, key, origin, environment))
    if not fresh:
        return written
    insert(tx, schema.trial, rows)
    results = [
        row
        for record in fresh
        for row in writes.result_rows(record.trial_id, record.model_name, record.metrics)
    ]
    insert(tx, schema.result, results)
    insert(tx, schema.score, [row for record in fresh for row in _scores(record)])
    ids = [record.trial_id for record in fresh]
    phase, link = origin.partition(":")[0], schema.study_trial.c
    last = value(tx, link.number, order=link.number.desc(), study_id=study.id, phase=phase)
    writes.link_trials(tx, study.id, phase, ids, 0 if last is None else last + 1)
    writes.announce(tx, "trial", ids)
    return written


def put_imported(tx: Transaction, imported: Imported, slot: str) -> list[tuple[Record, bool]]:
    """Write the records of another tool's file into a separate study.

    They have no data fingerprint, so they are compared among themselves only; their configs count
    as tested in the selection bias of the slot's searches.
    """
    study = writes.put_study(tx, slot, {"import": imported.source})
    environments = {
        commit: writes.put_environment(tx, {"git_commit": commit, "packages": {}, "machine": {}})
        for commit in dict.fromkeys(record.git_commit for record in imported.records)
    }
    return put_records(
        tx,
        study,
        imported.records,
        origin=f"import:{imported.source}",
        environment_hash=[environments[record.git_commit] for record in imported.records],
    )


def _key(record: Record, origin: str) -> str:
    """Key of a record: equal for the same imported record, unique for each logged one."""
    if origin == TRACKER:
        return digest([TRACKER, new_id("k")])
    if "id" in record.extras:
        return digest(["record", origin, record.extras["id"]])
    parts = {**vars(record), "trial_id": ""}
    return digest_bytes(json_text(["record", origin, parts]).encode())


def _row(record: Record, key: str, origin: str, environment_hash: str) -> dict[str, Any]:
    # Databases read strict JSON; the exact hyperparameters are kept in ``extras``.
    config = json_text(_strict(json.loads(json_text(record.hyperparams))))
    # Computed as config_hash does it, which accepts no NaN.
    hashed = {k: v for k, v in record.hyperparams.items() if k != BUDGET}
    extras = dict(record.extras)
    if origin != TRACKER:
        # podium did not see the code; these are the values from the file.
        code = {"git_dirty": record.git_dirty, "git_diff_hash": record.git_diff_hash}
        extras.update({k: v for k, v in code.items() if v is not None})
    if "NaN" in (exact := json_text(record.hyperparams)) or "Infinity" in exact:
        extras["hyperparams"] = record.hyperparams
    return {
        "id": record.trial_id,
        "key": key,
        "family": record.model_name,
        "config": config,
        "config_hash": digest_bytes(json_text([record.model_name, hashed]).encode()),
        **dict.fromkeys(("dataset_fingerprint", "task_hash", "split_hash", "metric"), ""),
        **dict.fromkeys(("family_version", "fold", "seed", "best_epoch"), 0),
        "state": State(record.state),
        "score": None,
        "environment_hash": environment_hash,
        "seconds": writes.real(record.training_time_seconds),
        "reason": record.reason,
        "created_at": record.timestamp,
        "ended_at": now(),
        "run_id": record.run_id,
        "origin": origin,
        "extras": json_text(extras) if extras else None,
        "checkpoint": record.checkpoint_path,
        "notes": record.notes,
        "epochs": max(map(len, record.curves.values()), default=0),
    }


def _strict(value: Any) -> Any:
    """JSON value with every number that is not finite as text."""
    if isinstance(value, dict):
        return {k: _strict(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_strict(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _scores(record: Record) -> Iterator[dict[str, Any]]:
    for name, values in record.curves.items():
        part, metric = part_of(name)
        for epoch, reported in enumerate(values, 1):
            yield {
                "trial_id": record.trial_id,
                "part": part,
                "fold": 0,
                "epoch": epoch,
                "metric": metric,
                "value": writes.real(reported),
            }
