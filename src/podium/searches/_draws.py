"""Searches that do not learn from scores: independent draws and Sobol points."""

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

    def propose(self, number: int) -> ConfigDict:
        """Config of a number, which may be one that the study has already."""
        return self.space.sample(trial_seed(self.seed, number))

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Propose one config a number."""
        configs = []
        for number in numbers:
            config = self.fresh(self.propose(number), number)
            if config is None:
                break
            configs.append(config)
        return configs

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Remember the config, so that it is not proposed again."""
        self.remember(config)


class QMCSearch(RandomSearch):
    """The n-th config is the n-th point of a Sobol sequence with a digital shift by the seed.

    The shift (exclusive or) preserves the discrepancy and needs no state, so a point depends on
    the seed and its place alone.
    """

    def propose(self, number: int) -> ConfigDict:
        """Config at the point of a number."""
        units = self.point(self.place(number))
        named = zip(self.space.parameters.items(), units, strict=True)
        return self.space.complete({name: p.at(float(u)) for (name, p), u in named})

    def point(self, place: int) -> Floats:
        """Point at a place of the sequence, (D,), with coordinates in (0, 1)."""
        if not self.space.parameters:
            return np.empty(0)
        sequence = self._sequence.reset()
        # SciPy rejects fast_forward(0).
        plain = (sequence.fast_forward(place) if place else sequence).random(1)[0]
        digits = np.rint(plain * 2**BITS).astype(np.int64) ^ self._shift
        points: Floats = (digits + 0.5) / 2**BITS
        return points

    @cached_property
    def _sequence(self) -> Any:
        # Imported here: it takes longer than all other imports of a search.
        from scipy.stats import qmc

        return qmc.Sobol(len(self.space.parameters), scramble=False, bits=BITS)

    @cached_property
    def _shift(self) -> Any:
        rng = np.random.default_rng(self.seed)
        return rng.integers(2**BITS, size=len(self.space.parameters))
