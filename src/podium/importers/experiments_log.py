"""Grid runs of an ``experiments_log.jsonl``, torn lines and all."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from podium import registry
from podium.importers._base import (
    Imported,
    UnusableError,
    checked,
    head,
    left_out,
    moment,
    number,
    source_of,
    whole,
)
from podium.record import Record

OPTIONS: tuple[str, ...] = ("own",)
GRID = "grid_search_initial"
FAMILY = "lstm"
# Fields of a line that a record has a place for.
_NAMED = (
    "phase",
    "config",
    "final_val_loss",
    "model_path",
    "timestamp",
    "run_id",
    "family",
    "state",
)


def recognizes(place: str | Path) -> bool:
    """Whether lines of JSON name their phase or their final validation loss."""
    start = head(place)
    jsonl = Path(place).suffix == ".jsonl" or start.count(b"\n{") > 0
    return jsonl and (b'"phase"' in start or b'"final_val_loss"' in start)


def read(place: str | Path, *, own: Container[str] = ()) -> list[Imported]:
    """Every grid run of the log; bad lines are told with their numbers and hide nothing.

    Parameters
    ----------
    own : container of str
        Ids of trials this project wrote itself; their lines are no news to it.

    Raises
    ------
    NotFoundError
        There is no such file.
    """
    numbered, problems = lines(whole(place), own)
    found = [record for _, record in numbered]
    return [Imported(source_of(Path(place).name, found), found, problems)]


def lines(data: bytes, own: Container[str] = ()) -> tuple[list[tuple[int, Record]], list[str]]:
    r"""(number, record) of every line of a grid run that is not the project's own.

    Summaries, other phases and empty lines are passed over; what cannot be read is in the second
    answer. A record whose line begins with the torn end of another one is found all the same.

    Examples
    --------
    >>> good = b'{"phase": "grid_search_initial", "config": {"lr": 1}, "final_val_loss": 0.5}'
    >>> [(place, record)], problems = lines(b'{"phase": "gr' + good + b"\n")
    >>> place, record.metrics["val_loss"], problems
    (1, 0.5, ['line 1: what is before its last record is torn'])
    """
    found, problems = list[tuple[int, Record]](), list[str]()
    for place, raw in enumerate(data.split(b"\n"), 1):
        # Python's text mode would take exotic line ends for new lines inside a JSON text.
        line = raw.removeprefix(b"\xef\xbb\xbf").strip()
        if not line.strip(b"\0"):
            if line:
                problems.append(f"line {place}: nothing but zero bytes")
            continue
        value, torn = _value(line)
        if torn:
            problems.append(f"line {place}: {torn}")
        if not isinstance(value, Mapping) or value.get("phase", GRID) != GRID:
            if value is not None and not isinstance(value, Mapping):
                problems.append(f"line {place}: no object")
            continue
        if isinstance(value.get("id"), str) and value["id"] in own:
            continue
        with left_out(problems, f"line {place}"):
            found.append((place, checked(from_json(value))))
    return found, problems


def _value(line: bytes) -> tuple[Any, str]:
    """Value of a line, or of the last whole record in it, and what is wrong with the line."""
    try:
        return json.loads(line), ""
    except (ValueError, RecursionError):
        pass
    for start in re.finditer(rb'\{\s*"phase"', line[1:]):
        try:
            return json.loads(line[1 + start.start() :]), ("what is before its last record is torn")
        except (ValueError, RecursionError):
            continue
    return None, "torn or no JSON"


def from_json(told: Mapping[str, Any]) -> Record:
    """Record of one line.

    Raises
    ------
    UnusableError
        A field is missing or has a type it cannot have.

    Examples
    --------
    >>> line = {"config": {"lr": 1}, "final_val_loss": 0.5, "model_path": "registry/model.keras"}
    >>> from_json(line).model_name
    'lstm'
    """
    config, path = told.get("config"), told.get("model_path")
    if not isinstance(config, dict):
        raise UnusableError("no object 'config'")
    if path is not None and not isinstance(path, str):
        raise UnusableError(f"model_path is {path!r:.60}, not a text")
    loss = number("final_val_loss", told.get("final_val_loss"))
    others = {name: what for name, what in told.items() if name not in _NAMED}
    run_id, state = told.get("run_id"), told.get("state")
    return Record(
        run_id=run_id if isinstance(run_id, str) else "",
        model_name=_family(told, config, path),
        timestamp=moment(told.get("timestamp")),
        hyperparams=config,
        metrics={"final_val_loss": loss, "val_loss": loss},
        checkpoint_path=path,
        said={"told": others} if others else {},
        state=state if state in ("failed", "pruned") else "complete",
    )


def _family(told: Mapping[str, Any], config: Mapping[str, Any], path: str | None) -> str:
    """What the line or its config calls the model, else a family in the model file's name."""
    for where in (told, config):
        for name in ("model_name", "family", "model", "model_type"):
            if isinstance(where.get(name), str) and where[name]:
                return str(where[name])
    words = re.split(r"[^a-z0-9]+", PureWindowsPath(path or "").name.lower())
    return next((name for name in registry.names("families") if name in words), FAMILY)
