"""Train the best config of a search for classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.steps.candidates import train
from podium.steps.candidates.register import Made, on_record
from podium.steps.candidates.train import Trained
from podium.steps.pipeline import preflight
from podium.steps.pipeline.slot_pipeline import Need, SlotPipeline, Stage


class Train(Stage):
    """The candidate of a slot that classifies."""

    name = group = "finalize"
    makes = "candidate"
    command = "train {family} --slot {slot} --best"
    trains = True

    def inputs(self, slot: SlotPipeline) -> Mapping[str, Any]:
        """Family, config, samples and seed."""
        search = slot.products.get("tune")
        return train.inputs(slot.project, slot.slot, search)

    def step(self, slot: SlotPipeline) -> str:
        """That of the verb."""
        del slot
        return train.PHASE

    def find(self, slot: SlotPipeline) -> Made | None:
        """The candidate of these inputs."""
        candidate = on_record(slot.project, slot.slot, train.PHASE, self.inputs(slot))
        return None if candidate is None else Made(candidate, fresh=False)

    def make(self, slot: SlotPipeline) -> Trained:
        """The training, and the candidate it is."""
        return train.train_best(slot.project, slot.slot, slot.products["tune"])

    def files(self, slot: SlotPipeline, product: Any) -> Trained:
        """Its output folder."""
        return product if isinstance(product, Trained) else self.make(slot)

    def describe(self, slot: SlotPipeline, product: Any) -> str:
        """Id and version."""
        del slot
        return f"{product.candidate.id} (version {product.candidate.version})"

    def announce(self, slot: SlotPipeline, product: Any) -> None:
        """The candidate."""
        slot.say(f"candidate {self.describe(slot, product)} trained")

    def need(self, slot: SlotPipeline) -> Need:
        """Two models."""
        return preflight.need_of_models(slot, self.name)


STAGE = Train()
