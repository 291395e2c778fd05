"""Improvement of a candidate over its parent on the same test."""

from __future__ import annotations

from podium.steps.evidence import improvement
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline


class ImprovementOverParent(EvidenceStage):
    """Evidence of the improvement over a parent."""

    name = improvement.KIND
    group = "backtest"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether a parent with the same test exists."""
        return slot.candidate is not None and bool(
            improvement.comparable(slot.project, slot.candidate)
        )

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Evidence of both."""
        return improvement.inputs(slot.made, improvement.comparable(slot.project, slot.made))

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        data = slot.bars
        periods, horizon = data.test_windows.at, data.section.horizon
        return bool(improvement.improvement_over_parent(slot.project, slot.made, periods, horizon))


STAGE = ImprovementOverParent()
