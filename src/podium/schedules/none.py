"""Every trial is trained to its end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from podium.schedules._base import Schedule


class NoSchedule(Schedule):
    """Decides nothing."""

    def rungs(self) -> tuple[int, ...]:
        """None."""
        return ()

    def going_on(
        self, rung: int, scores: Mapping[int, float], others: Sequence[float]
    ) -> Collection[int]:
        """Everybody."""
        del rung, others
        return list(scores)


SCHEDULE = NoSchedule
