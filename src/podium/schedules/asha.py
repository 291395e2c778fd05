"""Asynchronous halving for clusters: decides as trials arrive, so results depend on --jobs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import ClassVar

from podium.schedules._base import Schedule, Scores, best, powers

BASE = 3


class ASHA(Schedule):
    """Compare a trial with those that reached its rung before it, without waiting for others.

    Early trials survive more easily, and the study depends on the number of jobs and on kills.
    Decisions on record stay.
    """

    synchronous: ClassVar[bool] = False

    def rungs(self) -> tuple[int, ...]:
        """1, 3, 9 ... below the budget."""
        return powers(BASE, self.budget)

    def survivors(self, rung: int, scores: Scores, others: Sequence[float]) -> Collection[int]:
        """Select the best third of those that have been at this rung so far."""
        del rung, others
        return best(scores, max(self.min_survivors, math.ceil(len(scores) / BASE)))


SCHEDULE = ASHA
