"""Logs of commands: list, find, read and follow them."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from podium.errors import NotFoundError, suggest
from podium.files import is_locked
from podium.steps.workspace.log import AT_WORK, ENDED, FOLDER, STAMP, SUFFIX, LogLine

LAST = "last"
RUNNING, KILLED = "running", "killed"
# Seconds between two reads of a log that is followed.
LOOK = 0.2
# Bytes at the beginning of a log that name its slots, and at its end that name the outcome.
HEAD, TAIL = 8192, 4096
_ID = re.compile(r"(\d{8}_\d{6}_\d{3})_(\w[\w-]*)")
_ENDED = re.compile(rf"{ENDED}(.+) after ([\d.]+) s")


@dataclass(frozen=True)
class LogFacts:
    """Facts of one log.

    Parameters
    ----------
    id : str
        Sorts by time.
    command : str
        The verb.
    slots : tuple of str
        In the order of the command.
    began : str
        UTC.
    seconds : float
        Duration, so far for a running command, until the last line for a killed one.
    outcome : str
        ``done refused failed stopped interrupted running killed`` or ``time over``.
    bytes : int
    """

    id: str
    command: str
    slots: tuple[str, ...]
    began: str
    seconds: float
    outcome: str
    bytes: int


def logs(root: Path) -> list[LogFacts]:
    """Facts of all logs of a project, newest first."""
    all_facts = []
    for path in sorted(_folder(root).glob(f"*{SUFFIX}"), reverse=True):
        facts = _facts(path)
        if facts is not None:
            all_facts.append(facts)
    return all_facts


def find(root: Path, id_: str) -> Path:
    """File of the newest log with an id, its beginning, or ``last``.

    Raises
    ------
    NotFoundError
        There is no such log; near ids are suggested.
    """
    known = {path.stem: path for path in sorted(_folder(root).glob(f"*{SUFFIX}"), reverse=True)}
    match = next((p for name, p in known.items() if id_ == LAST or name.startswith(id_)), None)
    if match is not None:
        return match
    if not known:
        raise NotFoundError("there is no log yet", fix="steps on a slot write one: podium tune")
    recent = list(known)[:8]
    raise NotFoundError(f"no log '{id_}'", fix=f"{suggest(id_, recent)}; all: podium logs")


def read(
    path: Path, *, follow: bool = False, steps: Collection[str] = (), trials: Collection[str] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:  # fmt: skip
    """Lines of a log; with ``follow``, until the command ends.

    Parameters
    ----------
    steps, trials : collection of str
        Only lines of one of them; the beginning of a trial's id is enough.
    """
    with path.open(encoding="utf-8", errors="replace", newline="\n") as handle:
        rest = ""
        while True:
            # Tested first, so that the last lines of the writer are read below.
            running = follow and is_locked(path)
            for part in handle:
                rest += part
                if not rest.endswith("\n"):
                    break
                line, rest = LogLine.of(rest), ""
                if line is not None and line.fits(steps, trials):
                    yield line
            if not running:
                return
            sleep(LOOK)


def _folder(root: Path) -> Path:
    return root / ".podium" / FOLDER


def _facts(path: Path) -> LogFacts | None:
    """Facts of a log; None for another file, or one that was just removed."""
    named = _ID.fullmatch(path.stem)
    if named is None:
        return None
    try:
        running = is_locked(path)
        with path.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            head = handle.read(HEAD).decode("utf-8", "replace").splitlines()
            handle.seek(max(0, size - TAIL))
            tail = handle.read().decode("utf-8", "replace").splitlines()
            changed = os.fstat(handle.fileno()).st_mtime
    except OSError:
        return None
    lines = [line for text in head if (line := LogLine.of(text)) is not None]
    last = LogLine.of(tail[-1]) if tail else None
    ended = _ENDED.fullmatch(last.text) if last is not None else None
    began = dt.datetime.strptime(named[1][:15], STAMP).replace(
        tzinfo=dt.UTC, microsecond=int(named[1][16:]) * 1000
    )
    so_far = (time.time() if running else changed) - began.timestamp()
    return LogFacts(
        id=path.stem,
        command=named[2],
        slots=tuple(dict.fromkeys(line.slot for line in lines if line.text == AT_WORK)),
        began=f"{began:%Y-%m-%dT%H:%M:%S}Z",
        seconds=float(ended[2]) if ended else max(0.0, so_far),
        outcome=ended[1] if ended else RUNNING if running else KILLED,
        bytes=size,
    )
