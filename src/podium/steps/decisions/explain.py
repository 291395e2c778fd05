"""Explain a gate: its docstring with the limits of a project's policies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from podium import registry
from podium.config import Config
from podium.errors import NotFoundError, suggest
from podium.steps.workspace.policy import policies, policy_of

Policy = Mapping[str, Mapping[str, Mapping[str, float]]]
HEADINGS = ("Asks", "Why", "Passes when", "Refuses when", "What to do")


@dataclass(frozen=True)
class GateUse:
    """A stage whose policy uses a gate, with its limits."""

    policy: str
    stage: str
    limits: dict[str, float]


@dataclass(frozen=True)
class Page:
    """A gate's page.

    Parameters
    ----------
    question : str
        First line of its docstring.
    sections : dict of heading to text
        In the order of the five headings; limits are the slot's.
    needs : tuple of str
        Kinds of evidence that it reads.
    limits : dict of str to float
    asked : list of GateUse
        Uses in the slot's policy; without a project in every policy of podium.
    """

    gate: str
    question: str
    sections: dict[str, str]
    needs: tuple[str, ...]
    limits: dict[str, float]
    asked: list[GateUse]


def explain(config: Config | None, gate: str, slot: str | None = None) -> Page:
    """The page of one gate.

    Parameters
    ----------
    config : Config or None
        None outside of a project: podium's own policies.
    slot : str, optional
        Slot whose policy applies. Default: the default slot, else the policies of all slots.

    Returns
    -------
    Page

    Raises
    ------
    NotFoundError
        No such gate or slot; near names are suggested.

    Examples
    --------
    >>> explain(None, "beats_baseline").needs
    ('test',)
    """
    if not registry.exists("gates", gate):
        raise NotFoundError(f"no gate '{gate}'", fix=suggest(gate, registry.names("gates")))
    module = registry.load("gates", gate)
    uses = uses_of(config, gate, slot)
    limits = {**module.LIMITS, **(uses[-1].limits if uses else {})}
    question, sections = _sections(module.__doc__ or "", limits)
    return Page(gate, question, sections, tuple(module.NEEDS), limits, uses)


def uses_of(config: Config | None, gate: str, slot: str | None = None) -> list[GateUse]:
    """Stages that use a gate, in the order of the policies."""
    defaults = registry.load("gates", gate).LIMITS
    return [
        GateUse(name, stage, {**defaults, **gates[gate]})
        for name, policy in _policies(config, slot).items()
        for stage, gates in policy.items()
        if gate in gates
    ]


def _policies(config: Config | None, slot: str | None) -> Mapping[str, Policy]:
    if config is not None and (slot or config.project.default_slot):
        name = slot or str(config.project.default_slot)
        return {config.slot(name).policy: policy_of(config, name)}
    if config is not None:
        return {config.slot(one).policy: policy_of(config, one) for one in config.slots}
    return policies()


def _sections(text: str, limits: dict[str, float]) -> tuple[str, dict[str, str]]:
    """The question and the texts under the headings, with the limits filled in."""
    for name, value in limits.items():
        # A docstring has ``name`` (default) once for each limit.
        text = re.sub(rf"``{name}`` \([^)]*\)", f"{name} ({value:g})", text)
    lines = text.replace("``", "").splitlines()
    places = [n for n, line in enumerate(lines) if line in HEADINGS]
    sections = {
        lines[place]: "\n".join(lines[place + 2 : end]).strip()
        for place, end in zip(places, [*places[1:], len(lines)], strict=True)
    }
    return lines[0] if lines else "", sections
