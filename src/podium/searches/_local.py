"""Refinement: small steps from the best config so far."""

from __future__ import annotations

import math

import numpy as np

from podium.searches._draws import RandomSearch
from podium.space import Choice, ConfigDict, Space
from podium.trial import trial_seed

# Steps on a parameter's scale from 0 to 1, at the first and at the last trial of the refinement.
FIRST_STEP, LAST_STEP = 0.15, 0.02


class LocalSearch(RandomSearch):
    """Perturb the best config; before the first score, the middle of the space.

    Attributes
    ----------
    since : int
        Place of the first step in the plan; steps shrink from there to the plan's end.
    """

    learns = True
    since: int = 0

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self.best: ConfigDict = {name: p.at(0.5) for name, p in space.parameters.items()}
        self.score = math.inf

    def done(self, number: int) -> float:
        """Share of the refinement before this trial, from 0 to 1."""
        place = self.place(number) % self.planned
        return max(0.0, (place - self.since) / (self.planned - self.since))

    def propose(self, number: int) -> ConfigDict:
        """Move every number of the best config by a step and, rarely, change a choice."""
        step = FIRST_STEP * (LAST_STEP / FIRST_STEP) ** self.done(number)
        rng = np.random.default_rng(trial_seed(self.seed, number))
        chosen = {}
        for name, parameter in self.space.parameters.items():
            draw, move = rng.random(), rng.normal(0.0, step)
            known = self.best.get(name)
            if known is None or not parameter.holds(known):
                chosen[name] = parameter.at(draw)
            elif isinstance(parameter, Choice):
                chance = 1.0 / (2 * len(self.space.parameters))
                chosen[name] = parameter.at(draw / chance) if draw < chance else known
            else:
                # A step beyond the range is reflected at its end.
                unit = abs(parameter.place(known) + move)
                chosen[name] = parameter.at(min(1.0, max(0.0, 2.0 - unit if unit > 1 else unit)))
        return self.space.complete(chosen)

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Keep the config with the lowest finite score; of equal ones the first."""
        self.remember(config)
        if math.isfinite(score) and score < self.score:
            self.best, self.score = config, score
