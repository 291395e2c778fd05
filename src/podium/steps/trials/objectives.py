"""Objectives of a search: its metric, further metrics, and the filter for the best trial."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from podium import registry
from podium.config import Config
from podium.errors import Problems, UsageError, suggest
from podium.ledger import reads, writes
from podium.ledger.ledger import Transaction
from podium.ledger.reads import TrialRow
from podium.runners._output import best_of
from podium.split import Split
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.trial import State


def objectives(config: Config, slot: str) -> list[str]:
    """Metrics of ``tune.metric``, the deciding one first.

    Raises
    ------
    UsageError
        A metric does not exist, is of another task, or is repeated; lists all problems.
    """
    section = config.slot(slot)
    names = [name.strip() for name in config.tune.metric.split(",") if name.strip()]
    names = names or [section.metric]
    problems = Problems()
    fitting = [name for name in registry.names("metrics") if registry.task_of(name) == section.task]
    for name in names:
        if not registry.exists("metrics", name):
            problems.add(f"no metric '{name}'", fix=suggest(name, fitting))
        elif registry.task_of(name) != section.task:
            problems.add(f"metric '{name}' is not for task {section.task}", ", ".join(fitting))
    if len(set(names)) < len(names):
        problems.add(f"metrics are {', '.join(names)}", "each one once")
    UsageError.raise_for(problems)
    for name in names:
        registry.load("tasks", section.task).TASK.require_metric(name)
    return names


def recorded(config: Config, slot: str) -> list[str]:
    """Every metric a search needs of a trial: its objectives, and those in ``tune.where``."""
    task, words = config.slot(slot).task, set(re.findall(r"val_(\w+)", config.tune.where))
    filters = [m for m in registry.names("metrics") if m in words and registry.task_of(m) == task]
    return list(dict.fromkeys([*objectives(config, slot), *filters]))


def with_metric(config: Config, slot: str, metric: str) -> Config:
    """The config with another metric for a slot."""
    section = config.slot(slot)
    if section.metric == metric:
        return config
    return replace(config, slots={**config.slots, slot: replace(section, metric=metric)})


def rescored(
    project: Project, data: TaskData, split: Split, rows: Sequence[TrialRow]
) -> list[TrialRow]:
    """Rows with their score in the slot's metric, including those trained for another one."""
    metric = data.section.metric
    others = [row for row in rows if row.metric != metric]
    if not others:
        return list(rows)
    if data.task.predicts:
        known = scores(project, data, split, others, [metric])
    else:
        known = _own_scores(project, data, others)
    return [
        row if row.metric == metric else replace(row, metric=metric, score=known[row.id][metric])
        for row in rows
    ]


def _own_scores(
    project: Project, data: TaskData, rows: Sequence[TrialRow]
) -> dict[str, dict[str, float]]:
    """Scores of own code in another metric than the one it was trained for, from its reports."""
    ledger, metric = project.ledger, data.section.metric
    scores = {}
    with ledger.reading() as tx:
        results = {
            id_: value for id_, _, value in reads.results(tx, [r.id for r in rows], [metric])
        }
        for row in rows:
            curve = reads.epochs_of(tx, row.id)
            best = best_of(curve, metric, data.section.direction)
            values = [values.get(metric) for values in curve.values()]
            # A result that is not an epoch's is the final report, which takes precedence.
            is_final = row.id in results and results[row.id] not in values
            score = results[row.id] if is_final else math.nan if best is None else best[1]
            scores[row.id] = {metric: score}
    return scores


def scores(
    project: Project, data: TaskData, split: Split, rows: Sequence[TrialRow], metrics: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Metrics of trials on their validation part, by trial; NaN without a forecast.

    Missing metrics are computed from the recorded forecasts (float32, so they agree with those of
    the training to seven digits) and recorded as ``val_<metric>``.
    """
    ledger = project.ledger
    known = {row.id: {row.metric: row.score} for row in rows}
    with ledger.reading() as tx:
        names = [f"val_{metric}" for metric in metrics]
        for id_, name, value in reads.results(tx, list(known), names):
            known[id_].setdefault(name.removeprefix("val_"), value)
        new = {
            row.id: {
                m: _score(project, tx, data, split, row, m)
                for m in metrics
                if m not in known[row.id]
            }
            for row in rows
            if row.state is State.COMPLETE
        }
    with ledger.transaction() as tx:
        for row in rows:
            if fresh := new.get(row.id):
                results = {f"val_{metric}": value for metric, value in fresh.items()}
                writes.put_results(tx, row.id, row.family, results)
                known[row.id].update(fresh)
    return {id_: {m: values.get(m, math.nan) for m in metrics} for id_, values in known.items()}


def _score(
    project: Project, tx: Transaction, data: TaskData, split: Split, row: TrialRow, metric: str
) -> float:
    if row.prediction_hash is None:
        return math.nan
    values = reads.array(tx, row.prediction_hash)
    [fold] = [fold for fold in split.folds if fold.number == row.fold]
    task, (_, validation) = data.task, data.task.parts(data.tuning, fold)
    prediction = task.read(values, data.tuning, fold)
    return task.score(metric, validation.truth(), prediction)[0]


def feasible(project: Project, where: str, rows: Collection[TrialRow]) -> set[str]:
    """Ids of the trials that meet a filter such as ``val_mae<0.1``.

    Raises
    ------
    UsageError
        The filter is malformed, or names a result on the sealed test.
    NotFoundError
        It names a metric that no trial has reported.
    """
    sealed = re.search(rf"\b{writes.TEST}\w+", where)
    if sealed:
        raise UsageError(
            f"the filter of the search names {sealed[0]}, a result on the sealed test",
            "metrics of the validation part, such as val_mae",
            f"val_{sealed[0].removeprefix(writes.TEST)}",
        )
    ids = [row.id for row in rows]
    if not where or not ids:
        return set(ids)
    mine = " or ".join(f"id={id_}" for id_ in ids)
    return {row["id"] for row in project.reader.rows("trials", where=f"({where}) and ({mine})")}


def pareto(values: Mapping[str, Mapping[str, float]], metrics: Sequence[str]) -> set[str]:
    """Trials that no other trial dominates: better in one metric, at least as good in all.

    Examples
    --------
    >>> sorted(pareto({"a": {"mse": 1, "mae": 3}, "b": {"mse": 2, "mae": 2},
    ...                "c": {"mse": 2, "mae": 3}}, ["mse", "mae"]))
    ['a', 'b']
    """
    signs = [registry.direction(metric).sign for metric in metrics]
    points = {
        id_: np.array([sign * scores[m] for sign, m in zip(signs, metrics, strict=True)])
        for id_, scores in values.items()
    }
    points = {id_: point for id_, point in points.items() if np.isfinite(point).all()}
    return {
        id_
        for id_, point in points.items()
        if not any((other <= point).all() and (other < point).any() for other in points.values())
    }
