"""Output of a training: its tail, and the reports among its lines."""

from __future__ import annotations

import json
import math
import re
import signal
from collections import deque

from podium.registry import Direction
from podium.reporting import Curve

# Size of a complete trial's log; of the output that a failure's reason quotes.
LOG_BYTES, QUOTED_BYTES, QUOTED_LINES = 1_000_000, 65_536, 200
# A longer line is not a report.
LINE_BYTES = 65_536
_MARK = b"podium:"
_LINE = re.compile(r"podium:\s+epoch=(\d+)((?:\s+[^\s=]+=\S+)+)\s*")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class OutputTail:
    """The last ``LOG_BYTES`` bytes of an output."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self.left = 0

    def add(self, data: bytes) -> None:
        """Append output."""
        self._parts.append(data)
        self._size += len(data)
        while self._size - len(self._parts[0]) >= LOG_BYTES:
            gone = len(self._parts.popleft())
            self._size -= gone
            self.left += gone

    def text(self) -> str:
        """Return the kept output, after a line with the number of bytes before it."""
        data = b"".join(self._parts)
        cut = max(0, len(data) - LOG_BYTES)
        note = f"[{self.left + cut} bytes before this are not kept]\n" if self.left + cut else ""
        return note + data[cut:].decode(errors="replace")

    def quoted(self) -> str:
        """Return the last lines as a terminal shows them, without colours and other controls."""
        data = b"".join(self._parts)[-QUOTED_BYTES:]
        lines = data.decode(errors="replace").replace("\r\n", "\n").strip().split("\n")
        # A progress bar returns to the beginning of its line.
        plain = [_CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines]
        return "\n".join(plain[-QUOTED_LINES:])


class ReportLines:
    r"""Collect reports such as ``podium: epoch=3 val_loss=0.31`` from an output, and its last line.

    Examples
    --------
    >>> lines = ReportLines()
    >>> lines.add(b'podium: epoch=1 val_loss=0.5\n{"val_loss": 0.4}\n')
    >>> lines.curve, lines.final()
    ({1: {'val_loss': 0.5}}, {'val_loss': 0.4})
    """

    def __init__(self) -> None:
        self.curve: Curve = {}
        # The first line that begins like a report and is not one.
        self.unreadable = ""
        self._rest = b""
        self._last = b""

    def add(self, data: bytes) -> None:
        """Append output."""
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LINE_BYTES]
        for line in whole:
            self._parse(line)

    def final(self) -> dict[str, float]:
        """Metrics of a last line that is a JSON object; otherwise empty."""
        if self._rest:
            self._parse(self._rest)
            self._rest = b""
        try:
            values = json.loads(self._last)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(values, dict):
            return {}
        return {name: float(v) for name, v in values.items() if type(v) in (int, float)}

    def _parse(self, line: bytes) -> None:
        line = line.strip()
        if line:
            self._last = line
        if not line.startswith(_MARK):
            return
        text = line.decode(errors="replace")
        try:
            match = _LINE.fullmatch(text)
            assert match is not None
            pairs = [part.split("=", 1) for part in match[2].split()]
            values = {name: float(value) for name, value in pairs}
        except (AssertionError, ValueError):
            self.unreadable = self.unreadable or text
            return
        epoch = int(match[1])
        self.curve[epoch] = {**values, **self.curve.get(epoch, {})}


def best_of(curve: Curve, metric: str, direction: str) -> tuple[int, float] | None:
    """Epoch and value of the best finite report of a metric; the first of equal ones."""
    values = {e: v[metric] for e, v in curve.items() if math.isfinite(v.get(metric, math.nan))}
    if not values:
        return None
    sign = Direction(direction).sign
    epoch = min(values, key=lambda e: (sign * values[e], e))
    return epoch, values[epoch]


def ending(code: int) -> str:
    """Describe how a process ended from its exit code; a negative code is a signal's."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
