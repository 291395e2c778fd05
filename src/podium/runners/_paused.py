"""State of a paused trial in a file: whole, or as if there were none."""

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
# How many times as long as a state's writing took passes before the next: a tenth of the training.
PATIENCE = 9


@dataclass(frozen=True)
class Held:
    """A state that was read: of which epoch, every score up to it, and a family's own bytes."""

    epoch: int
    curve: tuple[Epoch, ...]
    state: bytes


class Pause:
    """Where one task of a runner pauses, and what it goes on from.

    Parameters
    ----------
    path : Path
    until : int
        Epoch to stop after; 0: the training goes on to its end.
    leaves : bool
        Leave states on the way to the end too.
    """

    def __init__(self, path: Path, until: int, *, leaves: bool = False) -> None:
        self.path, self.until, self.leaves = path, until, leaves
        self.held = read(path)
        self._state = b""
        self._next = 0.0

    @classmethod
    def of(cls, job: Job, task: Task) -> Pause | None:
        """None where the task leaves no state and there is none."""
        if not job.pause_to:
            return None
        path = Path(job.pause_to) / task.trial_id / STATE
        if not (task.until or job.leaves_states or path.is_file()):
            return None
        return cls(path, task.until, leaves=job.leaves_states)

    def ended(self, task: Task, curve: tuple[Epoch, ...], seconds: float = 0.0) -> Ended:
        """How the task ends here for now."""
        place = str(self.path.parent)
        return Ended(task, State.PAUSED, epochs=curve, seconds=seconds, paused=place)

    @property
    def reached(self) -> tuple[Epoch, ...] | None:
        """The curve up to where the task stops, if the state is that far already.

        So it is when the driver was killed before it heard of the pause.
        """
        if self.held is None or not 0 < self.until <= self.held.epoch:
            return None
        return self.held.curve[: self.until]

    def last(self) -> bytes | None:
        """State to go on from."""
        return None if self.held is None else self.held.state

    def wants(self, epoch: int) -> bool:
        """The one it stops after; on the way to the end, as often as costs little."""
        return epoch == self.until or (self.leaves and time.monotonic() >= self._next)

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Hold the state until its curve is known too, and stop; or write it and go on."""
        del best
        if epoch == self.until:
            self._state = state
            raise TrainingPaused
        began = time.monotonic()
        # What goes on from it tells its curve again.
        self._write(epoch, (), state)
        self._next = time.monotonic() + PATIENCE * (time.monotonic() - began)

    def write(self, curve: tuple[Epoch, ...]) -> None:
        """Put state and curve into the file, in one piece."""
        self._write(self.until, curve, self._state)

    def _write(self, epoch: int, curve: tuple[Epoch, ...], state: bytes) -> None:
        told = [[each.epoch, dict(each.scores)] for each in curve]
        head = json.dumps({"format": FORMAT, "epoch": epoch, "curve": told})
        body = head.encode() + b"\n" + state
        write_atomic(self.path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def read(path: Path) -> Held | None:
    """What a file holds; None where it is missing or torn: the trial is trained from its start."""
    try:
        name, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if hashlib.sha256(body).hexdigest().encode() != name:
        return None
    head, _, state = body.partition(b"\n")
    told: dict[str, Any] = json.loads(head)
    if told["format"] != FORMAT:
        return None
    curve = tuple(Epoch(0, epoch, scores) for epoch, scores in told["curve"])
    return Held(told["epoch"], curve, state)
