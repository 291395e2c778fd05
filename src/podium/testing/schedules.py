"""A schedule's test calls ``check_schedule(schedule)`` with the class.

>>> from podium.schedules.halving import Halving
>>> check_schedule(Halving)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from podium.schedules._base import Schedule
from podium.testing._base import SEED, require

BUDGETS = (0, 1, 2, 3, 9, 20, 100)
COHORTS = 40


def check_schedule(schedule: type[Schedule]) -> None:
    """Valid rungs, and decisions that depend only on the scores."""
    check_rungs(schedule)
    check_decisions(schedule)
    check_a_better_score_never_hurts(schedule)


def check_rungs(schedule: type[Schedule]) -> None:
    """Rungs are increasing whole epochs below the budget."""
    for budget in BUDGETS:
        rungs = list(schedule(budget).rungs())
        require(rungs == sorted(set(rungs)), f"rungs do not rise: {rungs}")
        wrong = [rung for rung in rungs if not 1 <= rung < budget]
        require(not wrong, f"of {budget} epochs the rungs {wrong} are out of range")


def check_decisions(schedule: type[Schedule]) -> None:
    """At least the required number of given trials continue, independent of their order."""
    rng = np.random.default_rng(SEED)
    for _ in range(COHORTS):
        scores, others = _cohort(rng)
        least = int(rng.integers(1, 6))
        made = schedule(20, least)
        finite = sum(math.isfinite(score) for score in scores.values())
        for rung in made.rungs():
            kept = set(made.survivors(rung, scores, others))
            require(kept <= set(scores), f"{sorted(kept - set(scores))} were not given")
            enough = min(least, finite)
            require(len(kept) >= enough, f"{len(kept)} of {len(scores)} continue, at least {least}")
            turned = dict(reversed(scores.items()))
            again = set(schedule(20, least).survivors(rung, turned, others[::-1]))
            require(again == kept, "another order of the same scores gives another decision")


def check_a_better_score_never_hurts(schedule: type[Schedule]) -> None:
    """A trial that continues also continues with a better score."""
    rng = np.random.default_rng(SEED + 1)
    for _ in range(COHORTS):
        scores, others = _cohort(rng)
        made = schedule(20)
        for rung in made.rungs():
            for place in set(made.survivors(rung, scores, others)):
                better: Mapping[int, float] = {**scores, place: -1.0}
                kept = made.survivors(rung, better, others)
                require(place in kept, f"with {scores[place]} it continues, with -1.0 it does not")


def _cohort(rng: np.random.Generator) -> tuple[dict[int, float], list[float]]:
    """Scores by place, with ties and NaN, and scores of other trials."""
    count = int(rng.integers(1, 30))
    values = np.round(rng.random(2 * count), 1)
    values[rng.random(2 * count) < 0.1] = math.nan
    places = rng.permutation(100)[:count]
    scores = dict(zip(places.tolist(), values[:count].tolist(), strict=True))
    return scores, values[count:].tolist()
