"""Hold candidates or trials side by side: what differs, and whether it can be told from chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium import registry
from podium.errors import UsageError
from podium.index import Index
from podium.ledger import trial_facts
from podium.ledger.record_reader import RecordReader
from podium.record import lower_is_better
from podium.stats import diebold_mariano
from podium.stats.classification import class_differences
from podium.steps.data.own_code import directions
from podium.steps.evidence.comparison import by_period
from podium.steps.workspace.project import Project

# What must be the same for two figures to be about the same thing.
GROUNDS = {
    "trials": ("metric", "dataset_fingerprint", "task_hash", "split_hash", "fold"),
    "candidates": ("slot", "dataset_fingerprint"),
}


@dataclass(frozen=True)
class Row:
    """One fact of each thing, in the order they were named.

    Parameters
    ----------
    best : int or None
        Which one is better; None where neither is, or where they cannot be ranked.
    """

    what: str
    values: tuple[Any, ...]
    best: int | None = None

    @property
    def differs(self) -> bool:
        """Whether the things differ in it."""
        return any(value != self.values[0] for value in self.values[1:])


@dataclass(frozen=True)
class SideBySide:
    """Things side by side.

    Parameters
    ----------
    kind : str
        ``candidates`` or ``trials``.
    differing : tuple of str
        Grounds on which they differ; not empty: their figures are never ranked.
    sentence : str
        Whether the difference between the first two can be told from chance.
    """

    kind: str
    ids: tuple[str, ...]
    rows: tuple[Row, ...]
    differing: tuple[str, ...]
    sentence: str


def compare(project: Project, names: Sequence[str]) -> SideBySide:
    """Compare candidates, or trials, by their ids (or the beginnings of them).

    Figures from other data, another task or another split are shown and never ranked.

    Raises
    ------
    UsageError
        Fewer than two, or things of different kinds.
    NotFoundError
        There is no such candidate or trial.
    """
    reader = project.reader
    if len(names) < 2:
        raise UsageError(f"{len(names)} to compare", "two or more ids")
    found = [reader.find(name) for name in names]
    kinds = {kind for kind, _ in found}
    if len(kinds) > 1 or not kinds <= set(GROUNDS):
        raise UsageError(f"these are {', '.join(sorted(kinds))}", "candidates only, or trials only")
    [kind] = kinds
    things = [thing for _, thing in found]
    differing = [g for g in GROUNDS[kind] if len({thing[g] for thing in things}) > 1]
    if kind == "candidates":
        figures, newest = _evidence(reader, things)
        looked = [mine[k] for mine in newest for k in ("test", "evaluation") if k in mine]
        if len({e["split_hash"] for e in looked}) > 1:
            differing.append("test interval")
        if len({e["dataset_fingerprint"] for e in looked if e["kind"] == "evaluation"}) > 1:
            differing.append("evaluation data")
    else:
        figures, looked = _scores(project, things), []
    rows = [Row(ground, tuple(thing[ground] for thing in things)) for ground in GROUNDS[kind]]
    rows += _settings(things)
    rows += [
        Row(name, values, None if differing else _best(values, direction))
        for name, (values, direction) in figures.items()
    ]
    sentence = ""
    if differing:
        sentence = f"they differ in {', '.join(differing)}, so their figures cannot be ranked"
    elif len(looked) == len(things):
        sentence = _told_apart(project, things, looked)
    ids = tuple(thing["id"] for thing in things)
    return SideBySide(kind, ids, tuple(rows), tuple(differing), sentence)


def _settings(things: Sequence[dict[str, Any]]) -> list[Row]:
    """Family and config, what differs first."""
    names = dict.fromkeys(name for thing in things for name in thing["config"])
    rows = [Row("family", tuple(thing["family"] for thing in things))]
    rows += [Row(name, tuple(thing["config"].get(name) for thing in things)) for name in names]
    return sorted(rows, key=lambda row: not row.differs)


def _scores(
    project: Project, trials: Sequence[dict[str, Any]]
) -> dict[str, tuple[tuple[Any, ...], str]]:
    """Score and the best epoch of every reported metric."""
    reader, own = project.reader, directions(project.reader)
    first = trials[0]
    way = own.get((first["task_hash"], first["metric"]))
    epochs: list[dict[str, float | None]] = []
    ways: dict[str, str] = {}
    for trial in trials:
        reported: dict[str, list[float]] = {}
        for row in trial_facts.scores(reader, [trial["id"]])[trial["id"]]:
            ways[row["name"]] = _way(project, row, trial, own)
            values = reported.setdefault(row["name"], [])
            values += [] if row["value"] is None else [row["value"]]
        epochs.append(
            {
                name: (max if ways[name] == "max" else min)(values, default=None)
                for name, values in reported.items()
            }
        )
    figures: dict[str, tuple[tuple[Any, ...], str]] = {
        "score": (
            tuple(trial["score"] for trial in trials),
            way or registry.direction(first["metric"]),
        )
    }
    for name in sorted({name for each in epochs for name in each}):
        figures[name] = (tuple(each.get(name) for each in epochs), ways[name])
    figures["seconds"] = (tuple(trial["seconds"] for trial in trials), "none")
    return figures


def _way(
    project: Project,
    row: dict[str, Any],
    trial: dict[str, Any],
    own: dict[tuple[str, str], str],
) -> str:
    """Which way a reported metric is better; of own code also: not known."""
    if not any(task == trial["task_hash"] for task, _ in own):
        return registry.direction(row["metric"])
    said = own.get((trial["task_hash"], row["name"]))
    try:
        lower = lower_is_better(row["name"], project.config.metrics)
    except UsageError:
        return said or "none"
    return said or ("min" if lower else "max")


def _evidence(
    reader: RecordReader, candidates: Sequence[dict[str, Any]]
) -> tuple[dict[str, tuple[tuple[Any, ...], str]], list[dict[str, dict[str, Any]]]]:
    """Scalars of the newest evidence of each kind, and each candidate's evidence by kind."""
    newest: list[dict[str, dict[str, Any]]] = [{} for _ in candidates]
    for row in reversed(reader.rows("evidence")):
        for mine, candidate in zip(newest, candidates, strict=True):
            if row["candidate_id"] == candidate["id"]:
                mine[row["kind"]] = row
    figures: dict[str, tuple[tuple[Any, ...], str]] = {}
    for kind in dict.fromkeys(kind for mine in newest for kind in mine):
        scalars = [mine[kind]["scalars"] if kind in mine else {} for mine in newest]
        for name in dict.fromkeys(name for each in scalars for name in each):
            values = tuple(_real(each[name][0]) if name in each else None for each in scalars)
            direction = next(each[name][2] for each in scalars if name in each)
            figures[f"{kind} {name}"] = (values, direction)
    return figures, newest


def _told_apart(
    project: Project, candidates: Sequence[dict[str, Any]], looked: Sequence[dict[str, Any]]
) -> str:
    """Whether the first two differ by more than chance, on what both were judged on."""
    if all(evidence["kind"] == "evaluation" for evidence in looked):
        return _classes_apart(project, looked)
    return _forecasts_apart(project, candidates, looked)


def _classes_apart(project: Project, looked: Sequence[dict[str, Any]]) -> str:
    """A paired bootstrap of macro-F1 over the same samples, whole groups at a time."""
    first, second = (evidence["series"] for evidence in looked[:2])
    truth = project.reader.array(first["truth"])
    one, other = (
        project.reader.array(series["probabilities"]).reshape(len(truth), -1).astype(np.float64)
        for series in (first, second)
    )
    groups = project.reader.array(first["groups"]) if "groups" in first else None
    found = class_differences(truth, one, other, groups=groups)
    told = (
        f"the first's macro-F1 is {found.macro_f1.value:+.4g} off the second's "
        f"({found.macro_f1.low:+.4g} to {found.macro_f1.high:+.4g} at 95 %)"
    )
    if found.reason:
        return f"whether the first two differ cannot be told: {found.reason}"
    better = "first" if found.macro_f1.value > 0 else "second"
    if found.p_value < 0.05:
        return f"on the same samples the {better} is better: {told}, p = {found.p_value:.2g}"
    return f"on the same samples the first two cannot be told apart: {told}"


def _forecasts_apart(
    project: Project, candidates: Sequence[dict[str, Any]], looked: Sequence[dict[str, Any]]
) -> str:
    """Diebold-Mariano between the first two on the windows of the sealed test."""
    section = project.config.slot(candidates[0]["slot"])
    if all("index" in evidence["series"] for evidence in looked[:2]):
        a, b = _on_common_windows(project.reader, looked[:2])
    else:
        # Bar by bar, every ticker at each.
        a, b = (
            project.reader.array(evidence["series"]["loss"])
            .reshape(int(evidence["scalars"]["days"][0]), -1)
            .mean(axis=1, dtype=np.float64)
            for evidence in looked[:2]
        )
    test = diebold_mariano(a, b, section.horizon)
    if test.reason:
        return f"whether the first two differ on the sealed test cannot be told: {test.reason}"
    better = "first" if test.mean_difference < 0 else "second"
    if test.p_value < 0.05:
        return f"on the sealed test the {better} is better than the other (p = {test.p_value:.2g})"
    return f"on the sealed test the first two cannot be told apart (p = {test.p_value:.2g})"


def _on_common_windows(reader: RecordReader, looked: Sequence[dict[str, Any]]) -> list[np.ndarray]:
    """One loss a bar of each, over the windows that all were judged on.

    In a universe tickers come and go, and a model with a longer window begins later with each.
    """
    indexes = [Index.unpack(reader.array(evidence["series"]["index"])) for evidence in looked]
    losses = [reader.array(evidence["series"]["loss"]) for evidence in looked]
    # A second since 1970 and a ticker's number: one whole number a window.
    tickers = 1 + max(int(index.item.max(initial=0)) for index in indexes)
    names = [index.item + index.seconds * tickers for index in indexes]
    shared = np.intersect1d(names[0], names[1])
    kept = [np.flatnonzero(np.isin(name, shared)) for name in names]
    return [
        by_period(loss[rows], index.seconds[rows])
        for loss, rows, index in zip(losses, kept, indexes, strict=True)
    ]


def _best(values: Sequence[Any], direction: str) -> int | None:
    known = [v for v in values if v is not None and v == v]
    if direction not in ("min", "max") or len(known) < 2 or min(known) == max(known):
        return None
    best = min(known) if direction == "min" else max(known)
    return values.index(best) if list(values).count(best) == 1 else None


def _real(value: Any) -> float | None:
    return None if value is None else float(value)
