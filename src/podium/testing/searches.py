"""A search's test calls ``check_search(search)`` with the class, for a few generations.

A search without repeated configs is tested by ``check_exhaustion`` too.

>>> from podium.searches.random import RandomSearch
>>> check_search(RandomSearch)
>>> check_exhaustion(RandomSearch)
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence

from podium.hashing import canonical
from podium.searches._base import Search
from podium.space import Choice, ConfigDict, Float, Int, Space, When
from podium.testing._base import SEED, require
from podium.trial import BUDGET

SPACE = Space(
    parameters={
        "units": Choice((16, 32, 64)),
        "rate": Float(1e-4, 1e-1, log=True),
        "dropout": Float(0.0, 0.4),
        "layers": Int(1, 4),
        "gate": Choice(("relu", "tanh")),
    },
    constants={BUDGET: 3},
)

# Eighteen configs: gamma is active only with the focal loss.
FINITE = Space(
    parameters={
        "units": Choice((16, 32, 64)),
        "layers": Int(1, 2),
        "loss": Choice(("plain", "focal")),
        "gamma": Choice((1.0, 3.0)),
    },
    constants={BUDGET: 3},
    conditions={"gamma": When({"loss": ("focal",)}, 2.0)},
)
COUNT = 18


def check_search(search: type[Search], space: Space = SPACE, generation: int = 4) -> None:
    """The search is reproducible, and resumes from the record with the same configs."""
    first = _play(_begun(search, space, SEED, generation), range(5), generation)
    configs = list(itertools.chain.from_iterable(first))
    for config in configs:
        require(not space.problems(config), f"{config} does not fit: {space.problems(config)}")
        # The recorded config must equal the original.
        back = json.loads(canonical(config))
        require(back == config and not space.problems(back), f"{config} is not plain JSON")
    twice = _play(_begun(search, space, SEED, generation), range(5), generation)
    require(twice == first, "two searches with one seed differ")
    if search.seeded:
        other = _play(_begun(search, space, SEED + 1, generation), range(5), generation)
        require(other != first, "another seed gives the same search")
    distinct = {canonical(config) for config in configs}
    require(len(distinct) > len(configs) // 2, "most configs are repeated")
    for known in range(1, 5):
        again = _begun(search, space, SEED, generation)
        for number, config in enumerate(configs[: known * generation]):
            again.tell(number, dict(config), _score(number, config))
        rest = _play(again, range(known, 5), generation)
        require(rest == first[known:], f"resumed after {known} generations it differs")


def check_exhaustion(search: type[Search], space: Space = FINITE, count: int = COUNT) -> None:
    """Every config of a finite space comes once, also after interruptions."""
    for size in (4, 5):
        made = _begun(search, space, SEED, size)
        configs_so_far: list[ConfigDict] = []
        for start in range(0, count + 2 * size, size):
            again = _begun(search, space, SEED, size)
            for number, config in enumerate(configs_so_far):
                again.tell(number, dict(config), _score(number, config))
            numbers = list(range(start, start + size))
            configs = made.ask(numbers)
            require(again.ask(numbers) == configs, f"resumed after {start} configs it differs")
            for number, config in zip(numbers, configs, strict=False):
                require(not space.problems(config), f"{config} does not fit")
                made.tell(number, config, _score(number, config))
            configs_so_far += configs
        distinct = {canonical(config) for config in configs_so_far}
        require(len(distinct) == len(configs_so_far), "a config was repeated")
        require(len(distinct) == count, f"{len(distinct)} of {count} configs came")


def _begun(search: type[Search], space: Space, seed: int, generation: int) -> Search:
    """A search of five generations, whose stored choices are reproducible."""
    made, again = search(space, seed), search(space, seed)
    stored = made.begin(5 * generation, 1, {})
    back = json.loads(canonical(stored))
    require(again.begin(5 * generation, 1, back) == back, "its choices differ when it resumes")
    return made


def _play(search: Search, generations: Sequence[int], size: int) -> list[list[ConfigDict]]:
    played = []
    for generation in generations:
        numbers = range(generation * size, (generation + 1) * size)
        configs = search.ask(list(numbers))
        require(len(configs) == size, f"{len(configs)} configs in place of {size}")
        played.append([dict(config) for config in configs])
        for number, config in zip(numbers, configs, strict=True):
            search.tell(number, config, _score(number, config))
    return played


def _score(number: int, config: ConfigDict) -> float:
    """A loss; every fifth trial failed."""
    if number % 5 == 3:
        return math.nan
    return abs(math.log10(float(config.get("rate", 1.0))) + 2) + float(config.get("dropout", 0.0))
