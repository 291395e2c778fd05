"""Files of the sealed test."""

from __future__ import annotations

from podium.steps.decisions import backtest
from podium.steps.decisions.backtest import BacktestResult
from podium.steps.pipeline.slot_pipeline import Inputs, PipelineStage, SlotPipeline
from podium.steps.workspace import recorded


class ResultsStage(PipelineStage):
    """All evidence of the test together; gathered from the record each time."""

    name = "results"
    group = "backtest"
    makes = "value"
    quiet = True

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate."""
        return {"candidate": slot.candidate and slot.candidate.artifact_hash}

    def find(self, slot: SlotPipeline) -> BacktestResult:
        """The evidence on record."""
        evidence = recorded.evidence(slot.project, slot.made.id)
        return BacktestResult(slot.made, evidence, f"candidate of the search of {slot.slot}")

    def make(self, slot: SlotPipeline) -> BacktestResult:
        """The same."""
        return self.find(slot)

    def files(self, slot: SlotPipeline, product: BacktestResult) -> BacktestResult:
        """``backtesting_results/``."""
        entry = backtest.entry_of(slot.products["finalize"])
        return backtest.result(slot.project, entry, product.rule)


STAGE = ResultsStage()
