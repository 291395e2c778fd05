"""Asynchronous halving for clusters: decides as trials arrive, so it depends on --jobs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from podium.schedules._base import Schedule, best, powers

BASE = 3


class ASHA(Schedule):
    """Nobody waits: a trial is compared with those that have been at its rung before it.

    So who comes first has it easier, and the study is not the same for every number of jobs, nor
    after a kill; what was decided stays.
    """

    waits: ClassVar[bool] = False

    def rungs(self) -> tuple[int, ...]:
        """1, 3, 9 ... below the budget."""
        return powers(BASE, self.budget)

    def going_on(
        self, rung: int, scores: Mapping[int, float], others: Sequence[float]
    ) -> Collection[int]:
        """The best third of those that have been at this rung so far."""
        del rung, others
        return best(scores, max(self.least, math.ceil(len(scores) / BASE)))


SCHEDULE = ASHA
