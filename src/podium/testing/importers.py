"""An importer's test calls ``check_importer(module, example, folder)`` with a file it reads.

>>> import json, pathlib, tempfile
>>> from podium.importers import sweep_results
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> example = folder / "sweep_results.json"
>>> run = {"run_id": "toto_20250101_000000", "model_name": "toto", "hyperparams": {"lr": 0.1},
...        "timestamp": "2025-01-01T00:00:00", "metrics": {"val_mae": 0.5}}
>>> _ = example.write_text(json.dumps({"runs": [run]}))
>>> check_importer(sweep_results, example, folder / "work")
"""

from __future__ import annotations

import datetime as dt
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from podium.errors import PodiumError
from podium.hashing import json_text
from podium.importers._base import Imported, checked
from podium.record import Record
from podium.testing._base import require

STATES = ("complete", "failed", "pruned")
# Files that no importer may recognise.
STRANGERS = {
    "empty": b"",
    "text.txt": b"hello\n",
    "bytes.bin": bytes(range(256)),
    "other.json": b'{"a": [1, 2]}',
    "torn.json": b'{"a": [1, ',
    "other.jsonl": b'{"a": 1}\n{"b": 2}\n',
    "other.db": b"SQLite format 3\0" + bytes(84),
}
CUTS = (0.0, 0.1, 0.5, 0.9, 0.99)


def check_importer(module: ModuleType, example: Path, folder: Path, **options: Any) -> None:
    """Recognises only its own files, changes none, and reads the same from any folder.

    Parameters
    ----------
    example : Path
        A file the importer reads, with at least one record.
    folder : Path
        A new folder to work in.
    **options
        Required arguments of ``read``, such as a permission.
    """
    folder.mkdir(parents=True)
    known = inspect.signature(module.read).parameters
    require(set(module.OPTIONS) <= set(known), "OPTIONS has a name that read() does not accept")
    _check_recognizes(module, example, folder)
    before = _files(example.parent)
    sources = module.read(example, **options)
    require(_files(example.parent) == before, "reading changes files")
    require(any(each.records for each in sources), "the example has no record")
    for each in sources:
        require(bool(each.source), "a source has no name")
        for record in each.records:
            _check_record(record)
    require(_content(module.read(example, **options)) == _content(sources), "two reads differ")
    moved = folder / "moved" / example.name
    moved.parent.mkdir()
    moved.write_bytes(example.read_bytes())
    same = _content(module.read(moved, **options)) == _content(sources)
    require(same, "another folder gives other records")
    _check_damage(module, moved, options)


def _check_recognizes(module: ModuleType, example: Path, folder: Path) -> None:
    require(module.recognizes(example), "does not recognise its example")
    require(module.recognizes(str(example)), "does not recognise its example as a text")
    for name, content in STRANGERS.items():
        (folder / name).write_bytes(content)
    for path in (folder / "nothing there", folder, *(folder / name for name in STRANGERS)):
        require(not module.recognizes(path), f"recognises {path.name!r}")


def _check_record(record: Record) -> None:
    checked(record)
    require(bool(record.model_name), "a record has no model name")
    require(record.state in STATES, f"a record is {record.state!r}, not one of {STATES}")
    require("T" in record.timestamp, f"{record.timestamp!r} has no time")
    dt.datetime.fromisoformat(record.timestamp)
    for name, value in record.metrics.items():
        require(type(value) is float, f"metric {name} is {value!r}, not a float")
    for name, values in record.curves.items():
        require(all(type(v) is float for v in values), f"a value of curve {name} is not a float")
    json.loads(json_text(record.hyperparams))


def _check_damage(module: ModuleType, path: Path, options: dict[str, Any]) -> None:
    """A truncated file is refused with a message, or its rest is read."""
    data = path.read_bytes()
    for part in CUTS:
        path.write_bytes(data[: int(len(data) * part)])
        try:
            module.recognizes(path)
            module.read(path, **options)
        except PodiumError as error:
            require(str(path.name) in str(error), f"a refusal does not name the file: {error}")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def _content(sources: list[Imported]) -> str:
    return json_text([[each.source, [vars(r) for r in each.records]] for each in sources])
