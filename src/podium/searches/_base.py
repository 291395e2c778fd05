"""The contract of a search."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from podium.hashing import canonical
from podium.space import ConfigDict, Space
from podium.trial import trial_seed

# Draws before a finite space is enumerated.
DRAWS = 32


class Search(abc.ABC):
    """Propose configs and receive their scores.

    The state of a search follows from its study's trials: a new search that receives the same
    trials in the same order proposes the same configs. So a killed search continues as if it had
    not been interrupted.

    Attributes
    ----------
    distinct : bool
        Whether a config of a finite space is proposed only once. False for studies that began
        before this setting.
    planned : int
        Number of trials at the first start of the study; phases are shares of it.
    stride : int
        Distance between trial numbers, since families of one study share them.
    seeded : bool
        Whether another seed is another search.
    learns : bool
        Whether the proposals depend on the scores.
    """

    distinct: bool = True
    planned: int = 24
    stride: int = 1
    seeded: ClassVar[bool] = True
    learns: ClassVar[bool] = True

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.seed = seed
        self.seen: set[str] = set()

    def begin(self, planned: int, stride: int, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Set the plan of the study, before the first ``ask`` or ``tell``.

        Parameters
        ----------
        planned, stride : int
        stored : mapping
            Return value of this method when the study began; empty at that time.

        Returns
        -------
        dict
            Choices of the search that the study keeps (plain JSON); empty: none.
        """
        del stored
        self.planned, self.stride = planned, stride
        return {}

    def phase(self, number: int) -> str:
        """Name of the trial's phase in the record; empty: the search has no phases."""
        del number
        return ""

    @abc.abstractmethod
    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Propose configs for the trials of one generation.

        Fewer configs than numbers mean that the space is exhausted.
        """

    @abc.abstractmethod
    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Receive a score (lower is better; NaN: failed), in the order of numbers.

        Negative numbers are trials that were on record before the study began.
        """

    def place(self, number: int) -> int:
        """Number of trials of the family before this one."""
        return number // self.stride

    def fresh(self, config: ConfigDict, number: int) -> ConfigDict | None:
        """Return the config, or another one if it was proposed before; None: there is no other."""
        if not (self.distinct and self.space.is_finite):
            return config
        if canonical(config) not in self.seen:
            self.remember(config)
            return config
        rng = np.random.default_rng([trial_seed(self.seed, number), 1])
        for _ in range(DRAWS):
            other = self.space.sample(rng)
            if canonical(other) not in self.seen:
                self.remember(other)
                return other
        # Ends after at most one config more than were seen.
        for other in self.space.lists(points=2**31).grid():
            if canonical(other) not in self.seen:
                self.remember(other)
                return other
        return None

    def remember(self, config: ConfigDict) -> None:
        """Do not propose this config again, if the space is finite."""
        if self.space.is_finite:
            self.seen.add(canonical(config))
