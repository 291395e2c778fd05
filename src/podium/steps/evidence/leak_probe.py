"""Evidence ``leak_probe``: whether the members of a candidate read the future."""

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
# A family is fitted a dozen times per seed.
SEEDS = {"families": 1}
USUAL_SEEDS = 3


def ensure_leak_probe(project: Project, data: SlotData, candidate: Candidate) -> bool:
    """Record the evidence if a gate of the slot's policy needs it and there is none.

    Members are probed once per version and set of bars, also for later candidates.

    Returns
    -------
    bool
        Whether evidence was recorded.
    """
    if not is_needed(project, data.slot):
        return False
    of = inputs(data, candidate)
    return evidence_once(project, candidate, KIND, of, lambda: _evidence(project, data, candidate))


def is_needed(project: Project, slot: str) -> bool:
    """Whether a gate of the slot's policy needs this evidence."""
    return bool(gates_that_read(project.config, slot, KIND))


def inputs(data: SlotData, candidate: Candidate | None) -> dict[str, Any]:
    """Inputs of the evidence, by name; None where not known yet."""
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
        outputs = _probe(project, data, members)
        return lambda tx: outputs

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
    """Members that determine forecasts and trades, with their versions."""
    named = [
        *(("features", spec) for spec in data.section.features),
        ("targets", data.section.target),
        ("families", family),
        ("signals", data.section.signal),
    ]
    versions = {}
    for kind, spec in named:
        name = spec.partition(":")[0]
        version = (
            registry.family(name).VERSION if kind == "families" else registry.version(kind, name)
        )
        versions[f"{kind}/{spec}"] = str(version)
    return versions


def _probe(project: Project, data: SlotData, members: dict[str, str]) -> dict[str, Any]:
    leaks, unseen = [], []
    for done, member in enumerate(members):
        project.reporter.progress(f"{data.slot}: leak probe", done, len(members))
        seeds = SEEDS.get(member.partition("/")[0], USUAL_SEEDS)
        try:
            result = leak.probe_member(data, member, seeds)
        except PodiumError as error:
            unseen.append(error.problems[0].found)
            continue
        if result.leak is not None:
            leaks.append(f"{member} at {result.time}, {result.column}: {result.leak.how}")
    project.reporter.progress(f"{data.slot}: leak probe", len(members), len(members))
    return {
        "scalars": {"probed": len(members), "leaks": len(leaks), "undecided": len(unseen)},
        "notes": {
            "members": ", ".join(f"{name} version {v[:12]}" for name, v in members.items()),
            "leaks": "; ".join(leaks),
            "undecided": "; ".join(unseen),
        },
    }
