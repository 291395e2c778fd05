"""Every combination once, in order; a range has three values, its ends and its middle."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from podium.hashing import canonical
from podium.searches._base import Search
from podium.space import ConfigDict


class GridSearch(Search):
    """The n-th config of the grid, without those on record before the study."""

    seeded = False
    learns = False

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Return the grid's configs at the places of these numbers."""
        if not numbers:
            return []
        left = (c for c in self.space.lists().grid() if canonical(c) not in self.seen)
        first = self.place(numbers[0])
        return list(itertools.islice(left, first, first + len(numbers)))

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Remember only trials from before the study, so that places in the grid stay fixed."""
        if number < 0:
            self.seen.add(canonical(config))


SEARCH = GridSearch
