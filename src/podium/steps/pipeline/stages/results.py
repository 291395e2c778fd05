"""What the sealed test says, as files."""

from __future__ import annotations

from podium.steps.decisions import backtest
from podium.steps.decisions.backtest import Judged
from podium.steps.pipeline.slot_pipeline import Inputs, SlotPipeline, Stage
from podium.steps.workspace import recorded


class Results(Stage):
    """All evidence of the test together; gathered from the record each time."""

    name = "results"
    group = "backtest"
    makes = "value"
    quiet = True

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate."""
        return {"candidate": slot.candidate and slot.candidate.artifact_hash}

    def find(self, slot: SlotPipeline) -> Judged:
        """The evidence on record."""
        evidence = recorded.evidence(slot.project, slot.made.id)
        return Judged(slot.made, evidence, f"candidate of the search of {slot.slot}")

    def make(self, slot: SlotPipeline) -> Judged:
        """The same."""
        return self.find(slot)

    def files(self, slot: SlotPipeline, product: Judged) -> Judged:
        """``backtesting_results/``."""
        kept = backtest.kept_of(slot.products["finalize"])
        return backtest.result(slot.project, kept, product.rule)


STAGE = Results()
