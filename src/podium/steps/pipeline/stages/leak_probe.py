"""Probe everything that made the candidate for knowledge of the future."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.steps.data.bars import SlotData
from podium.steps.evidence import leak_probe
from podium.steps.pipeline.slot_pipeline import EvidenceStage, SlotPipeline


class LeakProbe(EvidenceStage):
    """Evidence of leaks, where a gate of the slot's policy reads it."""

    name = "leak_probe"
    group = "finalize"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether a gate reads it."""
        return leak_probe.is_asked(slot.project, slot.slot)

    def inputs(self, slot: SlotPipeline) -> Mapping[str, Any]:
        """The candidate and the versions of its members."""
        assert isinstance(slot.data, SlotData)
        return leak_probe.inputs(slot.data, slot.candidate)

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        assert slot.candidate is not None
        assert isinstance(slot.data, SlotData)
        leak_probe.probed_for_leaks(slot.project, slot.data, slot.candidate)
        return True


STAGE = LeakProbe()
