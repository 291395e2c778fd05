"""Hyperband: halvings by thirds that begin at epoch 1, 3 or 9, in turn by a trial's place."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from podium.schedules._base import Schedule, best, powers

BASE = 3


class Hyperband(Schedule):
    """Hedges against configs that start slowly: some trials are first judged later than others.

    Trials of one bracket are compared with one another alone. A trial's bracket follows from its
    place in the study, so it does not depend on what else is trained.
    """

    def rungs(self) -> tuple[int, ...]:
        """1, 3, 9 ... below the budget."""
        return powers(BASE, self.budget)

    def going_on(
        self, rung: int, scores: Mapping[int, float], others: Sequence[float]
    ) -> Collection[int]:
        """The best third of each bracket that has begun; everybody of the others."""
        del others
        rungs = self.rungs()
        found: list[int] = []
        for bracket, first in enumerate(rungs):
            mine = {place: s for place, s in scores.items() if place % len(rungs) == bracket}
            begun = first <= rung
            found += best(mine, math.ceil(len(mine) / BASE)) if begun else list(mine)
        more = [place for place in best(scores, len(scores)) if place not in found]
        return found + more[: max(0, self.least - len(found))]


SCHEDULE = Hyperband
