"""Progress of running steps and requests to stop them, as files beside their locks."""

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
from podium.hashing import digest, read_json
from podium.steps.workspace.stop import StopRequest

# Seconds between two checks for a request to stop, and between two writes of the progress.
CHECK_SECONDS, WRITE_SECONDS = 0.25, 1.0
STOP, STOP_NOW = "stop", "stop now"


class Activity:
    """A running step of one slot.

    Other processes, also on machines that share the folder, read its progress and write a file to
    stop it. A step runs while it holds its lock; the progress file of a killed step is ignored.

    Parameters
    ----------
    state : Path
        The project's ``.podium``.
    slot, verb : str
    stop_request : StopRequest
        Receives requests to stop.
    """

    def __init__(self, state: Path, slot: str, verb: str, stop_request: StopRequest) -> None:
        # Imported here: readers of the progress need no SQLAlchemy.
        from podium.ledger.ledger import now

        self.slot, self.stop_request, self.thread = slot, stop_request, threading.get_ident()
        self.progress_file = _file_of(state, slot, "json")
        self.stop_file = _file_of(state, slot, "stop")
        process = {"pid": os.getpid(), "host": socket.gethostname(), "since": now()}
        self.facts: dict[str, Any] = {"slot": slot, "verb": verb, **process}
        self._due = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Publish that the step runs, and watch for requests to stop."""
        self.stop_file.unlink(missing_ok=True)
        self.tell()
        done = threading.Event()
        if threading.current_thread() is threading.main_thread():
            threading.Thread(target=self._watch, args=(done,), daemon=True).start()
        try:
            yield
        finally:
            done.set()
            for path in (self.progress_file, self.stop_file):
                path.unlink(missing_ok=True)

    def tell(self, **facts: Any) -> None:
        """Publish further facts, at most once a second."""
        self.facts |= facts
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + WRITE_SECONDS
        temporary = self.progress_file.with_suffix(".tmp")
        # A step does not fail for its progress file, which need not survive a crash.
        with suppress(OSError):
            temporary.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self.facts), encoding="utf-8")
            temporary.replace(self.progress_file)

    def _watch(self, done: threading.Event) -> None:
        """Pass requests to stop on."""
        while not done.wait(CHECK_SECONDS):
            with suppress(OSError):
                request = self.stop_file.read_text(encoding="utf-8")
                self.stop_request.ask(at_once=request == STOP_NOW)


def at_work(state: Path) -> list[dict[str, Any]]:
    """Facts of the running steps, in the order of their slots."""
    paths = (state / "running").glob("*.json")
    steps = [read_json(path) for path in paths if is_locked(lock_path(state, path.stem))]
    # The step may end at any moment.
    return sorted(filter(None, steps), key=lambda facts: str(facts["slot"]))


def ask(state: Path, slot: str, what: str) -> None:
    """Request that the running step of a slot stops."""
    _file_of(state, slot, "stop").write_text(what, encoding="utf-8")


def lock_of(state: Path, slot: str) -> Path:
    """Lock file of a slot."""
    return lock_path(state, digest(slot)[:16])


def lock_path(state: Path, name: str) -> Path:
    """Lock file of a name."""
    return state / "locks" / f"{name}.lock"


def _file_of(state: Path, slot: str, suffix: str) -> Path:
    """File with a step's progress (json), or with the request to stop it (stop)."""
    return state / "running" / f"{digest(slot)[:16]}.{suffix}"
