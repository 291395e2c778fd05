"""Median stopping: from the third epoch on, a trial worse than the median of all trials stops."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence

from podium.schedules._base import Schedule, Scores, best

STARTUP, WARMUP = 5, 2


class MedianStopping(Schedule):
    """Stop no trial in the first two epochs, nor before five trials have a score.

    The median is over the best scores up to this epoch of all trials of the study; a stopped trial
    counts with its best score before it was stopped.
    """

    def rungs(self) -> tuple[int, ...]:
        """Every epoch after the warm-up except the last."""
        return tuple(range(WARMUP + 1, self.budget))

    def survivors(self, rung: int, scores: Scores, others: Sequence[float]) -> Collection[int]:
        """Select the trials at the median or better."""
        del rung
        seen = [score for score in (*scores.values(), *others) if math.isfinite(score)]
        if len(seen) < STARTUP:
            return list(scores)
        limit = statistics.median(seen)
        passing = sum(score <= limit for score in scores.values())
        return best(scores, max(self.min_survivors, passing))


SCHEDULE = MedianStopping
