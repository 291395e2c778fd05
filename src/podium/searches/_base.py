"""The contract of a search."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from podium.hashing import canonical
from podium.space import ConfigDict, Space
from podium.trial import trial_seed

# How often another draw is tried before a finite space is gone through.
DRAWS = 32


class Search(abc.ABC):
    """Asks for configs and is told how they did.

    A search holds no state that its study's trials do not: made anew and told the same trials in
    the same order, it asks for the same configs. That is what lets a killed search go on as if
    nothing had happened.

    Attributes
    ----------
    distinct : bool
        Whether a config of a finite space is asked for once only. Studies from before there was
        this are gone on with as they began.
    planned : int
        How many trials the study was first started for; shares of a search are shares of it.
    stride : int
        Numbers of trials are this far apart, since families of one study share them.
    seeded : bool
        Whether another seed is another search.
    learns : bool
        Whether what it is told decides what it asks for.
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
        """Hear how the study was started, before anything is asked or told.

        Parameters
        ----------
        planned, stride : int
        stored : mapping
            What this method returned when the study was begun; empty then.

        Returns
        -------
        dict
            What the study keeps of the search's own choices (plain JSON), so that it goes on with
            them later; empty: it made none.
        """
        del stored
        self.planned, self.stride = planned, stride
        return {}

    def phase(self, number: int) -> str:
        """What the search is doing at this trial, for the record; empty: it knows no phases."""
        del number
        return ""

    @abc.abstractmethod
    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Configs for the trials of these numbers, asked together as one generation.

        Fewer than numbers: the space has no other config, so the search is over.
        """

    @abc.abstractmethod
    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """How a trial did (lower is better; NaN when it failed), told in the order of numbers.

        Negative numbers are trials that were on record before the study began.
        """

    def place(self, number: int) -> int:
        """How many trials were asked before this one."""
        return number // self.stride

    def fresh(self, config: ConfigDict, number: int) -> ConfigDict | None:
        """The config, or another one where it was asked for before; None: there is no other."""
        if not (self.distinct and self.space.is_finite):
            return config
        if canonical(config) not in self.seen:
            self.remember(config)
            return config
        rng = np.random.default_rng([trial_seed(self.seed, number), 1])
        for _ in range(DRAWS):
            other = self.space.complete(
                {name: p.sample(rng) for name, p in self.space.parameters.items()}
            )
            if canonical(other) not in self.seen:
                self.remember(other)
                return other
        # At most one more than were seen are looked at.
        for other in self.space.lists(points=2**31).grid():
            if canonical(other) not in self.seen:
                self.remember(other)
                return other
        return None

    def remember(self, config: ConfigDict) -> None:
        """Ask for this config no more where configs can repeat."""
        if self.space.is_finite:
            self.seen.add(canonical(config))
