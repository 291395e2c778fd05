"""What a step at work tells other terminals, and what they ask of it: files beside its lock."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from podium.files import is_locked
from podium.hashing import digest
from podium.steps.workspace.stop import StopRequest

# How often a step looks whether it is to stop, and how often it tells how far it is, in seconds.
LOOK, TELL = 0.25, 1.0
STOP, STOP_NOW = "stop", "stop now"


class Activity:
    """One step at work on one slot.

    Other processes, on other machines too where they share the folder, read what it tells, and
    leave a file in which they ask it to stop. Only the lock says that a step is at work: what one
    that was killed told last is not believed.

    Parameters
    ----------
    state : Path
        The project's ``.podium``.
    slot, verb : str
    stop_request : StopRequest
        What is told that it is to stop.
    """

    def __init__(self, state: Path, slot: str, verb: str, stop_request: StopRequest) -> None:
        # Whoever only looks at what is told needs no database's library.
        from podium.ledger.ledger import now

        self.slot, self.stop_request, self.thread = slot, stop_request, threading.get_ident()
        self.told, self.asked = (_beside(state, slot, suffix) for suffix in ("json", "stop"))
        self.facts: dict[str, Any] = {
            "slot": slot,
            "verb": verb,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": now(),
        }
        self._due = 0.0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Tell that the step is at work, and heed those who want it to stop."""
        self.asked.unlink(missing_ok=True)
        self.tell()
        done = threading.Event()
        if threading.current_thread() is threading.main_thread():
            threading.Thread(target=self._look, args=(done,), daemon=True).start()
        try:
            yield
        finally:
            done.set()
            for path in (self.told, self.asked):
                path.unlink(missing_ok=True)

    def tell(self, **facts: Any) -> None:
        """Put further facts where others read them; at most once a second."""
        self.facts |= facts
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + TELL
        beside = self.told.with_suffix(".tmp")
        # What others like to know is no reason for a step to fail, and need not survive a crash.
        with suppress(OSError):
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(self.facts), encoding="utf-8")
            beside.replace(self.told)

    def _look(self, done: threading.Event) -> None:
        """Hand on what somebody asks for."""
        while not done.wait(LOOK):
            with suppress(OSError):
                self.stop_request.ask(at_once=self.asked.read_text(encoding="utf-8") == STOP_NOW)


def at_work(state: Path) -> list[dict[str, Any]]:
    """What the steps at work tell, in the order of their slots."""
    found = []
    for path in sorted((state / "running").glob("*.json")):
        if not is_locked(lock_path(state, path.stem)):
            continue
        # It may end while it is looked at.
        with suppress(OSError, ValueError):
            found.append(json.loads(path.read_text(encoding="utf-8")))
    return sorted(found, key=lambda facts: str(facts["slot"]))


def ask(state: Path, slot: str, what: str) -> None:
    """Ask the step at work on a slot to stop."""
    _beside(state, slot, "stop").write_text(what, encoding="utf-8")


def lock_of(state: Path, slot: str) -> Path:
    """File that a step locks while it is at work on a slot."""
    return lock_path(state, digest(slot)[:16])


def lock_path(state: Path, name: str) -> Path:
    """The same by its name."""
    return state / "locks" / f"{name}.lock"


def _beside(state: Path, slot: str, suffix: str) -> Path:
    """File in which a step tells how far it is (json), or is asked to stop."""
    return state / "running" / f"{digest(slot)[:16]}.{suffix}"
