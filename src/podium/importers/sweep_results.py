"""Runs of a tracker's ``sweep_results.json``, exported unchanged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from podium.errors import DataError
from podium.hashing import json_text
from podium.importers._base import (
    Imported,
    UnusableError,
    checked,
    head,
    moment,
    number,
    parsed,
    read_bytes,
    skip_unusable,
    source_of,
)
from podium.record import Record

OPTIONS: tuple[str, ...] = ()
# Key of the original of an imported record, if podium would write it differently.
EXACT = "record"
# Fields of a record in the order of trackers.
FIELDS = (
    "run_id", "model_name", "timestamp", "hyperparams", "metrics", "checkpoint_path",
    "training_time_seconds", "notes", "git_commit", "git_dirty", "git_diff_hash",
)  # fmt: skip


def recognizes(place: str | Path) -> bool:
    """Return whether this is a JSON object that begins with ``runs``, or the tracker's file."""
    start = head(place)
    named = Path(place).name == "sweep_results.json" and start.lstrip()[:1] == b"{"
    return named or re.match(rb'\s*\{\s*"runs"\s*:\s*\[', start) is not None


def read(place: str | Path) -> list[Imported]:
    """Import every run of the file; runs of invalid types are left out and reported.

    Raises
    ------
    NotFoundError
        The file does not exist.
    DataError
        The file is torn, or no tracker's file.
    """
    runs, problems = records(parsed(read_bytes(place), place), str(place))
    return [Imported(source_of(Path(place).name, runs), runs, problems)]


def records(payload: object, place: str = "sweep_results.json") -> tuple[list[Record], list[str]]:
    """Return the records of the parsed file, and the problems of others.

    Parameters
    ----------
    payload : object
        ``{"runs": [...]}``.
    place : str
        Name of the file in messages.

    Raises
    ------
    DataError
        The file has no list of runs.

    Examples
    --------
    >>> run = {"run_id": "toto_20251112_030500", "model_name": "toto", "hyperparams": {"lr": 0.1},
    ...        "timestamp": "2025-11-12T03:05:00", "metrics": {"mae": 1}}
    >>> [record], problems = records({"runs": [run]})
    >>> record.metrics, to_json(record) == run
    ({'mae': 1.0}, True)
    """
    runs = payload.get("runs") if isinstance(payload, Mapping) else None
    if not isinstance(runs, list):
        raise DataError(f"{place} has no list 'runs'", 'an object {"runs": [...]}')
    result, problems = list[Record](), list[str]()
    for place_in_list, run in enumerate(runs):
        name = run.get("run_id") if isinstance(run, Mapping) else None
        label = f" ({name})" if isinstance(name, str) else ""
        with skip_unusable(problems, f"run {place_in_list}{label} left out"):
            result.append(from_json(run))
    return result, problems


def from_json(run: object) -> Record:
    """Return the record of a tracker's run.

    Raises
    ------
    UnusableError
        A field has an invalid type, or there is no model name.
    """
    if not isinstance(run, Mapping):
        raise UnusableError(f"{run!r:.60} is not an object")
    text = partial(_field, run, str, "a text")
    items = partial(_field, run, dict, "an object")
    seconds = run.get("training_time_seconds")
    record = Record(
        run_id=text("run_id") or "",
        model_name=text("model_name") or "",
        timestamp=moment(run.get("timestamp")),
        hyperparams=items("hyperparams") or {},
        metrics={key: number(f"metrics.{key}", n) for key, n in (items("metrics") or {}).items()},
        checkpoint_path=text("checkpoint_path") or None,
        training_time_seconds=None if seconds is None else number("training_time_seconds", seconds),
        notes=text("notes") or "",
        git_commit=text("git_commit") or None,
        git_dirty=_field(run, bool, "true or false", "git_dirty"),
        git_diff_hash=text("git_diff_hash") or None,
    )
    if not record.model_name:
        raise UnusableError("no model_name")
    exact = json_text(to_json(record)) == json_text(run)
    return checked(record if exact else replace(record, extras={EXACT: dict(run)}))


def to_json(record: Record) -> dict[str, Any]:
    """Return a run in the tracker's format; an imported run is unchanged.

    Only a changed run id and added notes are updated.
    """
    exact = record.extras.get(EXACT)
    if not isinstance(exact, Mapping):
        fields = {name: getattr(record, name) for name in FIELDS}
        mappings = {"hyperparams": dict(record.hyperparams), "metrics": dict(record.metrics)}
        return {**fields, **mappings}
    original = dict(exact)
    if record.run_id and record.run_id != (original.get("run_id") or ""):
        original["run_id"] = record.run_id
    if record.notes != (original.get("notes") or ""):
        original["notes"] = record.notes
    return original


def _field(run: Mapping[str, Any], kind: type, expected: str, name: str) -> Any:
    """Return the value of a field; None if it is missing or null."""
    value = run.get(name)
    if value is not None and type(value) is not kind:
        raise UnusableError(f"{name} is {value!r:.60}, not {expected}")
    return value
