"""Content of MLflow runs: params, metrics, tags and times of trials and studies."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.hashing import json_text
from podium.ledger.columns import json_column
from podium.ledger.ledger import Transaction
from podium.ledger.projections import _mlflow_facts
from podium.ledger.projections._mlflow_facts import Facts
from podium.trial import BASELINE, State, curves_csv

# Longest texts that MLflow 3 accepts; a mark ends texts that are cut.
NAME_LENGTH, PARAM_LENGTH, TAG_LENGTH, DIGEST_LENGTH = 250, 6000, 8000, 36
CUT = " ...(cut)"
STATUS = {State.COMPLETE: "FINISHED", State.PRUNED: "KILLED", State.FAILED: "FAILED"}
# Columns of a trial that are tags of its run.
_TAGGED = ("run_id", "origin", "state", "reason", "checkpoint", "git_diff_hash")
# Users' names of the window.
_WINDOWS = ("window", "window_size", "sequence_length", "seq_len")


@dataclass(frozen=True)
class Point:
    """One value of one metric at one epoch, at a moment in milliseconds since 1970.

    A result is of the whole training, not of one of its epochs.
    """

    name: str
    value: float
    moment: int
    step: int
    is_result: bool = False


@dataclass(frozen=True)
class Content:
    """One run of MLflow.

    Parameters
    ----------
    subject_id : str
        The trial or study it shows.
    parent_id : str or None
        The study of a trial.
    name : str
        Of a study; a trial's is made from the template and ``parts``.
    parts : mapping
        Values for a template of names; unknown ones are empty.
    status : str
        ``FINISHED``, ``FAILED`` or ``KILLED``.
    start, end : int
        Milliseconds since 1970.
    curves : str
        Every epoch as CSV; empty where there are none.
    dataset : mapping
        Fields of MLflow's dataset; empty where the record has none.
    artifact_hash : str or None
        The trial's artefact.
    judged : bool
        Whether that artefact is a candidate's.
    bundle : (folder, hash), or None
        An evaluation's files, relative to the project, and the hash of their manifest.
    """

    subject_id: str
    kind: str
    parent_id: str | None
    name: str
    parts: Mapping[str, str]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: Sequence[Point]
    status: str
    start: int
    end: int
    curves: str = ""
    dataset: Mapping[str, str] = field(default_factory=dict)
    artifact_hash: str | None = None
    judged: bool = False
    bundle: tuple[str, str] | None = None


def study(tx: Transaction, study_id: str, project: str) -> Content | None:
    """A study as the parent run of its trials; None if the record has no such study."""
    row = _mlflow_facts.of_study(tx, study_id)
    if row is None:
        return None
    start = _milliseconds(row["created_at"])
    tags = {
        "podium.kind": "study",
        "podium.study_id": study_id,
        "podium.slot": row["slot"],
        "podium.project": project,
        "podium.project_id": tx.project_id,
        "mlflow.note.content": "\n\n".join(_mlflow_facts.notes(tx, [study_id])),
    }
    return Content(
        subject_id=study_id,
        kind="study",
        parent_id=None,
        name=f"{row['slot']} {study_id}",
        parts={},
        params=_texts(_mlflow_facts.question_params(tx, row)),
        tags=tag_values(tags),
        points=(),
        status="FINISHED",
        start=start,
        end=max(start, _milliseconds(row["last_ended_at"])),
    )


def trial(tx: Transaction, trial_id: str, project: str, target: str) -> Content | None:
    """A trial as a run of one target; None if the record has no such trial."""
    facts = _mlflow_facts.of_trial(tx, trial_id, target)
    if facts is None:
        return None
    row, link = facts.row, facts.link
    start, end = _times(row)
    points, lost = _points(facts, start, end)
    evaluation = facts.evaluation
    tags = {
        "podium.kind": "trial",
        "podium.trial_id": trial_id,
        **{f"podium.{name}": link.get(name) for name in ("study_id", "slot", "phase")},
        **{f"podium.{name}": row[name] for name in _TAGGED},
        "podium.project": project,
        "podium.project_id": tx.project_id,
        "podium.not_finite": lost,
        "mlflow.source.git.commit": row["git_commit"],
        "mlflow.source.name": _source(row, link),
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": "\n\n".join(facts.notes),
        **(facts.candidate.tags if facts.candidate else {}),
    }
    return Content(
        subject_id=trial_id,
        kind="trial",
        parent_id=link.get("study_id"),
        name="",
        parts=_parts(facts),
        params=_params(facts),
        tags=tag_values(tags),
        points=points,
        status=STATUS.get(State(row["state"]), "RUNNING"),
        start=start,
        end=end,
        curves=curves_csv(facts.epochs),
        dataset=_dataset(facts),
        artifact_hash=row["artifact_hash"],
        judged=facts.candidate is not None,
        bundle=(evaluation["folder"], evaluation["bundle"]) if evaluation else None,
    )


def _dataset(facts: Facts) -> dict[str, str]:
    """The data of a trial as MLflow's dataset, identified by the fingerprint of its content."""
    row, split = facts.row["dataset"], facts.row["split"]
    if not row:
        return {}
    tickers = json_column(row, "tickers")
    parts = {name: split.get(name) for name in ("validation_from", "validation_to")}
    source = {"fingerprint": row["fingerprint"], "timeframe": row["timeframe"], **parts}
    profile = {"samples": row["bars"], "tickers": tickers}
    profile |= {"from": row["first_at"], "to": row["last_at"]}
    fields = {name: value for name, value in facts.task.items() if name != "versions"}
    return {
        "name": row["name"],
        "digest": row["fingerprint"][:DIGEST_LENGTH],
        "source_type": "podium",
        "source": json_text(source),
        "profile": json_text(profile),
        "schema": json_text(fields),
    }


def _times(row: Mapping[str, Any]) -> tuple[int, int]:
    """Start and end of a trial, in milliseconds since 1970."""
    start, seconds = _milliseconds(row["created_at"]), row["seconds"] or 0.0
    took = int(1000 * seconds) if math.isfinite(seconds) else 0
    if row["origin"]:
        # Of a logged or imported run only the duration is known.
        return start, start + took
    end = max(start, _milliseconds(row["ended_at"]))
    # Some trials are recorded after their end.
    return max(0, min(start, end - took)), end


def named(template: str, parts: Mapping[str, str]) -> str:
    """Name of a run; unknown parts are dropped with their separator.

    Examples
    --------
    >>> named("{data_version}-{window_size}-{model_tag}-{run_id}",
    ...       {"data_version": "us4", "window_size": "", "model_tag": "lstm", "run_id": "run4"})
    'us4-lstm-run4'
    """
    name = template.format(**parts)
    if not all(parts.values()):
        name = re.sub(r"([-_./ ])\1+", r"\1", name).strip("-_./ ")
    return _cut(name, NAME_LENGTH)


def _parts(facts: Facts) -> dict[str, str]:
    """Values for the name of a trial's run, without its number."""
    row, config = facts.row, json_column(facts.row, "config")
    windows = [facts.task.get("window"), *(config.get(name) for name in _WINDOWS)]
    window = next(filter(None, windows), None)
    dataset = row["dataset"].get("name", config.get("data_version", ""))
    user_values = _user_values(row)
    return {
        "data_version": str(user_values.get("data_version") or dataset),
        "window_size": f"l{window}" if window else "",
        "model_tag": str(user_values.get("model_tag") or row["family"]),
        "slot": facts.link.get("slot", ""),
        "trial_id": row["id"],
        "fold": str(row["fold"]),
        "seed": str(row["seed"]),
    }


def _user_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """The user's values beside the config of a trial that podium trained."""
    values: dict[str, Any] = (
        json_column(row, "extras") if row["extras"] and not row["origin"] else {}
    )
    return values


def _params(facts: Facts) -> dict[str, str]:
    """All settings of a trial; the config's names take precedence."""
    row, config = facts.row, json_column(facts.row, "config")
    settings: dict[str, Any] = {"family": row["family"]}
    if not row["origin"]:
        dataset, split = row["dataset"], row["split"]
        settings.update(
            family_version=row["family_version"],
            slot=facts.link.get("slot"),
            phase=facts.link.get("phase"),
            metric=row["metric"],
            dataset=dataset.get("name"),
            timeframe=dataset.get("timeframe"),
            tickers=json_column(dataset, "tickers") if dataset else None,
            dataset_fingerprint=row["dataset_fingerprint"],
            split=split.get("name", row["split_hash"]),
            validation_from=split.get("validation_from"),
            validation_to=split.get("validation_to"),
            fold=row["fold"],
            seed=row["seed"],
        )
        settings.update({name: value for name, value in facts.task.items() if name != "versions"})
    for name, value in _user_values(row).get("flags", {}).items():
        config.setdefault(name, value)
    for name, value in settings.items():
        if value is not None:
            config.setdefault(f"podium.{name}" if name in config else name, value)
    return _texts(config)


def _points(facts: Facts, start: int, end: int) -> tuple[list[Point], str]:
    """Finite values as points, and a text that lists the others, which MLflow cannot hold.

    The times derive from the trial's, so sending a trial twice gives the same points.
    """
    last = max(facts.epochs, default=0)
    values = [(name, v, epoch) for epoch, row in facts.epochs.items() for name, v in row.items()]
    series = {name for name, _, _ in values}
    best = facts.row["best_epoch"] or last
    for name, value in facts.results.items():
        values.append((f"best_epoch/{name}" if name in series else name, value, best))
        # MLflow shows a metric's last value, which then is that of the model that the run keeps.
        if name in series and math.isfinite(value) and value != facts.epochs[last].get(name):
            values.append((name, value, last + 1))
    # MLflow shows the newest value of a step, so newer evidence replaces older.
    evidence = {
        # Figures of a single class are in the bundle.
        f"evaluation/{name}": (value, facts.evaluation["created_at"])
        for name, value in facts.evaluation.get("scalars", {}).items()
        if ":" not in name and isinstance(value, int | float)
    }
    if facts.candidate is not None:
        improved = facts.candidate.improvement.get("created_at", "")
        evidence |= {name: (value, improved) for name, value in facts.candidate.figures.items()}
    values += [(name, value, best) for name, (value, _) in evidence.items()]
    if facts.row["best_epoch"]:
        values.append(("best_epoch", float(best), best))
    if facts.row["seconds"] is not None:
        values.append(("seconds", facts.row["seconds"], last))
    names = unique_names(dict.fromkeys(name for name, _, _ in values))
    results = {*facts.results, *evidence}
    points, lost = [], dict[str, list[int]]()
    for name, value, epoch in values:
        if math.isfinite(value):
            moment = start + (end - start) * min(epoch, last) // last if last else end
            if name in evidence:
                moment = _milliseconds(evidence[name][1])
            is_result = name in results and epoch in (best, last + 1)
            points.append(Point(names[name], value, moment, epoch, is_result))
        else:
            lost.setdefault(name, []).append(epoch if name in series else 0)
    omitted = [f"{name} (epochs {ranges(at)})" if any(at) else name for name, at in lost.items()]
    return points, ", ".join(omitted)


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as ranges.

    Examples
    --------
    >>> ranges([3, 4, 5, 9])
    '3-5, 9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _source(row: Mapping[str, Any], link: Mapping[str, Any]) -> str:
    """Command that made a trial; one from another record has the command of its phase."""
    if row["origin"]:
        return f"podium {str(row['origin']).replace(':', ' ')}"
    if link.get("verb"):
        return f"podium {link['verb']}"
    phase = str(link.get("phase", "")).partition("/")[0].removesuffix("_baseline")
    return f"podium {'tune' if phase in ('', BASELINE) else phase}"


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Params for MLflow: names of allowed characters, values as text, long ones cut."""
    names = unique_names(values)
    return {names[name]: _cut(_text(value), PARAM_LENGTH) for name, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return json_text(value) if isinstance(value, dict | list | tuple) else str(value)


def tag_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Tags for MLflow, without unknown values."""
    return {
        name: _cut(str(value), TAG_LENGTH)
        for name, value in values.items()
        if value not in ("", None)
    }


def unique_names(names: Iterable[str]) -> dict[str, str]:
    """Valid MLflow name for each name; equal ones get a number."""
    valid: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w\-./: ]", "_", name)
        # MLflow reads a name as a path, and accepts only its shortest form.
        plain = "/".join(part for part in plain.split("/") if part.strip(".")) or "_"
        plain = base = _cut(plain, NAME_LENGTH - 4, mark="...")
        number = 1
        while plain in taken:
            number += 1
            plain = f"{base}-{number}"
        taken.add(plain)
        valid[name] = plain
    return valid


def _cut(text: str, length: int, mark: str = CUT) -> str:
    return text if len(text) <= length else text[: length - len(mark)] + mark


def _milliseconds(moment: str | None) -> int:
    """Milliseconds since 1970; 0 for texts of other tools that are no time."""
    try:
        time = dt.datetime.fromisoformat(moment or "")
    except ValueError:
        return 0
    if time.tzinfo is None:
        time = time.replace(tzinfo=dt.UTC)
    return max(0, int(1000 * time.timestamp()))
