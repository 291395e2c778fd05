"""Curves of running trials as files, one line per epoch, for readers beside the training.

Nothing depends on them: the record gets every epoch when a trial ends.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".jsonl"


@dataclass(frozen=True)
class LiveEpoch:
    """Scores of one epoch, and its end in milliseconds since 1970."""

    epoch: int
    moment: int
    scores: Mapping[str, float]


class LiveCurves:
    """Writer of the curves of one batch; without a folder it writes nothing."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._last: dict[str, int] = {}

    def add(self, trial_id: str, epoch: int, scores: Mapping[str, float]) -> None:
        """Append an epoch, unless it was added before."""
        if not self.folder or epoch <= self._last.get(trial_id, 0):
            return
        self._last[trial_id] = epoch
        line = json.dumps([epoch, int(1000 * time.time()), dict(scores)])
        # A curve that cannot be written must not stop the training.
        with contextlib.suppress(OSError), self._place(trial_id).open("a") as file:
            file.write(line + "\n")

    def _place(self, trial_id: str) -> Path:
        return Path(self.folder) / f"{trial_id}{SUFFIX}"


def read(path: Path) -> list[LiveEpoch]:
    """Epochs of a curve, the newest of each number; the half line of a killed writer is ignored."""
    rows: dict[int, LiveEpoch] = {}
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                epoch, moment, scores = json.loads(line)
                rows[epoch] = LiveEpoch(epoch, moment, scores)
    return [rows[epoch] for epoch in sorted(rows)]


def forget(folder: str, trial_id: str) -> None:
    """Delete the curve of a trial that is on record."""
    if folder:
        (Path(folder) / f"{trial_id}{SUFFIX}").unlink(missing_ok=True)
