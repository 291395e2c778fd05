"""Feeding MLflow beside a step: two processes and what they say to each other.

One of low priority sends. It never writes to the record itself: where all processors are busy, it
would be put to sleep for a second in the middle of a write, and the step with it, which waits for
the lock. So a second one of normal priority, which sleeps nearly always, writes what the first one
asks it to. Neither speaks to the terminal; what there is to say goes into ``.podium/mlflow.log``.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from podium.config import without_password
from podium.errors import ConflictError, PodiumError
from podium.files import write_atomic
from podium.ledger.ledger import now
from podium.ledger.projections import _mlflow_target
from podium.ledger.projections._mlflow_target import LOG, Target
from podium.ledger.projections.mlflow import Projection
from podium.steps.workspace.project import Project

# Between two looks into the outbox, and the longest pause while MLflow does not answer.
EVERY_SECONDS, PAUSE_SECONDS = 1.0, 30.0
LOG_BYTES = 64 * 1024


class SendOutcome(enum.Enum):
    """How one try to send went."""

    SENT = enum.auto()
    BUSY = enum.auto()
    STOPPED = enum.auto()


class ErrorLog:
    """A short file of what went wrong; the same words are not repeated."""

    def __init__(self, path: Path) -> None:
        self.path, self.last = path, ""

    def add(self, text: str) -> None:
        """Append a message, and drop the oldest ones of a file that is too long."""
        if text == self.last:
            return
        self.last = text
        # A log that cannot be written must not stop the sending.
        with contextlib.suppress(OSError):
            before = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
            write_atomic(self.path, f"{before}{now()} {text}\n"[-LOG_BYTES:])


class Feeder:
    """One project's way to MLflow, with the patience to wait for it."""

    def __init__(self, project: Project, target: Target, clerk: Connection) -> None:
        self.target = target
        self.log = ErrorLog(project.root / LOG)
        self.clerk = clerk
        self.projection = projection_of(project, target, write=self.ask)
        _step_back()

    def ask(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Let the clerk write to the record; returns when it has."""
        self.clerk.send((work, arguments))
        answer = self.clerk.recv()
        if isinstance(answer, PodiumError):
            raise answer
        return answer

    def live(self) -> None:
        """Send about once a second; once the step is over, what is left, unless MLflow is down."""
        pause = EVERY_SECONDS
        while not _is_over(pause):
            stopped = self.send() is SendOutcome.STOPPED
            pause = min(2 * pause, PAUSE_SECONDS) if stopped else EVERY_SECONDS
        while self.projection.waiting():
            outcome = self.send()
            if outcome is SendOutcome.STOPPED:
                return
            if outcome is SendOutcome.BUSY:
                # The feeder of another command; it may not have seen the last items of this one.
                time.sleep(EVERY_SECONDS)

    def send(self) -> SendOutcome:
        """Send what waits; MLflow is not even imported while nothing does."""
        if not self.projection.waiting():
            return SendOutcome.SENT
        try:
            done = self.projection.drain()
        except ConflictError:
            return SendOutcome.BUSY
        except PodiumError as error:
            self.log.add(self.target.clean(str(error)))
            return SendOutcome.STOPPED
        for refused in done.refused:
            self.log.add(f"refused: {refused}")
        if done.stopped:
            self.log.add(done.stopped)
        return SendOutcome.STOPPED if done.stopped else SendOutcome.SENT


def write_for(project: Project, sender: Connection) -> None:
    """The clerk's whole life: write what the sender asks for, until it is gone."""
    ledger = project.ledger
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            work, arguments = sender.recv()
            try:
                with ledger.transaction() as tx:
                    answer = work(ledger, tx, *arguments)
            except PodiumError as error:
                answer = error
            sender.send(answer)


def projection_of(
    project: Project, target: Target, write: Callable[..., Any] | None = None
) -> Projection:
    """What writes a project's record to MLflow."""
    return Projection(
        project.ledger,
        target,
        root=project.root,
        store=project.store,
        project=project.config.project.name,
        user=project.actor,
        write=write or project.ledger.write,
    )


def _step_back() -> None:
    """Run only where nobody else wants the processor."""
    os.nice(19)
    # Where the system has no such class, being nice must do.
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _is_over(seconds: float) -> bool:
    """Wait so long for the step to end; standard input ends with it, however it ends."""
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], seconds)
    return bool(readable)


def feed(root: Path) -> None:
    """Send what a project's outbox holds until standard input ends, then what is left."""
    told = ""
    try:
        project = Project(root)
        target = _mlflow_target.resolve(project.config)
        clerk, sender = Pipe()
        if os.fork():
            clerk.close()
            os.close(sys.stdin.fileno())
            write_for(project, sender)
            return
        sender.close()
        Feeder(project, target, clerk).live()
    except PodiumError as error:
        told = str(error)
    except Exception:  # noqa: BLE001 - nobody hears a traceback here; what waits is kept
        told = traceback.format_exc()
    if told:
        ErrorLog(root / LOG).add(without_password(told))
