"""Grid runs of an ``experiments_log.jsonl``, including logs with torn lines."""

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
    moment,
    number,
    read_bytes,
    skip_unusable,
    source_of,
)
from podium.record import Record

OPTIONS: tuple[str, ...] = ("own",)
GRID = "grid_search_initial"
FAMILY = "lstm"
# Fields of a line that are fields of a record.
_NAMED = (
    "phase", "config", "final_val_loss", "model_path", "timestamp", "run_id", "family", "state",
)  # fmt: skip


def recognizes(place: str | Path) -> bool:
    """Return whether lines of JSON have a phase or a final validation loss."""
    start = head(place)
    jsonl = Path(place).suffix == ".jsonl" or start.count(b"\n{") > 0
    return jsonl and (b'"phase"' in start or b'"final_val_loss"' in start)


def read(place: str | Path, *, own: Container[str] = ()) -> list[Imported]:
    """Import the grid runs of a log; invalid lines are reported with their numbers.

    Parameters
    ----------
    own : container of str
        Ids of trials that this project wrote; their lines are skipped.

    Raises
    ------
    NotFoundError
        The file does not exist.
    """
    numbered, problems = lines(read_bytes(place), own)
    records = [record for _, record in numbered]
    return [Imported(source_of(Path(place).name, records), records, problems)]


def lines(data: bytes, own: Container[str] = ()) -> tuple[list[tuple[int, Record]], list[str]]:
    r"""Return (number, record) of the lines of grid runs that the project did not write.

    Summaries, other phases and empty lines are skipped; unreadable lines are in the second
    result. A record behind the torn start of another one in its line is read.

    Examples
    --------
    >>> good = b'{"phase": "grid_search_initial", "config": {"lr": 1}, "final_val_loss": 0.5}'
    >>> [(place, record)], problems = lines(b'{"phase": "gr' + good + b"\n")
    >>> place, record.metrics["val_loss"], problems
    (1, 0.5, ['line 1: torn before its last record'])
    """
    records, problems = list[tuple[int, Record]](), list[str]()
    for place, raw in enumerate(data.split(b"\n"), 1):
        # Python's text mode would split a JSON text at exotic line ends.
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
        with skip_unusable(problems, f"line {place}"):
            records.append((place, checked(from_json(value))))
    return records, problems


def _value(line: bytes) -> tuple[Any, str]:
    """Return the value of a line, or of its last whole record, and the problem of the line."""
    try:
        return json.loads(line), ""
    except (ValueError, RecursionError):
        pass
    for start in re.finditer(rb'\{\s*"phase"', line[1:]):
        try:
            return json.loads(line[1 + start.start() :]), "torn before its last record"
        except (ValueError, RecursionError):
            continue
    return None, "torn or no JSON"


def from_json(fields: Mapping[str, Any]) -> Record:
    """Return the record of one line.

    Raises
    ------
    UnusableError
        A field is missing or has an invalid type.

    Examples
    --------
    >>> line = {"config": {"lr": 1}, "final_val_loss": 0.5, "model_path": "registry/model.keras"}
    >>> from_json(line).model_name
    'lstm'
    """
    config, path = fields.get("config"), fields.get("model_path")
    if not isinstance(config, dict):
        raise UnusableError("no object 'config'")
    if path is not None and not isinstance(path, str):
        raise UnusableError(f"model_path is {path!r:.60}, not a text")
    loss = number("final_val_loss", fields.get("final_val_loss"))
    others = {name: value for name, value in fields.items() if name not in _NAMED}
    run_id, state = fields.get("run_id"), fields.get("state")
    return Record(
        run_id=run_id if isinstance(run_id, str) else "",
        model_name=_family(fields, config, path),
        timestamp=moment(fields.get("timestamp")),
        hyperparams=config,
        metrics={"final_val_loss": loss, "val_loss": loss},
        checkpoint_path=path,
        extras={"other": others} if others else {},
        state=state if state in ("failed", "pruned") else "complete",
    )


def _family(fields: Mapping[str, Any], config: Mapping[str, Any], path: str | None) -> str:
    """Return the model's name in the line or its config, else a family in the file's name."""
    for where in (fields, config):
        for name in ("model_name", "family", "model", "model_type"):
            if isinstance(where.get(name), str) and where[name]:
                return str(where[name])
    words = re.split(r"[^a-z0-9]+", PureWindowsPath(path or "").name.lower())
    return next((name for name in registry.names("families") if name in words), FAMILY)
