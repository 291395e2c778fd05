"""Independent draws from the space; the honest baseline of every search."""

from __future__ import annotations

from collections.abc import Sequence

from podium.searches._base import Search
from podium.space import ConfigDict
from podium.trial import trial_seed


class RandomSearch(Search):
    """Draw each config from a generator seeded by the study's seed and the trial's number."""

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """One draw a number."""
        return [self.space.sample(trial_seed(self.seed, number)) for number in numbers]

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Nothing to learn."""


SEARCH = RandomSearch
