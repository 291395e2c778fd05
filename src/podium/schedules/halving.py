"""Synchronous halving: after 1, 2, 4 and 8 epochs the better half of a cohort continues."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from podium.schedules._base import Schedule, Scores, best, powers

# Later rungs save little: few trials are left by then, and their scores are close.
LAST = 8


class Halving(Schedule):
    """Decide about the whole cohort at each rung, so the order of arrival does not matter.

    Sixty trials of 20 epochs with at least four survivors cost 200 epochs instead of 1,200.
    """

    def rungs(self) -> tuple[int, ...]:
        """1, 2, 4 and 8 below the budget."""
        return tuple(rung for rung in powers(2, self.budget) if rung <= LAST)

    def survivors(self, rung: int, scores: Scores, others: Sequence[float]) -> Collection[int]:
        """Select the better half, rounded up."""
        del rung, others
        return best(scores, max(self.min_survivors, math.ceil(len(scores) / 2)))


SCHEDULE = Halving
