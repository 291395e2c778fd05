"""By how much a child is better than its parent, where both had the same test."""

from __future__ import annotations

from podium.steps.evidence import improvement
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline


class ImprovementOverParent(EvidenceStage):
    """Evidence of the improvement, of candidates that have a parent."""

    name = improvement.KIND
    group = "backtest"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether there is a parent that had the same test."""
        return slot.candidate is not None and bool(
            improvement.comparable(slot.project, slot.candidate)
        )

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The findings of both."""
        return improvement.inputs(slot.made, improvement.comparable(slot.project, slot.made))

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        periods = slot.bars.test_windows.at
        return bool(improvement.improvement_over_parent(slot.project, slot.made, periods))


STAGE = ImprovementOverParent()
