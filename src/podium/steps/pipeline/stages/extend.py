"""Cross-validate the best configs."""

from __future__ import annotations

from podium.steps.pipeline import preflight
from podium.steps.pipeline.slot_pipeline import Need, PipelineStage, SlotPipeline, StageStatus
from podium.steps.search import extend
from podium.steps.search.results import CrossValidation
from podium.steps.trials.once import Inputs


class ExtendStage(PipelineStage):
    """The best configs of the search, trained on every fold."""

    name = group = "extend"
    makes = "trials"
    trains = True

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The configs, the folds and the seeds."""
        return extend.inputs(slot.project, slot.products.get("tune"))

    def status(self, slot: SlotPipeline) -> StageStatus:
        """Number of folds on record."""
        found, done, total = extend.load(slot.project, slot.products["tune"])
        if found is None:
            return self.left(f"{done} of {total} folds", self.why(slot), begun=done > 0)
        return self.complete(slot, found)

    def make(self, slot: SlotPipeline) -> CrossValidation:
        """Train the folds that are left."""
        return extend.cross_validate(slot.project, slot.products["tune"])

    def files(self, slot: SlotPipeline, product: CrossValidation) -> CrossValidation:
        """Their receipt, and ``extended_training_results/``."""
        return extend.write_files(slot.project, product)

    def describe(self, slot: SlotPipeline, product: CrossValidation) -> str:
        """Number of folds."""
        return f"{sum(len(one.folds) for one in product.configs)} folds"

    def need(self, slot: SlotPipeline) -> Need:
        """Losses of the folds."""
        return preflight.need_of_folds(slot)


STAGE = ExtendStage()
