"""Ladder of finished projects: each is built once a run, by the worker that needs it first.

A template is only looked at. A test that changes something takes a copy of it, which is cheap: a
small project is less than a megabyte. The ladder ends a run with an error where a
template changed, so that no test depends on what another one left.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import classes
import growing
import projects
import quick
from podium.files import lock, write_atomic
from podium.hashing import digest
from podium.steps.candidates.finalize import finalize
from podium.steps.decisions.backtest import backtest
from podium.steps.search.analyze import analyze
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.workspace.project import Project
from podium.steps.workspace.session import open_project

# Seconds a worker waits for what another one builds.
PATIENCE = 300.0
# What must not change in a template; logs and locks may come and go.
KEPT = ("*.db", "*.toml", "*.json", "*.csv", "*.npz", "*.pt")


def each_slot(step: Callable[[Project, str], object]) -> Callable[[Path], None]:
    """A step of every slot of a project."""

    def climb(root: Path) -> None:
        with open_project(root) as project:
            for slot in project.config.slots:
                step(project, slot)

    return climb


def evaluate_all(root: Path) -> None:
    """Evaluate every candidate of a project that classifies."""
    for row in projects.query(root, "SELECT id FROM candidate"):
        classes.evaluated(root, row["id"])


# How projects begin.
KINDS: Mapping[str, Callable[..., Path]] = {
    "small": projects.small_project,
    "long": projects.long_project,
    "growing": growing.growing_project,
    "classes": classes.project,
}
# The rung below, and what is done there. A finished project went through one whole run.
RUNGS: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    "searched": ("made", each_slot(tune)),
    "extended": ("searched", each_slot(extend)),
    "analyzed": ("extended", each_slot(analyze)),
    "finalized": ("analyzed", each_slot(finalize)),
    "judged": ("finalized", each_slot(backtest)),
    "finished": ("made", projects.run_project),
    # Of a classifier that learned something.
    "trained": ("made", partial(classes.trained, settings=classes.LEARNS)),
    "evaluated": ("trained", evaluate_all),
}


class Ladder:
    """Templates below one folder that all workers of a run share."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.place.mkdir(exist_ok=True)

    def project(self, rung: str, kind: str = "small", **settings: Mapping[str, Any]) -> Path:
        """A project of these settings that came so far."""
        told = digest([kind, projects.merge(settings)])[:12]

        def build(folder: Path) -> None:
            if rung == "made":
                KINDS[kind](folder / "small", **settings)
                return
            below, climb = RUNGS[rung]
            root = self.copy(folder / "small", below, kind, **settings)
            with quick.offered() as families, pytest.MonkeyPatch.context() as patch:
                patch.syspath_prepend(families)
                climb(root)

        return self.kept(f"{kind}-{rung}-{told}", build) / "small"

    def copy(self, target: Path, *asked: str, **settings: Mapping[str, Any]) -> Path:
        """A copy of such a project, to be changed."""
        return copied(self.project(*asked, **settings), target)

    def kept(self, name: str, build: Callable[[Path], object]) -> Path:
        """The folder of this name, filled by ``build`` if nobody did; it stays where it was built.

        A mark beside it says that it is whole: what a killed worker left is built again.
        """
        folder, mark = self.place / name, self.place / f"{name}.whole"
        with lock(self.place / f"{name}.lock", "a build", patience=PATIENCE):
            if not mark.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                build(folder)
                assert not [*folder.rglob("*-wal")], "a record that is still open"
                write_atomic(mark, contents(folder))
        return folder

    def changed(self) -> list[str]:
        """Names of the templates that somebody wrote to."""
        marks = sorted(self.place.glob("*.whole"))
        return [m.stem for m in marks if m.read_text() != contents(m.with_suffix(""))]


def copied(template: Path, target: Path) -> Path:
    """A copy of a template, also while another worker reads its record.

    SQLite keeps files beside a record that is open, and takes them away again. A template's are
    empty.
    """
    return shutil.copytree(template, target, ignore=shutil.ignore_patterns("*-wal", "*-shm"))


def contents(folder: Path) -> str:
    """Digest of the files that must not change."""
    found = hashlib.sha256()
    for path in sorted({path for pattern in KEPT for path in folder.rglob(pattern)}):
        found.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return found.hexdigest()
