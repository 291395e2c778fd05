"""Evidence that what made a candidate does not know the future: its features, family and signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from podium import __version__, registry
from podium.candidate import Candidate
from podium.errors import PodiumError
from podium.evidence import Evidence, Scalar
from podium.ledger.ledger import Transaction
from podium.steps.evidence import leak
from podium.steps.evidence.evidence import evidence_about
from podium.steps.trials.once import evidence_once, once
from podium.steps.workspace.policy import gates_that_read
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData

KIND, PROBE = "leak_probe", "leak_probe_of_members"
# A family is fitted a dozen times a seed.
SEEDS = {"families": 1}
USUAL_SEEDS = 3


def probed_for_leaks(project: Project, data: SlotData, candidate: Candidate) -> bool:
    """Put the evidence on record where a gate of the slot's policy asks for it and there is none.

    What was probed with these versions of the members on these bars is not probed again, also not
    for the next candidate.

    Returns
    -------
    bool
        Whether something was put on record.
    """
    if not is_asked(project, data.slot):
        return False
    of = inputs(data, candidate)
    return evidence_once(project, candidate, KIND, of, lambda: _evidence(project, data, candidate))


def is_asked(project: Project, slot: str) -> bool:
    """Whether a gate of the slot's policy reads this evidence."""
    return bool(gates_that_read(project.config, slot, KIND))


def inputs(data: SlotData, candidate: Candidate | None) -> dict[str, Any]:
    """Everything that the evidence depends on, by name; None where it is not known yet."""
    known = {} if candidate is None else _of_members(data, candidate.family)
    return {"candidate": candidate and candidate.artifact_hash, **known}


def _of_members(data: SlotData, family: str) -> dict[str, Any]:
    members = {f"version of {name}": v for name, v in _members(data, family).items()}
    common = {"podium": __version__, "task": data.task_hash, "data": data.dataset.fingerprint}
    return {**common, **members}


def _evidence(
    project: Project, data: SlotData, candidate: Candidate
) -> Callable[[Transaction], list[Evidence]]:
    members = _members(data, candidate.family)

    def probe() -> Callable[[Transaction], Mapping[str, Any]]:
        found = _probe(project, data, members)
        return lambda tx: found

    probed = once(project, data.slot, PROBE, _of_members(data, candidate.family), probe).outputs
    evidence = evidence_about(
        candidate,
        KIND,
        "leak",
        dataset=data.dataset.fingerprint,
        scalars={name: Scalar(number, "members") for name, number in probed["scalars"].items()},
        notes=probed["notes"],
    )
    return lambda tx: [evidence]


def _members(data: SlotData, family: str) -> dict[str, str]:
    """Everything that has a say in the forecasts and the trades, and which version of it."""
    named = [
        *(("features", spec) for spec in data.section.features),
        ("targets", data.section.target),
        ("families", family),
        ("signals", data.section.signal),
    ]
    found = {}
    for kind, spec in named:
        name = spec.partition(":")[0]
        version = (
            registry.family(name).VERSION if kind == "families" else registry.version(kind, name)
        )
        found[f"{kind}/{spec}"] = str(version)
    return found


def _probe(project: Project, data: SlotData, members: dict[str, str]) -> dict[str, Any]:
    leaks, unseen = [], []
    for done, what in enumerate(members):
        project.reporter.progress(f"{data.slot}: leak probe", done, len(members))
        seeds = SEEDS.get(what.partition("/")[0], USUAL_SEEDS)
        try:
            seen = leak.probed(data, what, seeds)
        except PodiumError as error:
            unseen.append(error.problems[0].found)
            continue
        if seen.leak is not None:
            leaks.append(f"{what} at {seen.time}, {seen.column}: {seen.leak.how}")
    project.reporter.progress(f"{data.slot}: leak probe", len(members), len(members))
    return {
        "scalars": {"probed": len(members), "leaks": len(leaks), "undecided": len(unseen)},
        "notes": {
            "members": ", ".join(f"{name} version {v[:12]}" for name, v in members.items()),
            "leaks": "; ".join(leaks),
            "undecided": "; ".join(unseen),
        },
    }
