"""Search for a config."""

from __future__ import annotations

from podium.errors import NotFoundError
from podium.steps.pipeline import preflight
from podium.steps.pipeline.slot_pipeline import Need, PipelineStage, SlotPipeline, StageStatus
from podium.steps.search import tune
from podium.steps.search.results import SearchResult
from podium.steps.trials.once import Inputs


class TuneStage(PipelineStage):
    """The search of every family, and the finals."""

    name = group = "tune"
    makes = "trials"
    trains = True

    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Question of the search and number of its trials."""
        far = tune.reach(slot.project, slot.data)
        return tune.inputs(slot.project, far.question, slot.data)

    def status(self, slot: SlotPipeline) -> StageStatus:
        """Number of trials on record."""
        far = tune.reach(slot.project, slot.data)
        slot.left = far.left
        done, wanted = sum(far.done.values()), sum(far.wanted.values())
        progress = f"{done} of {wanted} trials"
        if far.study is None:
            return self.left(f"0 of {wanted} trials", self.why(slot), begun=False)
        if far.left:
            lacking = ", ".join(f"{far.done[name]} of {name}" for name in far.left)
            why = f"tune.trials is {slot.project.config.tune.trials}, {lacking} on record"
            return self.left(progress, why, begun=done > 0)
        if not far.baselines:
            return self.left(progress, "some baselines are not on record")
        try:
            found = tune.tuned(slot.project, slot.slot, slot.data)
        except NotFoundError as error:
            return self.left(progress, error.problems[0].found)
        return self.complete(slot, found)

    def make(self, slot: SlotPipeline) -> SearchResult | None:
        """Run the trials that are left; None where other families are left."""
        found = tune.tune(slot.project, slot.slot, only=slot.only)
        slot.left = tune.reach(slot.project, slot.data).left if slot.only else {}
        if slot.left:
            self.announce(slot, found)
            return None
        return found

    def files(self, slot: SlotPipeline, product: SearchResult | None) -> SearchResult | None:
        """Its receipt, and the tables of the search."""
        if product is not None:
            tune.rewritten(slot.project, product)
        return product

    def describe(self, slot: SlotPipeline, product: SearchResult | None) -> str:
        """Number of trials."""
        return "" if product is None else f"{len(product.trials)} trials"

    def announce(self, slot: SlotPipeline, product: SearchResult | None) -> None:
        """Best score and that of the best baseline."""
        if product is not None:
            slot.say(f"{len(product.trials)} trials; {product.summary}")

    def need(self, slot: SlotPipeline) -> Need:
        """Checkpoints, states of paused trials, losses."""
        return preflight.need_of_search(slot)


STAGE = TuneStage()
