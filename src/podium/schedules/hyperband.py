"""Hyperband: thirds of a bracket that begins at epoch 1, 3 or 9, in turn by a trial's place."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from podium.schedules._base import Schedule, Scores, best, powers

BASE = 3


class Hyperband(Schedule):
    """Hedge against configs that start slowly: brackets are first judged at different epochs.

    Trials are compared within their bracket. A trial's bracket follows from its place in the study,
    so it does not depend on the other trials.
    """

    def rungs(self) -> tuple[int, ...]:
        """1, 3, 9 ... below the budget."""
        return powers(BASE, self.budget)

    def survivors(self, rung: int, scores: Scores, others: Sequence[float]) -> Collection[int]:
        """Select the best third of each bracket that has begun, and all of the others."""
        del others
        rungs = self.rungs()
        chosen: list[int] = []
        for bracket, first in enumerate(rungs):
            mine = {place: s for place, s in scores.items() if place % len(rungs) == bracket}
            begun = first <= rung
            chosen += best(mine, math.ceil(len(mine) / BASE)) if begun else list(mine)
        more = [place for place in best(scores, len(scores)) if place not in chosen]
        return chosen + more[: max(0, self.min_survivors - len(chosen))]


SCHEDULE = Hyperband
