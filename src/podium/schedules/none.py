"""Trains every trial to its end."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from podium.schedules._base import Schedule, Scores


class NoSchedule(Schedule):
    """Prune no trial."""

    def rungs(self) -> tuple[int, ...]:
        """Return no rungs."""
        return ()

    def survivors(self, rung: int, scores: Scores, others: Sequence[float]) -> Collection[int]:
        """Select all trials."""
        del rung, others
        return list(scores)


SCHEDULE = NoSchedule
