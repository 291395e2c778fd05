"""Logs of commands, listed and read again, also while they are written."""

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
# How often a log that is written is looked at again, in seconds.
LOOK = 0.2
# So much of a log's beginning tells its slots, so much of its end how it ended.
HEAD, TAIL = 8192, 4096
_ID = re.compile(r"(\d{8}_\d{6}_\d{3})_(\w[\w-]*)")
_ENDED = re.compile(rf"{ENDED}(.+) after ([\d.]+) s")


@dataclass(frozen=True)
class LogFacts:
    """One log.

    Parameters
    ----------
    id : str
        Sorts by time.
    command : str
        The verb.
    slots : tuple of str
        In the order in which the command took them.
    began : str
        UTC.
    seconds : float
        How long it took, or has taken so far; until its last line where it was killed.
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
    """Every log of a project, newest first."""
    found = []
    for path in sorted(_folder(root).glob(f"*{SUFFIX}"), reverse=True):
        facts = _facts(path)
        if facts is not None:
            found.append(facts)
    return found


def find(root: Path, id_: str) -> Path:
    """File of the log that an id, its beginning, or ``last`` means; the newest of several.

    Raises
    ------
    NotFoundError
        There is none; near ids are suggested.
    """
    known = {path.stem: path for path in sorted(_folder(root).glob(f"*{SUFFIX}"), reverse=True)}
    found = next((p for name, p in known.items() if id_ == LAST or name.startswith(id_)), None)
    if found is not None:
        return found
    if not known:
        raise NotFoundError("there is no log yet", fix="steps on a slot write one: podium tune")
    recent = list(known)[:8]
    raise NotFoundError(f"no log '{id_}'", fix=f"{suggest(id_, recent)}; all: podium logs")


def read(
    path: Path, *, follow: bool = False, steps: Collection[str] = (), trials: Collection[str] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:  # fmt: skip
    """Lines of a log; followed, until the command has ended, however it did.

    Parameters
    ----------
    steps, trials : collection of str
        Only what is of one of them; a trial's beginning is enough.
    """
    with path.open(encoding="utf-8", errors="replace", newline="\n") as handle:
        rest = ""
        while True:
            # Asked first: what was written before the writer went is read below.
            goes_on = follow and is_locked(path)
            for told in handle:
                rest += told
                if not rest.endswith("\n"):
                    break
                line, rest = LogLine.of(rest), ""
                if line is not None and line.fits(steps, trials):
                    yield line
            if not goes_on:
                return
            sleep(LOOK)


def _folder(root: Path) -> Path:
    return root / ".podium" / FOLDER


def _facts(path: Path) -> LogFacts | None:
    """None of a file that is no log, or has just been removed."""
    named = _ID.fullmatch(path.stem)
    if named is None:
        return None
    try:
        goes_on = is_locked(path)
        with path.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            head = handle.read(HEAD).decode("utf-8", "replace").splitlines()
            handle.seek(max(0, size - TAIL))
            tail = handle.read().decode("utf-8", "replace").splitlines()
            changed = os.fstat(handle.fileno()).st_mtime
    except OSError:
        return None
    lines = [line for told in head if (line := LogLine.of(told)) is not None]
    last = LogLine.of(tail[-1]) if tail else None
    ended = _ENDED.fullmatch(last.text) if last is not None else None
    began = dt.datetime.strptime(named[1][:15], STAMP).replace(
        tzinfo=dt.UTC, microsecond=int(named[1][16:]) * 1000
    )
    so_far = (time.time() if goes_on else changed) - began.timestamp()
    return LogFacts(
        id=path.stem,
        command=named[2],
        slots=tuple(dict.fromkeys(line.slot for line in lines if line.text == AT_WORK)),
        began=f"{began:%Y-%m-%dT%H:%M:%S}Z",
        seconds=float(ended[2]) if ended else max(0.0, so_far),
        outcome=ended[1] if ended else RUNNING if goes_on else KILLED,
        bytes=size,
    )
