"""A file of JSON lines that several programs append to: read whole, torn lines made harmless."""

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

# Someone who writes a line in two pieces does so within this time.
SETTLED_SECONDS = 0.3


@dataclass(frozen=True)
class JsonLine:
    """One line: its number in what was read, its bytes, and podium's id if it has one."""

    number: int
    text: bytes
    id: str


@dataclass
class FileTail:
    """The file from some byte on, made readable.

    Parameters
    ----------
    start, end : int
        Bytes of the file it stands for.
    count : int
        How many lines.
    is_closed : bool
        Whether what comes next begins a new line.
    lines, unreadable : list of Line
        Those that hold an object, and those that hold something else.
    """

    start: int
    end: int
    count: int
    is_closed: bool
    lines: list[JsonLine] = field(default_factory=list)
    unreadable: list[JsonLine] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, start: int, own: bytes, keep_aside: Callable[[bytes], None]) -> Self:
        """Read the file, replacing what is torn by blanks.

        Blanks leave every other byte in its place: somebody who appends at this moment loses
        nothing, as they could if the file were cut.

        Parameters
        ----------
        own : bytes
            How podium's own lines begin; a torn one is in the record, and needs no keeping.
        keep_aside : callable
            Is given every other torn piece before it is replaced.
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
                what = piece[:torn].strip(b" \t\r\0")
                if what and not what.startswith(own):
                    keep_aside(what)
                _blank(path, place, torn)
                tail.is_closed |= is_last and value is None
            place += len(piece) + 1
        return tail


def _settled(path: Path, start: int) -> bytes:
    """The file from some byte on, once nobody is in the middle of a line."""
    give_up = time.monotonic() + 2 * SETTLED_SECONDS
    while path.is_file():
        with path.open("rb") as handle:
            handle.seek(start)
            data = handle.read()
            age = time.time() - os.fstat(handle.fileno()).st_mtime
        last = data.rpartition(b"\n")[2].strip()
        whole = not last or _object(last) is not None
        if whole or age > SETTLED_SECONDS or time.monotonic() > give_up:
            return data
        time.sleep(SETTLED_SECONDS / 10)
    return b""


def _value(piece: bytes, own: bytes, *, is_last: bool) -> tuple[dict[str, Any] | None, int]:
    """Object in a line, and how many of the line's first bytes are torn."""
    line = piece.strip(b" \t\r")
    value = _object(line)
    if value is not None or not line:
        return value, 0
    # The end of a line may be a whole one that was appended to a torn one.
    for begin in re.finditer(rb'\{\s*"', piece):
        value = _object(piece[begin.start() :])
        if value is not None and value.keys() & {"phase", "podium"}:
            return value, begin.start()
    is_torn = line.startswith((own, b"\0")) or (is_last and line.startswith(b"{"))
    # Anything else may be somebody's own words, and is not podium's to touch.
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
    """Append lines, each in one write so that no other writer comes in between; returns bytes."""
    if not lines:
        return 0
    is_new = not path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    grown = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        for number, line in enumerate(lines):
            data = line if number or closed else b"\n" + line
            # What a full disk cuts off is a torn line for the next time; the write after it tells.
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
