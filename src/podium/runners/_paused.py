"""The state of a paused trial in a file; a torn file counts as missing."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium.files import write_atomic
from podium.trial import Ended, Epoch, Job, State, Task, TrainingPaused

STATE = "state"
FORMAT = 1
# Pause between two states in multiples of the time to write one: a tenth of the training.
PATIENCE = 9


@dataclass(frozen=True)
class PausedState:
    """A state from a file: its epoch, all scores up to it, and the family's bytes."""

    epoch: int
    curve: tuple[Epoch, ...]
    state: bytes


class Pause:
    """Where one task pauses, and the state it continues from.

    Parameters
    ----------
    path : Path
    until : int
        Epoch to stop after; 0: train to the end.
    leaves : bool
        Whether to write states on the way to the end too.
    """

    def __init__(self, path: Path, until: int, *, leaves: bool = False) -> None:
        self.path, self.until, self.leaves = path, until, leaves
        self.saved = read(path)
        self._state = b""
        self._next = 0.0

    @classmethod
    def of(cls, job: Job, task: Task) -> Pause | None:
        """Return None if the task leaves no state and continues from none."""
        if not job.pause_to:
            return None
        path = Path(job.pause_to) / task.trial_id / STATE
        if not (task.until or job.leaves_states or path.is_file()):
            return None
        return cls(path, task.until, leaves=job.leaves_states)

    def ended(self, task: Task, curve: tuple[Epoch, ...], seconds: float = 0.0) -> Ended:
        """End of a task that pauses here."""
        place = str(self.path.parent)
        return Ended(task, State.PAUSED, epochs=curve, seconds=seconds, paused=place)

    @property
    def reached(self) -> tuple[Epoch, ...] | None:
        """The curve up to epoch ``until`` if the state is that far already.

        This happens when the driver was killed before it recorded the pause.
        """
        if self.saved is None or not 0 < self.until <= self.saved.epoch:
            return None
        return self.saved.curve[: self.until]

    def last(self) -> bytes | None:
        """State to continue from."""
        return None if self.saved is None else self.saved.state

    def wants(self, epoch: int) -> bool:
        """Whether to write a state after this epoch: at ``until``, or on the way if it is cheap."""
        return epoch == self.until or (self.leaves and time.monotonic() >= self._next)

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Keep the state until its curve is known and stop; or write it and continue."""
        del best
        if epoch == self.until:
            self._state = state
            raise TrainingPaused
        began = time.monotonic()
        # A training that continues from it reports its curve again.
        self._write(epoch, (), state)
        self._next = time.monotonic() + PATIENCE * (time.monotonic() - began)

    def write(self, curve: tuple[Epoch, ...]) -> None:
        """Write state and curve to the file atomically."""
        self._write(self.until, curve, self._state)

    def _write(self, epoch: int, curve: tuple[Epoch, ...], state: bytes) -> None:
        scores = [[each.epoch, dict(each.scores)] for each in curve]
        head = json.dumps({"format": FORMAT, "epoch": epoch, "curve": scores})
        body = head.encode() + b"\n" + state
        write_atomic(self.path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def read(path: Path) -> PausedState | None:
    """State of a file; None if it is missing or torn, so the trial is trained from its start."""
    try:
        name, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if hashlib.sha256(body).hexdigest().encode() != name:
        return None
    head, _, state = body.partition(b"\n")
    fields: dict[str, Any] = json.loads(head)
    if fields["format"] != FORMAT:
        return None
    curve = tuple(Epoch(0, epoch, scores) for epoch, scores in fields["curve"])
    return PausedState(fields["epoch"], curve, state)
