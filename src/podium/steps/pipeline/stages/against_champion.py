"""Compare the candidate with the slot's champion, on the same windows."""

from __future__ import annotations

from podium.ledger import reads
from podium.steps.decisions import backtest
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline
from podium.steps.workspace import recorded


class AgainstChampion(EvidenceStage):
    """Evidence of the comparison with another champion."""

    name = backtest.AGAINST
    group = "backtest"

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether the slot has a champion to compare with."""
        if slot.candidate is not None:
            return recorded.rival(slot.project, slot.candidate) is not None
        return slot.project.ledger.read(reads.champion_of, slot.slot) is not None

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Both models and the test."""
        return backtest.against_inputs(
            slot.bars, slot.candidate, recorded.rival(slot.project, slot.candidate)
        )

    def make(self, slot: SlotPipeline) -> bool:
        """The evidence."""
        return backtest.against_champion(slot.project, backtest.entry_of(slot.products["finalize"]))


STAGE = AgainstChampion()
