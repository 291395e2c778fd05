"""Judge a classifier on its slot's evaluation data."""

from __future__ import annotations

from typing import Any

from podium.steps.decisions import evaluate
from podium.steps.decisions.evaluate import Evaluated
from podium.steps.pipeline.slot_pipeline import EvidenceStage, Inputs, SlotPipeline


class EvaluateStage(EvidenceStage):
    """Evidence on the evaluation data, against the champion and the parent too."""

    name = group = "backtest"
    quiet = False
    command = "evaluate {candidate}"

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """The candidate, the samples, champion and parent."""
        return evaluate.inputs(slot.project, slot.slot, slot.candidate)

    def step(self, slot: SlotPipeline) -> str:
        """Step of the evidence."""
        return evaluate.KIND

    def make(self, slot: SlotPipeline) -> Evaluated:
        """The bundle, and the evidence where it is not on record."""
        return evaluate.evaluate(slot.project, slot.made.id)

    def files(self, slot: SlotPipeline, product: Any) -> Evaluated:
        """The bundle."""
        return product if isinstance(product, Evaluated) else self.make(slot)

    def describe(self, slot: SlotPipeline, product: Any) -> str:
        """That it was evaluated."""
        return "evaluated"


STAGE = EvaluateStage()
