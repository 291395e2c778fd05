"""Judge the candidate on the sealed test."""

from __future__ import annotations

from podium.steps.decisions import backtest
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline
from podium.steps.workspace import recorded


class BacktestStage(EvidenceStage):
    """Evidence of the test and of its trades."""

    name = group = "backtest"
    quiet = False

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Candidate, reference, test and terms of trading."""
        reference = getattr(slot.products.get("analyze"), "reference", None)
        settings = slot.project.config.backtest
        return backtest.judge_inputs(slot.bars, settings, slot.candidate, reference)

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        return backtest.judge(slot.project, backtest.entry_of(slot.products["finalize"]))

    def describe(self, slot: SlotPipeline, product: bool) -> str:
        """That it was judged."""
        return "judged on the sealed test"

    def announce(self, slot: SlotPipeline, product: bool) -> None:
        """The loss beside the reference's."""
        test = recorded.evidence(slot.project, slot.made.id)["test"]
        slot.say(
            f"{slot.made.id}: {test.notes['metric']} {test.scalar('loss'):.4g} on the sealed "
            f"test, the baseline {test.scalar('naive_loss'):.4g}"
        )


STAGE = BacktestStage()
