"""Searches that learn nothing: independent draws, and points spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from podium.arrays import Floats
from podium.searches._base import Search
from podium.space import ConfigDict
from podium.trial import trial_seed

BITS = 30


class RandomSearch(Search):
    """Draw each config from a generator seeded by the study's seed and the trial's number."""

    learns = False

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """One draw a number."""
        found = []
        for number in numbers:
            config = self.fresh(self.space.sample(trial_seed(self.seed, number)), number)
            if config is None:
                break
            found.append(config)
        return found

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Nothing to learn but not to ask for it again."""
        self.remember(config)


class QMCSearch(RandomSearch):
    """The n-th config is the n-th point of a Sobol sequence, whose digits the seed shifts.

    A shift of digits (exclusive or) keeps how evenly the points lie, and needs no state, so a
    point depends on the seed and on its place alone.
    """

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """One point a number."""
        found = []
        for number in numbers:
            units = self.point(self.place(number))
            named = zip(self.space.parameters.items(), units, strict=True)
            config = self.space.complete({name: p.at(float(u)) for (name, p), u in named})
            if (fresh := self.fresh(config, number)) is None:
                break
            found.append(fresh)
        return found

    def point(self, place: int) -> Floats:
        """The point at a place of the sequence, (D,), each coordinate inside 0 and 1."""
        size = len(self.space.parameters)
        if not size:
            return np.empty(0)
        sequence = self._sequence.reset()
        # SciPy cannot go forward by nothing.
        plain = (sequence.fast_forward(place) if place else sequence).random(1)[0]
        digits = np.rint(plain * 2**BITS).astype(np.int64) ^ self._shift
        points: Floats = (digits + 0.5) / 2**BITS
        return points

    @cached_property
    def _sequence(self) -> Any:
        # Imported here: it takes longer than everything else a search imports.
        from scipy.stats import qmc

        return qmc.Sobol(len(self.space.parameters), scramble=False, bits=BITS)

    @cached_property
    def _shift(self) -> Any:
        rng = np.random.default_rng(self.seed)
        return rng.integers(2**BITS, size=len(self.space.parameters))
