"""Figures of the candidate on the folds, and the selection bias."""

from __future__ import annotations

from podium.steps.candidates import final_model
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline


class ValidationStage(EvidenceStage):
    """Evidence from validation, renewed without training when more configs were tested."""

    name = "validation"
    group = "finalize"

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate, the folds and the configs looked at."""
        return final_model.validation_inputs(slot.products.get("analyze"), slot.candidate)

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        fresh = final_model.with_evidence(slot.project, slot.products["analyze"], slot.made)
        if not slot.products["finalize"].fresh:
            slot.say(f"candidate {slot.made.id} has new evidence from validation")
        return fresh


STAGE = ValidationStage()
