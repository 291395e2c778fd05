"""Export trials as lines, the tracker's file, a table or Optuna studies."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from podium import registry
from podium.errors import NotFoundError, UsageError
from podium.files import csv_text, full_disk_explained, write_new
from podium.hashing import canonical, strict
from podium.importers import sweep_results
from podium.ledger import runs, trial_facts
from podium.ledger.record_reader import RecordReader
from podium.record import lower_is_better
from podium.registry import Direction
from podium.steps.workspace.project import Project


@dataclass(frozen=True)
class Export:
    """Exported trials.

    Parameters
    ----------
    content : bytes
    trials : int
    left : tuple of str
        Omitted studies, each with the reason.
    """

    content: bytes
    trials: int
    left: tuple[str, ...] = ()


def export(project: Project, form: str, ids: Sequence[str] = ()) -> Export:
    """Export ended trials in one of the forms.

    Parameters
    ----------
    form : str
        ``jsonl``, ``sweep``, ``csv``, ``optuna-journal`` or ``optuna-sqlite``.
    ids : sequence of str
        Studies, trials or runs, candidates. Default: every ended trial.

    Returns
    -------
    Export

    Raises
    ------
    NotFoundError
        There is no such id, or no ended trial.
    """
    makers: dict[str, Callable[[Project, set[str] | None], Export]] = {
        "jsonl": _jsonl,
        "sweep": _sweep,
        "csv": _csv,
        "optuna-journal": partial(_optuna, form="journal"),
        "optuna-sqlite": partial(_optuna, form="database"),
    }
    if form not in makers:
        raise UsageError(f"no form '{form}'", ", ".join(makers))
    result = makers[form](project, _chosen(project.reader, ids) if ids else None)
    if not result.trials:
        raise NotFoundError("no trial to export", fix="run: podium list trials")
    return result


def write(path: Path, result: Export) -> None:
    """Write an export to a new file.

    Raises
    ------
    ConflictError
        The file exists with another content; it is not changed.
    """
    with full_disk_explained(path):
        write_new(path, result.content)


def named(reader: RecordReader, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the studies, trials and candidates with these ids, by kind."""
    rows: dict[str, list[dict[str, Any]]] = {"studies": [], "trials": [], "candidates": []}
    for start in ids:
        kind, row = reader.find(start)
        if kind not in rows:
            raise UsageError(f"{row['id']} is one of the {kind}", ", ".join(rows))
        rows[kind].append(row)
    return rows


def _chosen(reader: RecordReader, ids: Sequence[str]) -> set[str]:
    """Ids of the trials of these studies, trials and candidates."""
    rows = named(reader, ids)
    studies = [row["id"] for row in rows["studies"]]
    links = reader.select("study_trial", "trial_id", study_id=studies)
    trials = {row["id"] for row in rows["trials"]}
    return trials.union(row["trial_id"] for row in [*rows["candidates"], *links])


def _jsonl(project: Project, chosen: set[str] | None) -> Export:
    lines = [
        json.dumps(strict(trial), ensure_ascii=False, allow_nan=False)
        for trial in trial_facts.trials(project.reader, chosen)
    ]
    return Export("".join(line + "\n" for line in lines).encode(), len(lines))


def _sweep(project: Project, chosen: set[str] | None) -> Export:
    records = runs.runs(project.reader)
    kept = [record for record in records if chosen is None or record.trial_id in chosen]
    items = [sweep_results.to_json(record) for record in kept]
    content = json.dumps({"runs": items}, indent=1, ensure_ascii=False) + "\n"
    return Export(content.encode(), len(items))


def _csv(project: Project, chosen: set[str] | None) -> Export:
    """One row a trial, a column a parameter (``config.x``) and a metric."""
    facts = ("id", "run_id", "model_name", "state", "started_at", "seconds", "score")
    rows, columns = list[dict[str, Any]](), dict[str, None]()
    for trial in trial_facts.trials(project.reader, chosen):
        row = {name: trial[name] for name in facts}
        row |= {f"config.{name}": value for name, value in sorted(trial["config"].items())}
        row |= dict(sorted(trial["results"].items()))
        columns |= dict.fromkeys(row)
        rows.append(row)
    named = [*facts, *sorted(set(columns) - set(facts), key=lambda c: (c[:7] != "config.", c))]
    cells = [[_flat(row.get(name)) for name in named] for row in rows]
    return Export(csv_text([named, *cells]).encode(), len(rows))


def _flat(value: Any) -> Any:
    """Value of one cell: nested ones as JSON."""
    return canonical(strict(value)) if isinstance(value, Mapping | list) else value


def _optuna(project: Project, chosen: set[str] | None, form: str) -> Export:
    """One Optuna study for each of podium's, with the metric of the study."""
    from podium.importers import _journal as journals

    slots = {row["id"]: row["slot"] for row in project.reader.rows("studies")}
    by_study: dict[str, list[dict[str, Any]]] = {}
    for trial in trial_facts.trials(project.reader, chosen):
        for study_id in dict.fromkeys(link["study_id"] for link in trial["studies"]):
            by_study.setdefault(study_id, []).append(trial)
    studies, left, count = {}, list[str](), 0
    for study_id, members in by_study.items():
        directions = _directions(members, project.config.metrics)
        if not directions:
            left.append(f"study {study_id}: no metric of it has a known direction")
            continue
        exported = [journals.Exported(**_exported(trial, directions)) for trial in members]
        count += len(exported)
        studies[f"{slots[study_id]} {study_id}"] = (directions, exported)
    content = getattr(journals, form)(studies) if studies else b""
    return Export(content, count, tuple(left))


def _directions(
    members: Sequence[Mapping[str, Any]], declared: Mapping[str, str]
) -> dict[str, str]:
    """Metric of a study's trials and its better direction."""
    for member in members:
        imported: Mapping[str, str] = member["extras"].get("other", {}).get("directions", {})
        if imported:
            return dict(imported)
    own = Counter(member["metric"] for member in members if member["metric"])
    if own:
        metric = own.most_common(1)[0][0]
        return {f"val_{metric}": _way(metric)}
    seen = Counter(name for member in members for name in member["results"])
    for name, _ in sorted(seen.items(), key=lambda n: (-n[1], not n[0].startswith("val_"), n[0])):
        try:
            return {name: "minimize" if lower_is_better(name, declared) else "maximize"}
        except UsageError:
            continue
    return {}


def _way(metric: str) -> str:
    """Better direction of a metric in Optuna's words; an unknown metric is taken for an error."""
    known = registry.exists("metrics", metric)
    return (registry.direction(metric) if known else Direction.MIN).verb


def _exported(trial: Mapping[str, Any], directions: Mapping[str, str]) -> dict[str, Any]:
    names = list(directions)
    values = [trial["results"].get(name) for name in names]
    if values == [None] and trial["metric"] and trial["score"] is not None:
        values = [trial["score"]]
    imported = trial["extras"].get("other", {})
    facts = ("id", "run_id", "model_name", "origin", "key", "checkpoint", "artifact", "reason")
    attributes = {f"podium.{name}": trial[name] for name in facts if trial[name]}
    return {
        "state": trial["state"],
        "config": trial["extras"].get("hyperparams") or trial["config"],
        "values": [math.nan if value is None else value for value in values],
        "started": trial["started_at"],
        "ended": trial["ended_at"],
        "curve": [math.nan if v is None else v for v in trial["curves"].get(names[0], ())],
        "distributions": imported.get("distributions", {}),
        "attributes": {**imported.get("user_attrs", {}), **attributes},
    }
