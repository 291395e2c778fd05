"""Median stopping: from the third epoch on, who is worse than the median of all trials stops."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence

from podium.schedules._base import Schedule, best

STARTUP, WARMUP = 5, 2


class MedianStopping(Schedule):
    """Nothing is decided in the first two epochs, nor before five trials have been seen.

    The median is taken over the bests so far of all trials of the study up to this epoch, those
    that were stopped before with what they had come to.
    """

    def rungs(self) -> tuple[int, ...]:
        """Every epoch after the warm-up but the last."""
        return tuple(range(WARMUP + 1, self.budget))

    def going_on(
        self, rung: int, scores: Mapping[int, float], others: Sequence[float]
    ) -> Collection[int]:
        """Those at the median or better."""
        del rung
        seen = [score for score in (*scores.values(), *others) if math.isfinite(score)]
        if len(seen) < STARTUP:
            return list(scores)
        limit = statistics.median(seen)
        above = sum(score <= limit for score in scores.values())
        return best(scores, max(self.least, above))


SCHEDULE = MedianStopping
