"""Search with own code: a command or a function that reports its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.config import Config
from podium.errors import UsageError
from podium.own import TASK as NAME
from podium.own import Code, Files
from podium.record import part_of
from podium.registry import Direction
from podium.split import Fold, Split
from podium.tasks._base import SlotTask, TaskData


class OwnTask(SlotTask):
    """Task of own code: the program opens, splits and scores its data itself."""

    name = NAME
    predicts = False

    def _refuse(self, *_: Any, **named: Any) -> Any:
        """Refuse the call: no slot of podium.toml has this task."""
        del named
        found = "own code has no recorded samples or predictions"
        raise UsageError(found, "the score that it reports", "run: podium sweep --command")

    open = parts = score = read = _refuse


@dataclass(frozen=True)
class OwnSection:
    """Metric and direction of a slot of own code, in place of a slot of podium.toml."""

    metric: str
    direction: str
    task: str = NAME


@dataclass(frozen=True, eq=False)
class OwnData(TaskData):
    """A slot of own code, and the properties that identify its trainings.

    Parameters
    ----------
    slot : str
        ``own/<name>``, which is not declared in podium.toml.
    code_version : int
        Increased by the user when results change, like a family's VERSION.
    what : mapping
        The command or the function.
    code_hashes : mapping of file to SHA-256
        Hashes of the scripts; recorded with trials, not part of their key.
    """

    checkpoint = ""

    slot: str
    section: OwnSection
    dataset: Files
    code_version: int
    what: Mapping[str, Any]
    code: Code
    code_hashes: Mapping[str, str]

    @property
    def name(self) -> str:
        """Family name in the record."""
        return self.slot.partition("/")[2]

    @property
    def spec(self) -> Mapping[str, Any]:
        """The command or the function."""
        return self.what

    @property
    def tuning(self) -> Code:
        """The code, for runners."""
        return self.code

    @property
    def direction(self) -> Direction:
        """Direction set by the user."""
        return Direction(self.section.direction)

    def version(self, family: str) -> int:
        """Version of the code."""
        del family
        return self.code_version

    def resumable(self, family: str) -> bool:
        """True: a program without a saved state starts again, and no report counts twice."""
        del family
        return True

    def metric_of_loss(self, family: str) -> str:
        """Empty: the program reports its metric."""
        del family
        return ""

    def space_place(self, family: str) -> str:
        """The flag ``--set``."""
        del family
        return "--set"

    @property
    def split(self) -> Split:
        """Split with one fold without samples."""
        none = np.empty(0, dtype=np.int64)
        return Split(NAME, {}, (Fold(0, none, none),), None, 0)

    def held_out(self, fraction: float) -> Split:
        """The same."""
        del fraction
        return self.split

    def whole(self) -> Fold:
        """The same."""
        return self.split.folds[0]

    def facts(self, config: Config) -> Mapping[str, Any]:
        """The code and the hashes of its files."""
        del config
        return {"code": {**self.what, "files": dict(self.code_hashes)}}

    def curves(self) -> Sequence[tuple[str, str, Direction]]:
        """The reported curve of the metric."""
        return [(*part_of(self.section.metric), self.direction)]


TASK = OwnTask()
