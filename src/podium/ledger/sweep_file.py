"""The users' ``sweep_results.json``: its path, and its comparison with the record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from podium.errors import DataError
from podium.hashing import digest_bytes, json_text
from podium.ledger.columns import read_mark
from podium.ledger.record_reader import RecordReader

FILE = Path("hyperparams") / "sweep_results.json"
TARGET = "sweep_results"
# Outbox items that make the file out of date.
KINDS = ("trial", "note")


@dataclass(frozen=True)
class Mark:
    """State of the file when podium last wrote or imported it.

    Parameters
    ----------
    digest : str
        SHA-256 of its bytes; empty if there was no file.
    root : str
        The project's folder at that time; the file's paths start with it.
    beside : mapping
        Keys that others put into the file next to its runs.
    """

    digest: str = ""
    root: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a mark from its :attr:`text`."""
        return read_mark(cls, text)

    @property
    def text(self) -> str:
        """The mark as stored in the record."""
        return json_text(vars(self))


def content(root: Path) -> bytes | None:
    """Bytes of the file, or None if it does not exist.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    try:
        return (root / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(
            f"{root / FILE} cannot be read: {error.strerror}", "a readable file"
        ) from None


def is_stale(reader: RecordReader) -> bool:
    """Whether file and record differ.

    A project that never logged or imported a run needs no file.
    """
    data = content(reader.root)
    if not reader.exists:
        return data is not None
    row = reader.first("projection", order="target", target=TARGET)
    if data is None:
        return row is not None or _is_used(reader)
    if row is None:
        return True
    mark = Mark.parse(row["mark"])
    if mark.digest != digest_bytes(data) or mark.root != str(reader.root):
        return True
    newest = reader.first("outbox", "seq", order="seq DESC", kind=KINDS)
    return newest is not None and newest["seq"] > row["position"]


def target_of(path: Path, root: Path) -> str:
    """Target name of a tracker's file that is not the project's own."""
    return f"{TARGET}:{os.path.relpath(path, root)}"


def has_new_content(reader: RecordReader, path: Path) -> bool:
    """Whether another tracker's file has changed since its last import."""
    if not reader.exists:
        return True
    row = reader.first("projection", order="target", target=target_of(path, reader.root))
    digest = digest_bytes(path.read_bytes())
    return row is None or Mark.parse(row["mark"]).digest != digest


def _is_used(reader: RecordReader) -> bool:
    """Whether a run was ever logged or imported."""
    of_runs = "(question LIKE ? OR question LIKE ?)"
    sql = f"SELECT 1 AS yes FROM study WHERE project_id = ? AND {of_runs} LIMIT 1"
    return bool(reader.query(sql, reader.project_id, '{"tracker":%', '{"import":%'))
