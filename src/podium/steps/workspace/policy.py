"""Gates of the stages of a slot: default policies, overridden by podium.toml."""

from __future__ import annotations

from collections.abc import Mapping

from podium import registry
from podium.config import EVERYWHERE, Config
from podium.errors import NotFoundError, Problem, UsageError, suggest

Stages = Mapping[str, Mapping[str, Mapping[str, float]]]


def policies() -> dict[str, Stages]:
    """Default policies by name: ``POLICIES`` of the tasks."""
    every = [registry.constant("tasks", task, "POLICIES") or {} for task in registry.names("tasks")]
    return {name: stages for of_task in every for name, stages in of_task.items()}


def policy_of(config: Config, slot: str) -> Stages:
    """Gates and limits of each stage of a slot; stages in podium.toml replace default ones.

    Raises
    ------
    NotFoundError
        No such policy.
    UsageError
        A gate has no such limit.
    """
    name = config.slot(slot).policy
    default = policies()
    known = {**default, **config.policies}
    if name not in known:
        raise NotFoundError(f"slot {slot} names policy '{name}'", fix=suggest(name, known))
    own = config.policies
    policy = {**default.get(name, {}), **own.get(EVERYWHERE, {}), **own.get(name, {})}
    problems = [
        Problem(f"gate '{gate}' of policy '{name}' has no limit '{limit}'", fix=suggest(limit, has))
        for gates in policy.values()
        for gate, limits in gates.items()
        for has in [registry.load("gates", gate).LIMITS]
        for limit in limits
        if limit not in has
    ]
    UsageError.raise_for(problems)
    return policy


def gates_that_read(config: Config, slot: str, kind: str) -> list[str]:
    """Gates of a slot's policy, in any stage, that need a kind of evidence."""
    gates = {gate for stage in policy_of(config, slot).values() for gate in stage}
    return sorted(gate for gate in gates if kind in registry.load("gates", gate).NEEDS)
