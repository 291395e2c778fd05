"""A search's test calls ``check_search(search)`` with the class, for a few generations.

One that asks for each config of a finite space once is tested by ``check_exhaustion`` too.

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

# Eighteen configs: gamma counts only where the loss is focal.
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
    """The same study again asks the same; made anew from the record it goes on the same."""
    first = _play(_begun(search, space, SEED, generation), range(5), generation)
    configs = list(itertools.chain.from_iterable(first))
    for config in configs:
        require(not space.problems(config), f"{config} does not fit: {space.problems(config)}")
        # What is recorded must come back as the same config.
        back = json.loads(canonical(config))
        require(back == config and not space.problems(back), f"{config} is no plain JSON")
    twice = _play(_begun(search, space, SEED, generation), range(5), generation)
    require(twice == first, "one seed, two searches")
    if search.seeded:
        other = _play(_begun(search, space, SEED + 1, generation), range(5), generation)
        require(other != first, "another seed gives the same search")
    distinct = {canonical(config) for config in configs}
    require(len(distinct) > len(configs) // 2, "most configs are asked twice")
    for known in range(1, 5):
        again = _begun(search, space, SEED, generation)
        for number, config in enumerate(configs[: known * generation]):
            again.tell(number, dict(config), _score(number, config))
        rest = _play(again, range(known, 5), generation)
        require(rest == first[known:], f"rebuilt after {known} generations it goes another way")


def check_exhaustion(search: type[Search], space: Space = FINITE, count: int = COUNT) -> None:
    """Every config of a finite space is asked for once, then no more; killed or not."""
    for size in (4, 5):
        made = _begun(search, space, SEED, size)
        asked: list[ConfigDict] = []
        for start in range(0, count + 2 * size, size):
            again = _begun(search, space, SEED, size)
            for number, config in enumerate(asked):
                again.tell(number, dict(config), _score(number, config))
            numbers = list(range(start, start + size))
            configs = made.ask(numbers)
            require(again.ask(numbers) == configs, f"rebuilt after {start} it goes another way")
            for number, config in zip(numbers, configs, strict=False):
                require(not space.problems(config), f"{config} does not fit")
                made.tell(number, config, _score(number, config))
            asked += configs
        distinct = {canonical(config) for config in asked}
        require(len(distinct) == len(asked), "a config was asked for twice")
        require(len(distinct) == count, f"{len(distinct)} of {count} configs were asked for")


def _begun(search: type[Search], space: Space, seed: int, generation: int) -> Search:
    """A search of five generations, which chooses again what it chose before."""
    made, again = search(space, seed), search(space, seed)
    stored = made.begin(5 * generation, 1, {})
    back = json.loads(canonical(stored))
    require(again.begin(5 * generation, 1, back) == back, "it chooses otherwise when it goes on")
    return made


def _play(search: Search, generations: Sequence[int], size: int) -> list[list[ConfigDict]]:
    asked = []
    for generation in generations:
        numbers = range(generation * size, (generation + 1) * size)
        configs = search.ask(list(numbers))
        require(len(configs) == size, f"{size} configs asked for, {len(configs)} given")
        asked.append([dict(config) for config in configs])
        for number, config in zip(numbers, configs, strict=True):
            search.tell(number, config, _score(number, config))
    return asked


def _score(number: int, config: ConfigDict) -> float:
    """Something to minimize; every fifth trial failed."""
    if number % 5 == 3:
        return math.nan
    return abs(math.log10(float(config.get("rate", 1.0))) + 2) + float(config.get("dropout", 0.0))
