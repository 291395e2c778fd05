"""The contract of a search."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from podium.space import ConfigDict, Space


class Search(abc.ABC):
    """Asks for configs and is told how they did.

    A search holds no state that its study's trials do not: made anew and told the same trials in
    the same order, it asks for the same configs. That is what lets a killed search go on as if
    nothing had happened.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.seed = seed

    @abc.abstractmethod
    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Configs for the trials of these numbers, asked together as one generation."""

    @abc.abstractmethod
    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """How a trial did (lower is better; NaN when it failed), told in the order of numbers."""
