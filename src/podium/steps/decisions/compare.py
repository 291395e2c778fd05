"""Compare candidates or trials: settings, figures, and a test of the difference."""

from __future__ import annotations

import re
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
from podium.render.answer import Answer
from podium.render.table import cell
from podium.stats import diebold_mariano
from podium.stats.classification import class_differences
from podium.steps.data.own_code import directions
from podium.steps.evidence.comparison import by_period
from podium.steps.workspace.project import Project

# Fields that must agree for figures to be comparable.
GROUNDS = {
    "trials": ("metric", "dataset_fingerprint", "task_hash", "split_hash", "fold"),
    "candidates": ("slot", "dataset_fingerprint"),
}
# Values and direction of each figure by name.
Figures = dict[str, tuple[tuple[Any, ...], str]]
# Shown beside Sharpe ratios, also where the candidates share it.
BENCHMARK = "backtest equal weight:sharpe"
# Figures of candidates in a table without --all.
MAIN = re.compile(
    r"validation (loss|mse|mae|wrong_direction|macro_f1|balanced_accuracy|accuracy|log_loss)"
    r"|test (loss|r2|pct_mae)"
    r"|backtest candidate:(cagr|volatility|sharpe|max_drawdown|turnover)"
    rf"|{BENCHMARK}"
    r"|evaluation (macro_f1|weighted_f1|balanced_accuracy|accuracy|log_loss|f1:.*)"
)


@dataclass(frozen=True)
class Row:
    """One setting or figure of each candidate or trial, in the order of the ids.

    Parameters
    ----------
    best : int or None
        Place of the better value; None for a tie, a setting, or figures that cannot be ranked.
    main : bool
        Whether tables show it without ``--all``.
    """

    what: str
    values: tuple[Any, ...]
    best: int | None = None
    main: bool = True

    @property
    def differs(self) -> bool:
        """Whether the values differ."""
        return any(value != self.values[0] for value in self.values[1:])


@dataclass(frozen=True)
class SideBySide(Answer):
    """Candidates or trials side by side: the result of ``compare``.

    Parameters
    ----------
    kind : str
        ``candidates`` or ``trials``.
    ids : tuple of str
    facts : tuple of Row
        Settings, then figures.
    differing : tuple of str
        Data, task or split fields that differ; if there are any, figures are not ranked.
    sentence : str
        Test of the difference between the first two, or the best score of trials.
    """

    kind: str
    ids: tuple[str, ...]
    facts: tuple[Row, ...]
    differing: tuple[str, ...]
    sentence: str

    def rows(self, *, every: bool = False) -> list[dict[str, Any]]:
        """Settings and main figures that differ, one column an id; ``*`` marks the better figure.

        Parameters
        ----------
        every : bool
            Every row.
        """
        rows = []
        for row in self.facts:
            if every or (row.main and (row.differs or row.what == BENCHMARK)):
                cells = [_text(value) for value in row.values]
                if row.best is not None:
                    cells[row.best] += " *"
                rows.append({"what": row.what, **dict(zip(self.ids, cells, strict=True))})
        return rows


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    # 12 digits of a hash are enough.
    return value[:12] if isinstance(value, str) and len(value) == 64 else cell(value)


def compare(project: Project, names: Sequence[str]) -> SideBySide:
    """Compare candidates, or trials, by their ids (or the beginnings of them).

    Figures from other data, another task or another split are shown and not ranked.

    Parameters
    ----------
    names : sequence of str
        Two ids or more.

    Returns
    -------
    SideBySide

    Raises
    ------
    UsageError
        Fewer than two ids, or ids of different kinds.
    NotFoundError
        No such candidate or trial.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.compare(["c-arx956z8qyp51", "c-b2m1x7k9q0d3f"]).frame()
    """
    reader = project.reader
    if len(names) < 2:
        raise UsageError(f"{len(names)} to compare", "two or more ids")
    matches = [reader.find(name) for name in names]
    kinds = {kind for kind, _ in matches}
    if len(kinds) > 1 or not kinds <= set(GROUNDS):
        raise UsageError(f"these are {', '.join(sorted(kinds))}", "candidates only, or trials only")
    [kind] = kinds
    things = [thing for _, thing in matches]
    differing = [g for g in GROUNDS[kind] if len({thing[g] for thing in things}) > 1]
    if kind == "candidates":
        figures, newest = _evidence(reader, things)
        judged = [mine[k] for mine in newest for k in ("test", "evaluation") if k in mine]
        if len({e["split_hash"] for e in judged}) > 1:
            differing.append("test interval")
        if len({e["dataset_fingerprint"] for e in judged if e["kind"] == "evaluation"}) > 1:
            differing.append("evaluation data")
    else:
        figures, judged = _scores(project, things), []
    rows = [Row(ground, tuple(thing[ground] for thing in things)) for ground in GROUNDS[kind]]
    rows += _settings(things)
    for name, (values, direction) in figures.items():
        best = None if differing else _best(values, direction)
        rows.append(Row(name, values, best, kind == "trials" or bool(MAIN.fullmatch(name))))
    ids = tuple(thing["id"] for thing in things)
    if differing:
        sentence = f"these differ in {', '.join(differing)}, so their figures cannot be ranked"
    elif judged and len(judged) == len(things):
        if all(evidence["kind"] == "evaluation" for evidence in judged):
            sentence = _class_difference(project, judged)
        else:
            sentence = _forecast_difference(project, things[0]["slot"], judged)
    elif kind == "candidates":
        sentence = "not every candidate is judged, so there is no test of their difference"
    else:
        scores, direction = figures["score"]
        best = _best(scores, direction)
        sentence = f"the scores ({things[0]['metric']}) have no best one"
        if best is not None:
            sentence = f"{ids[best]} has the best score: {things[0]['metric']} {scores[best]:.4g}"
    return SideBySide(kind, ids, tuple(rows), tuple(differing), sentence)


def _settings(things: Sequence[dict[str, Any]]) -> list[Row]:
    """Family and config, differing settings first."""
    names = dict.fromkeys(name for thing in things for name in thing["config"])
    rows = [Row("family", tuple(thing["family"] for thing in things))]
    rows += [Row(name, tuple(thing["config"].get(name) for thing in things)) for name in names]
    return sorted(rows, key=lambda row: not row.differs)


def _scores(project: Project, trials: Sequence[dict[str, Any]]) -> Figures:
    """Score, and the best epoch of every reported metric."""
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
        best = {name: max if way == "max" else min for name, way in ways.items()}
        epochs.append({name: best[name](values, default=None) for name, values in reported.items()})
    scores = tuple(trial["score"] for trial in trials)
    figures: Figures = {"score": (scores, way or registry.direction(first["metric"]))}
    for name in sorted({name for each in epochs for name in each}):
        figures[name] = (tuple(each.get(name) for each in epochs), ways[name])
    figures["seconds"] = (tuple(trial["seconds"] for trial in trials), "none")
    return figures


def _way(
    project: Project, row: dict[str, Any], trial: dict[str, Any], own: dict[tuple[str, str], str]
) -> str:
    """Direction of a reported metric: ``min``, ``max``, or for own code ``none``."""
    if not any(task == trial["task_hash"] for task, _ in own):
        return registry.direction(row["metric"])
    declared = own.get((trial["task_hash"], row["name"]))
    try:
        lower = lower_is_better(row["name"], project.config.metrics)
    except UsageError:
        return declared or "none"
    return declared or ("min" if lower else "max")


def _evidence(
    reader: RecordReader, candidates: Sequence[dict[str, Any]]
) -> tuple[Figures, list[dict[str, dict[str, Any]]]]:
    """Scalars of the newest evidence of each kind, and each candidate's evidence by kind."""
    newest: list[dict[str, dict[str, Any]]] = [{} for _ in candidates]
    for row in reversed(reader.rows("evidence")):
        for mine, candidate in zip(newest, candidates, strict=True):
            if row["candidate_id"] == candidate["id"]:
                mine[row["kind"]] = row
    figures: Figures = {}
    for kind in dict.fromkeys(kind for mine in newest for kind in mine):
        scalars = [mine[kind]["scalars"] if kind in mine else {} for mine in newest]
        for name in dict.fromkeys(name for each in scalars for name in each):
            values = tuple(_real(each[name][0]) if name in each else None for each in scalars)
            direction = next(each[name][2] for each in scalars if name in each)
            figures[f"{kind} {name}"] = (values, direction)
    return figures, newest


def _class_difference(project: Project, judged: Sequence[dict[str, Any]]) -> str:
    """A paired bootstrap of macro-F1 over the same samples, whole groups at a time."""
    first, second = (evidence["series"] for evidence in judged[:2])
    truth = project.reader.array(first["truth"])
    one, other = (
        project.reader.array(series["probabilities"]).reshape(len(truth), -1).astype(np.float64)
        for series in (first, second)
    )
    groups = project.reader.array(first["groups"]) if "groups" in first else None
    test = class_differences(truth, one, other, groups=groups)
    if test.reason:
        return f"the difference between the first two is undecidable: {test.reason}"
    interval = (
        f"macro-F1 of the first minus the second {test.macro_f1.value:+.4g} "
        f"({test.macro_f1.low:+.4g} to {test.macro_f1.high:+.4g} at 95 %), p = {test.p_value:.2g}"
    )
    better = "first" if test.macro_f1.value > 0 else "second"
    if test.p_value < 0.05:
        return f"on the same samples the {better} is better: {interval}"
    return f"on the same samples the first two are not distinguishable: {interval}"


def _forecast_difference(project: Project, slot: str, judged: Sequence[dict[str, Any]]) -> str:
    """Diebold-Mariano between the first two on the windows of the sealed test."""
    if all("index" in evidence["series"] for evidence in judged[:2]):
        a, b = _on_common_windows(project.reader, judged[:2])
    else:
        # Bar by bar, every ticker at each.
        a, b = (
            project.reader.array(evidence["series"]["loss"])
            .reshape(int(evidence["scalars"]["days"][0]), -1)
            .mean(axis=1, dtype=np.float64)
            for evidence in judged[:2]
        )
    test = diebold_mariano(a, b, project.config.slot(slot).horizon)
    if test.reason:
        return f"the difference on the sealed test is undecidable: {test.reason}"
    better = "first" if test.mean_difference < 0 else "second"
    if test.p_value < 0.05:
        return f"on the sealed test the {better} is better than the other (p = {test.p_value:.2g})"
    return f"on the sealed test the first two are not distinguishable (p = {test.p_value:.2g})"


def _on_common_windows(reader: RecordReader, judged: Sequence[dict[str, Any]]) -> list[np.ndarray]:
    """One loss a bar of each, over their common windows.

    In a universe tickers come and go, and a model with a longer window begins later with each.
    """
    indexes = [Index.unpack(reader.array(evidence["series"]["index"])) for evidence in judged]
    losses = [reader.array(evidence["series"]["loss"]) for evidence in judged]
    # A second since 1970 and a ticker's number: one whole number a window.
    tickers = 1 + max(int(index.item.max(initial=0)) for index in indexes)
    windows = [index.item + index.seconds * tickers for index in indexes]
    shared = np.intersect1d(windows[0], windows[1])
    common = [np.flatnonzero(np.isin(own, shared)) for own in windows]
    columns = zip(losses, common, indexes, strict=True)
    return [by_period(loss[rows], index.seconds[rows]) for loss, rows, index in columns]


def _best(values: Sequence[Any], direction: str) -> int | None:
    known = [v for v in values if v is not None and v == v]
    if direction not in ("min", "max") or len(known) < 2 or min(known) == max(known):
        return None
    best = min(known) if direction == "min" else max(known)
    return values.index(best) if list(values).count(best) == 1 else None


def _real(value: Any) -> float | None:
    return None if value is None else float(value)
