"""The contract of a schedule."""

from __future__ import annotations

import abc
import math
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

# Scores of trials by their place in the study.
Scores = Mapping[int, float]


class Schedule(abc.ABC):
    """Select from the curves so far the trials that are trained further.

    A schedule has no state: the same curves give the same decision, in any order of training and
    after any interruption of the study.

    Attributes
    ----------
    synchronous : bool
        Whether it decides once all trials of a cohort are at a rung. An asynchronous schedule
        decides about each trial on arrival, among all that have been at the rung so far, so its
        study depends on the order of arrival.

    Parameters
    ----------
    budget : int
        Epochs of a trial that is not pruned.
    min_survivors : int
        Trials of a cohort that survive at least, if so many have a finite score.
    """

    synchronous: ClassVar[bool] = True

    def __init__(self, budget: int, min_survivors: int = 1) -> None:
        self.budget, self.min_survivors = budget, min_survivors

    @abc.abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which it decides, rising, each below the budget; empty: never."""

    @abc.abstractmethod
    def survivors(self, rung: int, scores: Scores, others: Sequence[float]) -> Collection[int]:
        """Select the trials of a cohort that continue beyond a rung.

        Parameters
        ----------
        rung : int
            One of ``rungs()``.
        scores : mapping of trial's place in the study to score
            Best score up to this epoch of each trial that is not pruned; lower is better, NaN
            without a finite score.
        others : sequence of float
            Best score up to this epoch, or up to its pruning, of each trial that was pruned before
            or belongs to an earlier cohort.

        Returns
        -------
        collection of int
            Places out of ``scores``.
        """


def powers(base: int, budget: int) -> tuple[int, ...]:
    """Powers of ``base`` below the budget, from 1.

    Examples
    --------
    >>> powers(2, 20)
    (1, 2, 4, 8, 16)
    """
    rungs = [1]
    while rungs[-1] * base < budget:
        rungs.append(rungs[-1] * base)
    return tuple(rung for rung in rungs if rung < budget)


def best(scores: Scores, count: int) -> list[int]:
    """Places of the lowest scores; of equal ones the earlier place, never a NaN.

    Examples
    --------
    >>> best({0: 0.3, 1: float("nan"), 2: 0.1, 3: 0.3}, 2)
    [2, 0]
    """
    finite = [place for place, score in scores.items() if math.isfinite(score)]
    return sorted(finite, key=lambda place: (scores[place], place))[:count]
