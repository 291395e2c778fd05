"""Ask for the championship."""

from __future__ import annotations

from typing import Any

from podium.steps.decisions import promote
from podium.steps.decisions.promote import Promotion
from podium.steps.pipeline.slot_pipeline import (
    DONE,
    Inputs,
    PipelineStage,
    SlotPipeline,
    StageStatus,
)

REASON = "podium run"


class PromoteStage(PipelineStage):
    """The decision; a refusal is one too."""

    name = group = "promote"
    makes = "decision"
    command = "promote {candidate}"

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate's stage and evidence, the champion and the policy."""
        if slot.candidate is None:
            return promote.policy_inputs(slot.project, slot.slot)
        return promote.inputs(slot.project, slot.candidate)

    def find(self, slot: SlotPipeline) -> str | None:
        """How the candidate stands, where asking again would change nothing."""
        return promote.on_record(slot.project, slot.made) or None

    def status(self, slot: SlotPipeline) -> StageStatus:
        """How the candidate stands."""
        found = self.find(slot)
        return super().status(slot) if found is None else StageStatus(DONE, found)

    def make(self, slot: SlotPipeline) -> Promotion:
        """The decision."""
        return promote.demoted(slot.project, slot.made) or promote.promote(
            slot.project, slot.made.id, reason=REASON
        )

    def files(self, slot: SlotPipeline, product: Any) -> Promotion:
        """The files that name champions, which a kill may have come before."""
        return product if isinstance(product, Promotion) else self.make(slot)

    def describe(self, slot: SlotPipeline, product: Any) -> str:
        """How the candidate stands now."""
        del product
        return promote.on_record(slot.project, slot.made)


STAGE = PromoteStage()
