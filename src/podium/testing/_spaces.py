"""What the kits of families share: their spaces, and a few short configs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from podium.errors import UsageError
from podium.families._base import AnyFamily
from podium.hashing import canonical
from podium.space import Choice, ConfigDict, Space
from podium.testing._base import SEED, refusal, require
from podium.trial import BUDGET


def check_each_call_makes_a_family(kind: Callable[[], AnyFamily[Any, Any, Any]]) -> None:
    """A module holds the class: each call makes a family that no other call returns."""
    require(callable(kind), f"a {type(kind).__name__} object in place of its class")
    require(kind() is not kind(), "two calls return the same object")


def check_parent_refused(
    family: AnyFamily[Any, Any, Any], config: ConfigDict, train: Any, validation: Any, parent: Any
) -> None:
    """``fit_many`` refuses a parent, naming the family, where ``continues`` is not set."""

    def act() -> None:
        list(family.fit_many([config], train, validation, seeds=[SEED], parent=parent))

    told = refusal(UsageError, act, "a model to go on from was not refused")
    require(family.name in told, f"the refusal does not name the family: {told}")


def check_space(family: AnyFamily[Any, Any, Any], data: object) -> None:
    """It has a name, a whole VERSION, and a space whose draws fit it and can be recorded."""
    require(bool(family.name), "the family has no name")
    require(isinstance(family.VERSION, int), "VERSION is no whole number")
    space = family.space(data)
    for seed in range(20):
        found = space.problems(space.sample(seed))
        require(not found, f"a config drawn from the space does not fit it: {found}")
    require(space.sample(1) == space.sample(1), "two draws with one seed differ")
    canonical(space.spec())
    grid = {name: list(values) for name, values in family.grid(data).items()}
    try:
        count = len(list(space.narrowed(grid, "its grid").only(grid).grid()))
    except UsageError as error:
        raise AssertionError(f"its own grid does not fit its space: {error}") from error
    require(count == math.prod(map(len, grid.values())), "its grid names a value twice")
    check_modes(family, data)


def check_modes(family: AnyFamily[Any, Any, Any], data: object) -> None:
    """What a sweep tries first, and its small grid, are configs of the family, each once."""
    space = family.space(data)
    try:
        first = [
            canonical(config)
            for mine in family.priority(data)
            for config in space.narrowed(mine, "priority").only([]).grid()
        ]
        quick = {name: list(values) for name, values in family.quick(data).items()}
        count = len(list(space.narrowed(quick, "quick").only(quick).grid()))
    except UsageError as error:
        raise AssertionError(f"a sweep's configs do not fit its space: {error}") from error
    require(len(set(first)) == len(first) > 0, "its priority names a config twice, or none")
    require(count == math.prod(map(len, quick.values())), "its quick grid names a value twice")


def check_refusals(space: Space) -> None:
    """Unknown, missing and impossible values are refused by name."""
    good = space.sample(SEED)
    wrong: list[tuple[str, dict[str, object]]] = [("no_such_knob", {**good, "no_such_knob": 1})]
    for name in good:
        wrong.append((name, {k: v for k, v in good.items() if k != name}))
        wrong.append((name, {**good, name: "no such value"}))
        wrong.append((name, {**good, name: math.nan}))
    asked: list[tuple[str, Callable[[], object]]] = [
        *((name, partial(space.require, config)) for name, config in wrong),
        ("no_such_knob", partial(space.narrowed, {"no_such_knob": 1}, "[space] of the kit")),
    ]
    for name, act in asked:
        told = refusal(UsageError, act, f"a wrong '{name}' was not refused")
        require(name in told, f"the refusal does not name '{name}': {told}")


def configs(space: Space, epochs: int, count: int) -> list[ConfigDict]:
    """The whole grid of a small discrete space, else a few draws; short training."""
    if BUDGET in {**space.parameters, **space.constants}:
        space = space.narrowed({BUDGET: epochs}, "the kit")
    options = [len(p.options) for p in space.parameters.values() if isinstance(p, Choice)]
    if len(options) == len(space.parameters) and math.prod(options) <= 32:
        return list(space.grid())
    return [space.sample(seed) for seed in range(count)]
