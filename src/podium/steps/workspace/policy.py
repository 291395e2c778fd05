"""Which gates a stage of a slot asks for: the default policies under those of podium.toml."""

from __future__ import annotations

from collections.abc import Mapping

from podium import registry
from podium.config import EVERYWHERE, Config
from podium.errors import NotFoundError, Problem, UsageError, suggest

_FORECAST: Mapping[str, Mapping[str, float]] = {
    "fresh_evidence": {},
    "same_data": {},
    "no_leak": {},
    "in_confidence_set": {},
    "beats_naive": {},
    "beats_champion": {},
}
# What a candidate must show by default; podium.toml may add or change. A forecast is judged by its
# error; one that is traded for profit must show besides that the profit is no luck.
POLICIES: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]] = {
    "forecast": {"beta": {"fresh_evidence": {}}, "champion": _FORECAST},
    "trading": {
        "beta": {"fresh_evidence": {}},
        "champion": {**_FORECAST, "deflated_sharpe": {}, "overfitting": {}},
    },
    "classify": {
        "beta": {"evaluation_bundle": {}},
        "champion": {"evaluation_bundle": {}, "macro_f1": {}, "minority_recall": {}, "signoff": {}},
    },
}


def policy_of(config: Config, slot: str) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Gates and limits of each stage of a slot: podium.toml's stages over the default ones.

    Raises
    ------
    NotFoundError
        No such policy.
    UsageError
        A gate has no such limit.
    """
    name = config.slot(slot).policy
    known = {**POLICIES, **config.policies}
    if name not in known:
        raise NotFoundError(f"slot {slot} names policy '{name}'", fix=suggest(name, known))
    policy = {
        **POLICIES.get(name, {}),
        **config.policies.get(EVERYWHERE, {}),
        **config.policies.get(name, {}),
    }
    problems = [
        Problem(f"gate '{gate}' of policy '{name}' has no limit '{limit}'", fix=suggest(limit, has))
        for gates in policy.values()
        for gate, limits in gates.items()
        for has in [registry.load("gates", gate).LIMITS]
        for limit in limits
        if limit not in has
    ]
    if problems:
        raise UsageError.of(problems)
    return policy
