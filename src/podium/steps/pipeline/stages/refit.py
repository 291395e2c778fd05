"""Train the candidate's config again during the test, beside the frozen model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.steps.decisions import backtest, refit
from podium.steps.pipeline.slot_pipeline import EvidenceStage, SlotPipeline


class Refit(EvidenceStage):
    """Evidence of refits, where ``backtest.refit_every`` asks for it."""

    name = refit.KIND
    group = "backtest"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether refits are asked for."""
        return slot.project.config.backtest.refit_every > 0

    def inputs(self, slot: SlotPipeline) -> Mapping[str, Any]:
        """The candidate, the bars of the refits and the terms of trading."""
        final = slot.products.get("finalize")
        if final is None:
            return {"candidate": None}
        return refit.inputs(slot.project, backtest.kept_of(final))

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        refit.refit(slot.project, backtest.kept_of(slot.products["finalize"]))
        return True


STAGE = Refit()
