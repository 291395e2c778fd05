"""By how much a child is better than its parent, where both had the same test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.steps.data.bars import SlotData
from podium.steps.evidence import improvement
from podium.steps.pipeline.slot_pipeline import EvidenceStage, SlotPipeline


class ImprovementOverParent(EvidenceStage):
    """Evidence of the improvement, of candidates that have a parent."""

    name = improvement.KIND
    group = "backtest"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether there is a parent that had the same test."""
        return slot.candidate is not None and bool(
            improvement.comparable(slot.project, slot.candidate)
        )

    def inputs(self, slot: SlotPipeline) -> Mapping[str, Any]:
        """The findings of both."""
        assert slot.candidate is not None
        pairs = improvement.comparable(slot.project, slot.candidate)
        return improvement.inputs(slot.candidate, pairs)

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        assert slot.candidate is not None
        assert isinstance(slot.data, SlotData)
        periods = slot.data.test_windows.at
        improvement.improvement_over_parent(slot.project, slot.candidate, periods)
        return True


STAGE = ImprovementOverParent()
