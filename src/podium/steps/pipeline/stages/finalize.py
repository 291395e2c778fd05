"""Train the chosen config on all that comes before the sealed test."""

from __future__ import annotations

from podium.steps.candidates import finalize
from podium.steps.candidates.finalize import Final
from podium.steps.candidates.register import on_record
from podium.steps.pipeline import preflight
from podium.steps.pipeline.slot_pipeline import Inputs, Need, SlotPipeline, Stage


class Finalize(Stage):
    """The candidate."""

    name = group = "finalize"
    makes = "candidate"
    trains = True

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Config, data, task, folds and settings."""
        return finalize.inputs(slot.project, slot.products.get("analyze"))

    def find(self, slot: SlotPipeline) -> Final | None:
        """The candidate of these inputs."""
        candidate = on_record(slot.project, slot.slot, finalize.STEP, self.inputs(slot))
        if candidate is None:
            return None
        return Final(slot.products["analyze"], candidate, fresh=False)

    def make(self, slot: SlotPipeline) -> Final:
        """Both trainings, and the candidate they are."""
        return finalize.trained(slot.project, slot.products["analyze"])

    def files(self, slot: SlotPipeline, product: Final) -> Final:
        """``final_model/``."""
        return finalize.written(slot.project, product)

    def describe(self, slot: SlotPipeline, product: Final) -> str:
        """Id and version."""
        del slot
        return f"{product.candidate.id} (version {product.candidate.version})"

    def announce(self, slot: SlotPipeline, product: Final) -> None:
        """The candidate."""
        slot.say(f"candidate {self.describe(slot, product)} trained")

    def need(self, slot: SlotPipeline) -> Need:
        """Two models."""
        return preflight.need_of_models(slot, self.name)


STAGE = Finalize()
