"""Runs as trackers show them: the best ones, tables and the impact of hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podium.ledger import trial_facts
from podium.ledger.columns import json_column
from podium.ledger.notes import note_line, notes_of
from podium.ledger.record_reader import RecordReader
from podium.record import Record, finite, nan_if_null

_COLUMNS = (
    "t.seq, t.id, t.run_id, t.family, t.created_at, t.config, t.seconds, t.notes, t.checkpoint, "
    "t.extras, t.origin, t.state, t.reason, e.git_commit, e.git_dirty, "
    "e.git_diff_hash"
)
_FROM_RESULTS = "FROM result r JOIN trial t ON t.project_id = r.project_id AND t.id = r.trial_id"
_WITH_CODE = (
    "LEFT JOIN environment e ON e.project_id = t.project_id AND e.hash = t.environment_hash"
)
_FROM = f"FROM trial t {_WITH_CODE}"
# A run is a complete trial with a run id.
_NAMED = "t.run_id IS NOT NULL AND t.state = 'complete'"
_IS_RUN = f"t.project_id = ? AND {_NAMED}"
_OF_SLOT = (
    "SELECT l.trial_id FROM study_trial l JOIN study s ON s.project_id = l.project_id "
    "AND s.id = l.study_id WHERE l.project_id = ? AND s.slot = ?"
)


@dataclass(frozen=True)
class Among:
    """Condition on the trials of a query, and its parameters."""

    sql: str = ""
    values: tuple[str, ...] = ()


ALL = Among()


def comparable(
    reader: RecordReader,
    metric: str = "",
    *,
    slot: str | None = None,
    model_names: Sequence[str] | None = None,
) -> tuple[Among, list[str], int]:
    """Runs that may be ranked together: those with the data, task and split of the newest one.

    Logged and imported runs have none of these and count as comparable.

    Parameters
    ----------
    metric : str
        Only runs that have it; empty: all.
    slot : str, optional
        Only runs of this slot.

    Returns
    -------
    Among
        Condition of these runs.
    list of str
        Slots of the runs, if more than one and with different data, task or split; else empty.
    int
        Number of other runs.
    """
    where, values = _of_models(model_names)
    of_slot = Among()
    if slot is not None:
        of_slot = Among(f" AND t.id IN ({_OF_SLOT})", (reader.project_id, slot))
    has = ""
    if metric:
        has = (
            " AND EXISTS (SELECT 1 FROM result r WHERE r.project_id = t.project_id "
            "AND r.trial_id = t.id AND r.metric = ?)"
        )
    sql = (
        "SELECT s.slot, t.dataset_fingerprint, t.task_hash, t.split_hash, max(t.seq) AS newest, "
        "count(*) AS runs FROM trial t "
        "JOIN study_trial l ON l.project_id = t.project_id AND l.trial_id = t.id "
        "JOIN study s ON s.project_id = l.project_id AND s.id = l.study_id "
        f"WHERE {_IS_RUN} AND t.task_hash <> ''{where}{of_slot.sql}{has} "
        "GROUP BY s.slot, t.dataset_fingerprint, t.task_hash, t.split_hash ORDER BY newest"
    )
    named = (*values, *of_slot.values, *((metric,) if metric else ()))
    rows = reader.query(sql, reader.project_id, *named)
    if slot is not None:
        rows = [row for row in rows if row["slot"] == slot]
    keys = ("dataset_fingerprint", "task_hash", "split_hash")
    grounds = [tuple(row[key] for key in keys) for row in rows]
    if len(set(grounds)) < 2:
        return of_slot, [], 0
    newest = grounds[-1]
    others = [row for row, ground in zip(rows, grounds, strict=True) if ground != newest]
    slots = sorted({row["slot"] for row in rows})
    same = " AND ".join(f"t.{key} = ?" for key in keys)
    among = Among(f"{of_slot.sql} AND (t.task_hash = '' OR {same})", (*of_slot.values, *newest))
    return among, slots if len(slots) > 1 else [], sum(row["runs"] for row in others)


def runs(
    reader: RecordReader, model_names: Sequence[str] | None = None, among: Among = ALL
) -> list[Record]:
    """Every complete run, oldest first."""
    where, values = _of_models(model_names, among=among)
    sql = f"SELECT {_COLUMNS} {_FROM} WHERE {_IS_RUN}{where} ORDER BY t.seq"
    return _records(reader, reader.query(sql, reader.project_id, *values))


def top(
    reader: RecordReader,
    metric: str,
    k: int,
    *,
    minimize: bool,
    model_names: Sequence[str] | None = None,
    among: Among = ALL,
) -> list[Record]:
    """The best runs by one metric, best first; NaN, infinite and missing values never win."""
    where, values = _of_models(model_names, "r", among)
    way = "ASC" if minimize else "DESC"
    sql = (
        f"SELECT {_COLUMNS} {_FROM_RESULTS} {_WITH_CODE} WHERE r.project_id = ? AND r.metric = ? "
        f"AND r.value > ? AND r.value < ?{where} AND {_NAMED} "
        f"ORDER BY r.value {way}, t.seq LIMIT {int(k)}"
    )
    rows = reader.query(sql, reader.project_id, metric, -math.inf, math.inf, *values)
    return _records(reader, rows)


def table(
    reader: RecordReader,
    metrics: Sequence[str],
    model_names: Sequence[str] | None = None,
    among: Among = ALL,
) -> list[dict[str, Any]]:
    """Run id, model and these metrics of every complete run, oldest first; missing values: NaN."""
    where, values = _of_models(model_names, among=among)
    columns = "t.id, t.run_id, t.family AS model_name"
    sql = f"SELECT {columns} FROM trial t WHERE {_IS_RUN}{where} ORDER BY t.seq"
    rows = reader.query(sql, reader.project_id, *values)
    by_trial = {row.pop("id"): {**row, **dict.fromkeys(metrics, math.nan)} for row in rows}
    for metric in metrics:
        for trial_id, value in _values(reader, metric).items():
            if trial_id in by_trial:
                by_trial[trial_id][metric] = value
    return list(by_trial.values())


def impact(
    reader: RecordReader, model_name: str, hyperparam: str, metric: str, among: Among = ALL
) -> list[dict[str, Any]]:
    """Hyperparameter and metric of every complete run of a model that has the hyperparameter.

    Sorted by the hyperparameter, numbers before texts.
    """
    where, values = _of_models([model_name], among=among)
    sql = f"SELECT t.id, t.run_id, t.config FROM trial t WHERE {_IS_RUN}{where}"
    rows = reader.query(sql, reader.project_id, *values)
    measured = _values(reader, metric)
    pairs = []
    for row in rows:
        config = json_column(row, "config")
        if hyperparam in config:
            value = measured.get(row["id"], math.nan)
            pairs.append({"run_id": row["run_id"], hyperparam: config[hyperparam], metric: value})
    return sorted(pairs, key=lambda row: sort_key(row[hyperparam]))


@dataclass(frozen=True)
class Observation:
    """A complete run with one of its metrics.

    Parameters
    ----------
    grounds : tuple of str
        Dataset, task and split; runs that differ in one are not comparable.
    value : float
        NaN if not finite.
    """

    run_id: str
    family: str
    config: Mapping[str, Any]
    grounds: tuple[str, str, str]
    value: float


def observations(reader: RecordReader, metric: str) -> list[Observation]:
    """Every complete run that reported a metric, oldest first."""
    sql = (
        "SELECT t.run_id, t.family, t.config, t.dataset_fingerprint, t.task_hash, t.split_hash, "
        f"r.value {_FROM_RESULTS} WHERE r.metric = ? AND {_IS_RUN} ORDER BY t.seq"
    )
    return [
        Observation(
            row["run_id"],
            row["family"],
            json_column(row, "config"),
            (row["dataset_fingerprint"], row["task_hash"], row["split_hash"]),
            row["value"] if finite(row["value"]) else math.nan,
        )
        for row in reader.query(sql, metric, reader.project_id)
    ]


_SEARCHED = (
    "t.id, t.run_id, t.family, t.config, t.state, t.score, t.metric, t.epochs, t.loss_hash, "
    "t.index_hash, t.dataset_fingerprint, t.task_hash, t.split_hash"
)


@dataclass(frozen=True)
class SearchedTrial:
    """A complete or pruned trial of a search, or a baseline, with the hashes of its series.

    Parameters
    ----------
    grounds : tuple of str
        As of :class:`Observation`.
    score : float
        In the metric that it was searched by; NaN without one.
    """

    id: str
    run_id: str
    family: str
    config: dict[str, Any]
    is_complete: bool
    score: float
    metric: str
    epochs: int
    loss_hash: str | None
    index_hash: str | None
    grounds: tuple[str, str, str]


def searched(reader: RecordReader, among: Among = ALL) -> list[SearchedTrial]:
    """Every complete or pruned run, oldest first."""
    sql = (
        f"SELECT {_SEARCHED} FROM trial t WHERE t.project_id = ? AND t.run_id IS NOT NULL "
        f"AND t.state IN ('complete', 'pruned'){among.sql} ORDER BY t.seq"
    )
    return [_searched(row) for row in reader.query(sql, reader.project_id, *among.values)]


def baselines(reader: RecordReader, slot: str, phase: str) -> list[SearchedTrial]:
    """Complete baselines of the searches of a slot, oldest first.

    Parameters
    ----------
    phase : str
        Phase of a study's baselines.
    """
    sql = (
        f"SELECT DISTINCT t.seq, {_SEARCHED} FROM trial t "
        "JOIN study_trial l ON l.project_id = t.project_id AND l.trial_id = t.id "
        "JOIN study s ON s.project_id = l.project_id AND s.id = l.study_id "
        "WHERE t.project_id = ? AND l.phase = ? AND s.slot = ? AND t.state = 'complete' "
        "ORDER BY t.seq"
    )
    return [_searched(row) for row in reader.query(sql, reader.project_id, phase, slot)]


def _searched(row: Mapping[str, Any]) -> SearchedTrial:
    return SearchedTrial(
        row["id"],
        row["run_id"] or "",
        row["family"],
        json_column(row, "config"),
        row["state"] == "complete",
        nan_if_null(row["score"]),
        row["metric"],
        row["epochs"],
        row["loss_hash"],
        row["index_hash"],
        (row["dataset_fingerprint"], row["task_hash"], row["split_hash"]),
    )


def sort_key(value: Any) -> tuple[int, float, str]:
    """Sort key: numbers by size, then all other values by their text."""
    if isinstance(value, int | float) and value == value:
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _values(reader: RecordReader, metric: str) -> dict[str, float]:
    """Results of a metric, by trial."""
    sql = "SELECT trial_id, value FROM result WHERE project_id = ? AND metric = ?"
    rows = reader.query(sql, reader.project_id, metric)
    return {row["trial_id"]: nan_if_null(row["value"]) for row in rows}


def _of_models(
    model_names: Sequence[str] | None, table: str = "t", among: Among = ALL
) -> tuple[str, tuple[str, ...]]:
    if model_names is None:
        return among.sql, among.values
    marks = ",".join("?" * len(model_names)) or "NULL"
    return f" AND {table}.family IN ({marks}){among.sql}", (*model_names, *among.values)


def _records(reader: RecordReader, rows: Sequence[dict[str, Any]]) -> list[Record]:
    """Records of trial rows, with their results and notes."""
    ids = [row["id"] for row in rows]
    metrics, notes = trial_facts.results(reader, ids), notes_of(reader, ids)
    return [_record(reader, row, metrics[row["id"]], notes.get(row["id"], [])) for row in rows]


def _record(
    reader: RecordReader,
    row: dict[str, Any],
    metrics: Mapping[str, float | None],
    notes: Sequence[dict[str, Any]],
) -> Record:
    extras = json_column(row, "extras")
    commit, diff, checkpoint = row["git_commit"], row["git_diff_hash"], row["checkpoint"]
    imported = row["origin"].startswith("import:")
    dirty = None if row["git_dirty"] is None or imported else bool(row["git_dirty"])
    if checkpoint is not None and not imported and "://" not in checkpoint:
        # Stored relative to the project, so that it stays valid when the project is moved.
        checkpoint = str(reader.root / checkpoint)
    return Record(
        run_id=row["run_id"],
        model_name=row["family"],
        timestamp=row["created_at"],
        hyperparams=extras.pop("hyperparams", None) or json_column(row, "config"),
        metrics={name: nan_if_null(value) for name, value in metrics.items()},
        checkpoint_path=checkpoint,
        training_time_seconds=row["seconds"],
        notes="\n".join([*filter(None, [row["notes"]]), *map(note_line, notes)]),
        git_commit=commit,
        git_dirty=extras.pop("git_dirty", dirty),
        git_diff_hash=extras.pop("git_diff_hash", diff),
        trial_id=row["id"],
        extras=extras,
        state=row["state"],
        reason=row["reason"],
    )
