"""Evidence that what made a candidate does not know the future: its features, family and signal."""

from __future__ import annotations

from typing import Any

from podium import __version__, registry
from podium.candidate import Candidate
from podium.errors import PodiumError
from podium.evidence import Scalar
from podium.hashing import digest
from podium.ledger import reads, writes
from podium.steps.data.bars import SlotData
from podium.steps.evidence import leak
from podium.steps.evidence.evidence import evidence_about
from podium.steps.workspace.policy import policy_of
from podium.steps.workspace.project import Project

KIND = "leak_probe"
# A family is fitted a dozen times a seed.
SEEDS = {"families": 1}
USUAL_SEEDS = 3


def probed_for_leaks(project: Project, data: SlotData, candidate: Candidate) -> None:
    """Append the evidence where a gate of the slot's policy asks for it and there is none yet.

    What was probed with these versions of the members on these bars is not probed again, also not
    for the next candidate.
    """
    stages = policy_of(project.config, data.slot).values()
    asked = {gate for gates in stages for gate in gates}
    if not any(KIND in registry.load("gates", gate).NEEDS for gate in asked):
        return
    members = _members(data, candidate.family)
    inputs = digest([__version__, members, data.task_hash, data.dataset.fingerprint])
    ledger = project.ledger
    with ledger.reading() as tx:
        mine = reads.receipt(ledger, tx, data.slot, KIND, digest([inputs, candidate.artifact_hash]))
        found = reads.receipt(ledger, tx, data.slot, KIND, inputs)
    if mine is not None:
        return
    fresh = found is None
    if found is None:
        found = _probe(project, data, members)
    evidence = evidence_about(
        candidate,
        KIND,
        "leak",
        dataset=data.dataset.fingerprint,
        scalars={name: Scalar(number, "members") for name, number in found["scalars"].items()},
        notes=found["notes"],
    )
    with ledger.transaction(durable=True) as tx:
        writes.put_evidence(ledger, tx, evidence)
        if fresh:
            writes.put_receipt(ledger, tx, data.slot, KIND, inputs, found)
        writes.put_receipt(
            ledger,
            tx,
            data.slot,
            KIND,
            digest([inputs, candidate.artifact_hash]),
            {KIND: evidence.id},
        )


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
        is_family = kind == "families"
        version = registry.family(name).VERSION if is_family else registry.version(kind, name)
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
