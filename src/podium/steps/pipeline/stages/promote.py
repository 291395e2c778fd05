"""Request the promotion of the candidate."""

from __future__ import annotations

from typing import Any

from podium.decision import RUN
from podium.steps.decisions import promote
from podium.steps.decisions.promote import Promotion
from podium.steps.pipeline.slot_pipeline import DONE, PipelineStage, SlotPipeline, StageStatus
from podium.steps.trials.once import Inputs


class PromoteStage(PipelineStage):
    """The decision, which may be a refusal."""

    name = group = "promote"
    makes = "decision"
    command = "promote {candidate}"

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate's stage and evidence, the champion and the policy."""
        if slot.candidate is None:
            return promote.policy_inputs(slot.project, slot.slot)
        return promote.inputs(slot.project, slot.candidate)

    def find(self, slot: SlotPipeline) -> str | None:
        """Present decision, where a new request would not change it."""
        return promote.on_record(slot.project, slot.made) or None

    def status(self, slot: SlotPipeline) -> StageStatus:
        """Stage of the candidate."""
        found = self.find(slot)
        return super().status(slot) if found is None else StageStatus(DONE, found)

    def make(self, slot: SlotPipeline) -> Promotion:
        """The decision."""
        return promote.demoted(slot.project, slot.made) or promote.promote(
            slot.project, slot.made.id, reason=RUN
        )

    def files(self, slot: SlotPipeline, product: Any) -> Promotion:
        """Update the files that name champions."""
        return product if isinstance(product, Promotion) else self.make(slot)

    def describe(self, slot: SlotPipeline, product: Any) -> str:
        """Present stage of the candidate."""
        return promote.on_record(slot.project, slot.made)


STAGE = PromoteStage()
