"""Runs of a tracker's ``sweep_results.json``, word for word."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from podium.errors import DataError
from podium.hashing import json_text
from podium.importers._base import (
    Imported,
    UnusableError,
    checked,
    head,
    left_out,
    moment,
    number,
    parsed,
    source_of,
    whole,
)
from podium.record import Record

OPTIONS: tuple[str, ...] = ()
# Where an imported record is kept as it was written, if podium would write it otherwise.
EXACT = "record"
# Of a record, in the order in which trackers write them.
FIELDS = (
    "run_id", "model_name", "timestamp", "hyperparams", "metrics", "checkpoint_path",
    "training_time_seconds", "notes", "git_commit", "git_dirty", "git_diff_hash",
)  # fmt: skip


def recognizes(place: str | Path) -> bool:
    """Whether this is a JSON object that begins with ``runs``, or has the tracker's file name."""
    start = head(place)
    named = Path(place).name == "sweep_results.json" and start.lstrip()[:1] == b"{"
    return named or re.match(rb'\s*\{\s*"runs"\s*:\s*\[', start) is not None


def read(place: str | Path) -> list[Imported]:
    """Every run of the file; what has a wrong type is left out and told.

    Raises
    ------
    NotFoundError
        There is no such file.
    DataError
        It is torn, or no tracker's file.
    """
    found, problems = records(parsed(whole(place), place), str(place))
    return [Imported(source_of(Path(place).name, found), found, problems)]


def records(payload: object, place: str = "sweep_results.json") -> tuple[list[Record], list[str]]:
    """Records of the parsed file, and what was left out.

    Parameters
    ----------
    payload : object
        ``{"runs": [...]}``.
    place : str
        What to call it when something is wrong.

    Raises
    ------
    DataError
        It has no list of runs.

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
    found, problems = list[Record](), list[str]()
    for place_in_list, run in enumerate(runs):
        name = run.get("run_id") if isinstance(run, Mapping) else None
        told = f" ({name})" if isinstance(name, str) else ""
        with left_out(problems, f"run {place_in_list}{told} left out"):
            found.append(from_json(run))
    return found, problems


def from_json(run: object) -> Record:
    """Record of one run as trackers write it.

    Raises
    ------
    UnusableError
        A field has a type it cannot have, or there is no model name.
    """
    if not isinstance(run, Mapping):
        raise UnusableError(f"{run!r:.60} where an object belongs")
    take = _Fields(run)
    record = Record(
        run_id=take.text("run_id"),
        model_name=take.text("model_name"),
        timestamp=moment(run.get("timestamp")),
        hyperparams=take.object("hyperparams"),
        metrics={
            name: number(f"metrics.{name}", value) for name, value in take.object("metrics").items()
        },
        checkpoint_path=take.text("checkpoint_path") or None,
        training_time_seconds=take.number("training_time_seconds"),
        notes=take.text("notes"),
        git_commit=take.text("git_commit") or None,
        git_dirty=take.boolean("git_dirty"),
        git_diff_hash=take.text("git_diff_hash") or None,
    )
    if not record.model_name:
        raise UnusableError("no model_name")
    exact = json_text(to_json(record)) == json_text(run)
    return checked(record if exact else replace(record, said={EXACT: dict(run)}))


def to_json(record: Record) -> dict[str, Any]:
    """One run as trackers read it; an imported one comes back as it was written.

    Only a name that was taken, and notes added since, are told as they are now.
    """
    exact = record.said.get(EXACT)
    if not isinstance(exact, Mapping):
        found = {name: getattr(record, name) for name in FIELDS}
        mappings = {"hyperparams": dict(record.hyperparams), "metrics": dict(record.metrics)}
        return {**found, **mappings}
    told = dict(exact)
    if record.run_id and record.run_id != (told.get("run_id") or ""):
        told["run_id"] = record.run_id
    if record.notes != (told.get("notes") or ""):
        told["notes"] = record.notes
    return told


class _Fields:
    """Typed reads of an object's fields; what is missing or null is empty."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.run = run

    def text(self, name: str) -> str:
        return self._take(name, str, "a text") or ""

    def object(self, name: str) -> dict[str, Any]:
        return self._take(name, dict, "an object") or {}

    def boolean(self, name: str) -> bool | None:
        found: bool | None = self._take(name, bool, "true or false")
        return found

    def number(self, name: str) -> float | None:
        value = self.run.get(name)
        return None if value is None else number(name, value)

    def _take(self, name: str, kind: Callable[..., Any], told: str) -> Any:
        value = self.run.get(name)
        if value is not None and type(value) is not kind:
            raise UnusableError(f"{name} is {value!r:.60}, not {told}")
        return value
