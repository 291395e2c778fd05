"""Curves of running trials for MLflow, from the files that runners write."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from podium.ledger.projections._mlflow_runs import Point, unique_names
from podium.runners._live import SUFFIX, LiveEpoch, read

# Folder of curves in a project, with one folder for each process that trains.
FOLDER = Path(".podium", "live")
# Suffix of the target whose rows name the runs that were shown before their trial ended, and the
# name of those that no process trains any more.
MARK, LEFT = " live", "left"


class LiveFiles:
    """Curves that grow in a project, and what was sent of each."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self.sent: dict[str, int] = {}

    def curves(self) -> Iterator[tuple[str, list[LiveEpoch]]]:
        """Trials with epochs that were not sent, and those epochs."""
        for trial_id, path in self._files().items():
            rows = [row for row in read(path) if row.epoch > self.sent.get(trial_id, 0)]
            if rows:
                yield trial_id, rows

    def trials(self) -> set[str]:
        """Trials of living processes; folders of ended ones are removed."""
        return set(self._files())

    def _files(self) -> dict[str, Path]:
        folders = [path for path in self.folder.glob("*") if path.is_dir()]
        for folder in folders:
            if not _is_alive(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        return {path.stem: path for folder in folders for path in folder.glob(f"*{SUFFIX}")}


def points(rows: list[LiveEpoch]) -> list[Point]:
    """Finite scores as points at the moments of their epochs."""
    names = unique_names(dict.fromkeys(name for row in rows for name in row.scores))
    return [
        Point(names[name], value, row.moment, row.epoch)
        for row in rows
        for name, value in row.scores.items()
        if math.isfinite(value)
    ]


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True
