"""Probe the members of the candidate for look-ahead leaks."""

from __future__ import annotations

from podium.steps.evidence import leak_probe
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline


class LeakProbe(EvidenceStage):
    """Evidence of leaks, where a gate of the slot's policy reads it."""

    name = "leak_probe"
    group = "finalize"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether a gate reads it."""
        return leak_probe.is_needed(slot.project, slot.slot)

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate and the versions of its members."""
        return leak_probe.inputs(slot.bars, slot.candidate)

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        return leak_probe.ensure_leak_probe(slot.project, slot.bars, slot.made)


STAGE = LeakProbe()
