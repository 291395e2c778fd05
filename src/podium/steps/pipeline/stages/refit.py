"""Train the candidate's config again during the test, beside the frozen model."""

from __future__ import annotations

from podium.steps.decisions import backtest, refit
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline


class RefitStage(EvidenceStage):
    """Evidence of refits, with ``backtest.refit_every``."""

    name = refit.KIND
    group = "backtest"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether refits are set."""
        return slot.project.config.backtest.refit_every > 0

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate, the bars of the refits and the terms of trading."""
        final = slot.products.get("finalize")
        if final is None:
            return {"candidate": None}
        return refit.inputs(slot.project, backtest.entry_of(final))

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        return refit.refit(slot.project, backtest.entry_of(slot.products["finalize"]))


STAGE = RefitStage()
