"""The contract of a schedule."""

from __future__ import annotations

import abc
import math
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar


class Schedule(abc.ABC):
    """Decides from what trials have shown so far which of them are trained on.

    A schedule holds no state: the same curves give the same decision, whoever trained them, in
    whatever order, and however often the study was killed meanwhile.

    Attributes
    ----------
    waits : bool
        Whether all trials of a cohort are at a rung before it decides. One that does not wait
        decides about each trial when it arrives, among all that have been at the rung so far, so
        its study depends on who was faster.

    Parameters
    ----------
    budget : int
        Epochs of a trial that nobody stops.
    least : int
        Never fewer trials of a cohort go on, as far as there are so many with a finite score.
    """

    waits: ClassVar[bool] = True

    def __init__(self, budget: int, least: int = 1) -> None:
        self.budget, self.least = budget, least

    @abc.abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which it decides, rising, each below the budget; none: it never does."""

    @abc.abstractmethod
    def going_on(
        self, rung: int, scores: Mapping[int, float], others: Sequence[float]
    ) -> Collection[int]:
        """Who of a cohort goes on beyond a rung.

        Parameters
        ----------
        rung : int
            One of ``rungs()``.
        scores : mapping of trial's place in the study to score
            The best each trial still in the running has shown up to this epoch; lower is better,
            NaN where nothing was finite.
        others : sequence of float
            Of every trial that was dropped before, or belongs to an earlier cohort: its best up to
            this epoch, or up to where it was dropped.

        Returns
        -------
        collection of int
            Places out of ``scores``.
        """


def powers(base: int, budget: int) -> tuple[int, ...]:
    """1, base, base squared ... below the budget.

    Examples
    --------
    >>> powers(2, 20)
    (1, 2, 4, 8, 16)
    """
    found = [1]
    while found[-1] * base < budget:
        found.append(found[-1] * base)
    return tuple(rung for rung in found if rung < budget)


def best(scores: Mapping[int, float], count: int) -> list[int]:
    """Places of the lowest scores; of equal ones the earlier place, and never one of NaN.

    Examples
    --------
    >>> best({0: 0.3, 1: float("nan"), 2: 0.1, 3: 0.3}, 2)
    [2, 0]
    """
    finite = [place for place, score in scores.items() if math.isfinite(score)]
    return sorted(finite, key=lambda place: (scores[place], place))[:count]
