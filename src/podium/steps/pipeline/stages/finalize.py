"""Train the chosen config on all that comes before the sealed test."""

from __future__ import annotations

from podium.steps.candidates import final_model
from podium.steps.candidates.final_model import FinalModel
from podium.steps.candidates.register import on_record
from podium.steps.pipeline import preflight
from podium.steps.pipeline.slot_pipeline import Inputs, Need, PipelineStage, SlotPipeline


class FinalizeStage(PipelineStage):
    """The candidate."""

    name = group = "finalize"
    makes = "candidate"
    trains = True

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Config, data, task, folds and settings."""
        return final_model.inputs(slot.project, slot.products.get("analyze"))

    def find(self, slot: SlotPipeline) -> FinalModel | None:
        """The candidate of these inputs."""
        candidate = on_record(slot.project, slot.slot, final_model.STEP, self.inputs(slot))
        if candidate is None:
            return None
        return FinalModel(slot.products["analyze"], candidate=candidate, fresh=False)

    def make(self, slot: SlotPipeline) -> FinalModel:
        """Both trainings and their candidate."""
        return final_model.trained(slot.project, slot.products["analyze"])

    def files(self, slot: SlotPipeline, product: FinalModel) -> FinalModel:
        """``final_model/``."""
        return final_model.write_files(slot.project, product)

    def describe(self, slot: SlotPipeline, product: FinalModel) -> str:
        """Id and version."""
        return f"{product.candidate.id} (version {product.candidate.version})"

    def announce(self, slot: SlotPipeline, product: FinalModel) -> None:
        """The candidate."""
        slot.say(f"candidate {self.describe(slot, product)} trained")

    def need(self, slot: SlotPipeline) -> Need:
        """Two models."""
        return preflight.need_of_models(slot, self.name)


STAGE = FinalizeStage()
