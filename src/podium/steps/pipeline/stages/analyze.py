"""Choose a config from the folds."""

from __future__ import annotations

from podium.render.blocks import short
from podium.steps.pipeline.slot_pipeline import Inputs, PipelineStage, SlotPipeline
from podium.steps.search import analyze
from podium.steps.search.results import Analysis


class AnalyzeStage(PipelineStage):
    """The choice, computed from the folds on record each time."""

    name = group = "analyze"
    makes = "value"

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The folds alone."""
        extension = slot.products.get("extend")
        return {"folds": extension and extension.split.hash}

    def find(self, slot: SlotPipeline) -> Analysis:
        """The choice; nothing is trained for it."""
        return analyze.compute(slot.project, slot.products["extend"])

    def make(self, slot: SlotPipeline) -> Analysis:
        """The same."""
        return self.find(slot)

    def files(self, slot: SlotPipeline, product: Analysis) -> Analysis:
        """``best_config.json`` and ``analysis_plots/``."""
        return analyze.write_files(slot.project, product)

    def describe(self, slot: SlotPipeline, product: Analysis) -> str:
        """The config in short."""
        return f"chosen {short(product.chosen.config)}"

    def announce(self, slot: SlotPipeline, product: Analysis) -> None:
        """The config, and why it was chosen."""
        slot.say(f"{self.describe(slot, product)}: {product.reason}")


STAGE = AnalyzeStage()
