"""Sending to MLflow beside a step, with two processes.

The sender has low priority and never writes to the record: with all processors busy it could be
suspended for a second in the middle of a write, and the step would wait for its lock. The record
writer, a second process of normal priority that is nearly always idle, writes for it. Neither
prints to the terminal; messages go to ``.podium/mlflow.log``.
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

# Interval of reads of the outbox, and the longest pause while MLflow does not answer.
EVERY_SECONDS, PAUSE_SECONDS = 1.0, 30.0
# Nice value of the sender beside a step: a share of 23 to the 1024 of a training on the same
# processor. After the step others may wait for it.
PRIORITY, AFTERWARDS = 17, 5
# Least time between two sendings of the curves of running trials.
LIVE_SECONDS = 2.0
LOG_BYTES = 64 * 1024


class SendOutcome(enum.Enum):
    """Outcome of one attempt to send."""

    SENT = enum.auto()
    BUSY = enum.auto()
    STOPPED = enum.auto()


class ErrorLog:
    """A short log file of errors, without repeated messages."""

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
    """Sender of one project, which waits for MLflow."""

    def __init__(self, project: Project, target: Target, record_writer: Connection) -> None:
        self.target = target
        self.log = ErrorLog(project.root / LOG)
        self.record_writer = record_writer
        self.projection = projection_of(project, target, write=self.ask)
        self.curves = self.projection.live
        self.followed = time.monotonic()
        # A session of its own, because the record writer must not wait.
        with contextlib.suppress(OSError):
            os.setsid()
        _set_priority(PRIORITY)

    def ask(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Let the record writer write to the record; returns its answer."""
        self.record_writer.send((work, arguments))
        answer = self.record_writer.recv()
        if isinstance(answer, PodiumError):
            raise answer
        return answer

    def live(self) -> None:
        """Send about once a second; after the step, send the rest unless MLflow is down."""
        pause = EVERY_SECONDS
        while not _is_over(pause):
            stopped = self.send(live=True) is SendOutcome.STOPPED
            pause = min(2 * pause, PAUSE_SECONDS) if stopped else EVERY_SECONDS
        _set_priority(AFTERWARDS)
        while self.projection.waiting() or self.projection.left():
            outcome = self.send()
            if outcome is SendOutcome.STOPPED:
                return
            if outcome is SendOutcome.BUSY:
                # The sender of another command may not have seen the last items of this one.
                time.sleep(EVERY_SECONDS)

    def send(self, *, live: bool = False) -> SendOutcome:
        """Send the waiting items, and ``live`` curves; without any, MLflow is not imported."""
        due = live and time.monotonic() - self.followed >= LIVE_SECONDS
        growing = due and any(self.curves.curves())
        if not growing and not self.projection.waiting() and (live or not self.projection.left()):
            return SendOutcome.SENT
        try:
            done = self.projection.drain(live=self.curves if growing else None)
            self.followed = time.monotonic() if growing else self.followed
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
    """Run the record writer: write for the sender until that ends."""
    ledger = project.ledger
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            work, arguments = sender.recv()
            try:
                with ledger.transaction() as tx:
                    answer = work(tx, *arguments)
            except PodiumError as error:
                answer = error
            sender.send(answer)


def projection_of(
    project: Project, target: Target, write: Callable[..., Any] | None = None
) -> Projection:
    """Projection of a project's record to MLflow."""
    return Projection(
        project.ledger,
        target,
        root=project.root,
        store=project.store,
        project=project.config.project.name,
        user=project.actor,
        write=write or project.ledger.write,
    )


def _set_priority(nice: int) -> None:
    """Set the share of a busy processor that the sender leaves to trainings."""
    # Where Linux shares processors between sessions first, the priority of the session counts; it
    # may be raised again, which that of a process may not.
    try:
        Path("/proc/self/autogroup").write_text(str(nice))
    except OSError:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, nice)


def _is_over(seconds: float) -> bool:
    """Wait some seconds for the end of the step, which closes standard input."""
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], seconds)
    return bool(readable)


def feed(root: Path) -> None:
    """Send a project's outbox until standard input ends, then the rest."""
    message = ""
    try:
        project = Project(root)
        target = _mlflow_target.resolve(project.config)
        record_writer, sender = Pipe()
        if os.fork():
            record_writer.close()
            os.close(sys.stdin.fileno())
            write_for(project, sender)
            return
        sender.close()
        Feeder(project, target, record_writer).live()
    except PodiumError as error:
        message = str(error)
    except Exception:  # noqa: BLE001 - logged, as no terminal shows it; pending items are kept
        message = traceback.format_exc()
    if message:
        ErrorLog(root / LOG).add(without_password(message))
