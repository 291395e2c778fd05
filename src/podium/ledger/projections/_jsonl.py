"""JSON lines files that several programs append to, with blanking of torn lines."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from podium.files import flush

# Longest time between two pieces of one line.
SETTLED_SECONDS = 0.3


@dataclass(frozen=True)
class JsonLine:
    """One line: its number in what was read, its bytes, and podium's id if it has one."""

    number: int
    text: bytes
    id: str


@dataclass
class FileTail:
    """The readable content of a file from some byte on.

    Parameters
    ----------
    start, end : int
        Range of bytes in the file.
    count : int
        Number of lines.
    is_closed : bool
        Whether the next append begins a new line.
    lines, unreadable : list of JsonLine
        Lines with an object, and lines with anything else.
    """

    start: int
    end: int
    count: int
    is_closed: bool
    lines: list[JsonLine] = field(default_factory=list)
    unreadable: list[JsonLine] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, start: int, own: bytes, keep_aside: Callable[[bytes], None]) -> Self:
        """Read the file and replace torn lines by blanks.

        Blanks leave every other byte in its place, so a program that appends at the same moment
        loses nothing, as it could if the file were truncated.

        Parameters
        ----------
        own : bytes
            Beginning of podium's lines; a torn one is in the record and is not kept.
        keep_aside : callable
            Receives every other torn piece before it is replaced.
        """
        data = _settled(path, start)
        pieces = data.split(b"\n")
        closed = not pieces[-1].strip()
        tail = cls(start, start + len(data), len(pieces), is_closed=closed)
        place = start
        for number, piece in enumerate(pieces):
            is_last = number == len(pieces) - 1
            value, torn = _value(piece, own, is_last=is_last)
            if value is not None:
                name = value.get("id") if "podium" in value else None
                text = piece[torn:].strip()
                tail.lines.append(JsonLine(number, text, name if isinstance(name, str) else ""))
            elif piece.strip() and not torn:
                tail.unreadable.append(JsonLine(number, piece, ""))
            if torn:
                removed = piece[:torn].strip(b" \t\r\0")
                if removed and not removed.startswith(own):
                    keep_aside(removed)
                _blank(path, place, torn)
                tail.is_closed |= is_last and value is None
            place += len(piece) + 1
        return tail


def _settled(path: Path, start: int) -> bytes:
    """The file from some byte on, once its last line is complete or no longer growing."""
    deadline = time.monotonic() + 2 * SETTLED_SECONDS
    while path.is_file():
        with path.open("rb") as handle:
            handle.seek(start)
            data = handle.read()
            age = time.time() - os.fstat(handle.fileno()).st_mtime
        last = data.rpartition(b"\n")[2].strip()
        whole = not last or _object(last) is not None
        if whole or age > SETTLED_SECONDS or time.monotonic() > deadline:
            return data
        time.sleep(SETTLED_SECONDS / 10)
    return b""


def _value(piece: bytes, own: bytes, *, is_last: bool) -> tuple[dict[str, Any] | None, int]:
    """Object in a line, and the number of torn bytes before it."""
    line = piece.strip(b" \t\r")
    value = _object(line)
    if value is not None or not line:
        return value, 0
    # A whole line may have been appended to a torn one.
    for begin in re.finditer(rb'\{\s*"', piece):
        value = _object(piece[begin.start() :])
        if value is not None and value.keys() & {"phase", "podium"}:
            return value, begin.start()
    is_torn = line.startswith((own, b"\0")) or (is_last and line.startswith(b"{"))
    # Any other text may be somebody's own, so it is kept.
    return None, len(piece) if is_torn else 0


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _blank(path: Path, place: int, length: int) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, b" " * length, place)
    finally:
        os.close(descriptor)


def append(path: Path, lines: Sequence[bytes], *, closed: bool) -> int:
    """Append lines, each in one write so that other writers cannot split it; returns bytes."""
    if not lines:
        return 0
    is_new = not path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    grown = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        for number, line in enumerate(lines):
            data = line if number or closed else b"\n" + line
            # A full disk leaves a torn line for the next read; the following write raises.
            while data:
                written = os.write(descriptor, data)
                data = data[written:]
                grown += written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        flush(path.parent)
    return grown
