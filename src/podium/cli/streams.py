"""Standard streams of a command that may be closed, full, or read by nobody, as under cron."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

BROKEN_PIPE, NOT_WRITTEN = 141, 7


# Characters that move a terminal's cursor, disguise a text, or cannot be encoded; not line breaks.
_RANGES = (
    (0x00, 0x0A), (0x0B, 0x20), (0x7F, 0xA0), (0x2028, 0x202F), (0x2066, 0x206A), (0xD800, 0xE000),
)  # fmt: skip
_UNSAFE = {code: " " for start, stop in _RANGES for code in range(start, stop)}


def printable(text: str) -> str:
    r"""Text for a terminal: control characters are spaces, line breaks stay.

    Examples
    --------
    >>> printable("a\x1b[2Jb\n\u202ec")
    'a [2Jb\n c'
    """
    return text.translate(_UNSAFE)


class OutputError(OSError):
    """Stdout takes no output."""


class _Stream:
    """A stream whose failed writes are lost, or raise OutputError."""

    def __init__(self, stream: TextIO, *, lossy: bool) -> None:
        self._stream, self._lossy = stream, lossy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        self._call(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._call(self._stream.flush)

    def _call(self, function: Any, *arguments: str) -> None:
        try:
            function(*arguments)
        except BrokenPipeError:
            if not self._lossy:
                raise
        except OSError as error:
            if not self._lossy:
                raise OutputError(error.errno, error.strerror) from error


def open_all() -> None:
    """Open closed streams on the null device; failed messages on stderr end no command.

    A file that is opened later would otherwise get the number of a stream, and its messages.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    sys.stdout = _Stream(sys.stdout, lossy=False)
    sys.stderr = _Stream(sys.stderr, lossy=True)


def close(code: int) -> int:
    """Flush stdout and return the exit code."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return end(error)
    return code


def end(error: OSError) -> int:
    """Give up on stdout and return the exit code."""
    # The interpreter must not flush into it either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    reason = (error.strerror or str(error)).lower()
    print(f"podium: cannot write the answer to stdout: {reason}", file=sys.stderr)
    return NOT_WRITTEN
