"""The stages of one slot in order, and the state of each on record.

A stage names its inputs, and is complete where the record has its product for these inputs. Else
the inputs that differ from those of the newest product are the reason to do it.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from podium.candidate import Candidate
from podium.errors import NotFoundError
from podium.steps.search.tune import search_data
from podium.steps.trials.once import FIRST, differences, is_newest
from podium.steps.trials.once import Inputs as Inputs
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData

TO_DO, RESUMES, DONE = "to do", "resumes", "up to date"
Makes = Literal["trials", "value", "candidate", "evidence", "decision"]


@dataclass(frozen=True)
class StageStatus:
    """State of a stage on record.

    Parameters
    ----------
    state : {"to do", "resumes", "up to date"}
    progress : str
        Amount on record: ``24 trials``, ``8 of 12 folds``.
    why : str
        Reason to do the stage.
    """

    state: str
    progress: str = ""
    why: str = ""

    @property
    def done(self) -> bool:
        """Whether the stage is complete."""
        return self.state == DONE


@dataclass(frozen=True)
class Need:
    """Disk space that a stage needs, and its purpose."""

    bytes: int
    purpose: str


@dataclass(eq=False)
class SlotPipeline:
    """One slot and the products of its stages.

    Parameters
    ----------
    only : sequence of str
        Families to search now; empty: all of the slot.
    products : dict of stage to product
        Product of each stage, made now or loaded.
    left : dict of family to int
        Number of trials that the search lacks.
    """

    project: Project
    slot: str
    only: Sequence[str] = ()
    products: dict[str, Any] = field(default_factory=dict)
    statuses: dict[str, StageStatus] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """Task of the slot."""
        return self.project.config.slot(self.slot).task

    @cached_property
    def data(self) -> TaskData:
        """Data of the slot's search, read once."""
        return search_data(self.project, self.slot, self.project.reporter.say)

    @property
    def bars(self) -> SlotData:
        """Data of a slot that forecasts."""
        assert isinstance(self.data, SlotData)
        return self.data

    @property
    def only_others_left(self) -> bool:
        """Whether the families of ``only`` are complete, and other families are not."""
        return bool(self.only and self.left) and not {*self.left} & {*self.only}

    @property
    def candidate(self) -> Candidate | None:
        """Candidate of these stages, if any."""
        return getattr(self.products.get("finalize"), "candidate", None)

    @property
    def made(self) -> Candidate:
        """Candidate, for stages after ``finalize``."""
        assert self.candidate is not None
        return self.candidate

    def say(self, text: str) -> None:
        """Report a message about this slot."""
        self.project.reporter.say(f"{self.slot}: {text}")


class PipelineStage(abc.ABC):
    """One stage of a slot's pipeline; ``pipeline/stages/<name>.py`` holds one as ``STAGE``.

    Attributes
    ----------
    name : str
        Name in the answer of ``podium run --explain``.
    group : str
        Verb of the stage, in ``--from`` and ``--to``.
    makes : str
    command : str
        Words after ``podium`` that do this stage alone, with ``{slot}``, ``{candidate}`` and
        ``{family}``. Empty: the group and the slot.
    trains : bool
        Whether models are trained.
    quiet : bool
        Whether the stage is a part of its group, and named only while it is due.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    makes: ClassVar[Makes]
    command: ClassVar[str] = ""
    trains: ClassVar[bool] = False
    quiet: ClassVar[bool] = False

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether the slot has this stage."""
        return True

    @abc.abstractmethod
    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Inputs of the product by name; None for one that an earlier stage has to make."""

    def find(self, slot: SlotPipeline) -> Any | None:
        """Product on record for the present inputs, or None; nothing is written.

        Stages with another ``status`` need no ``find``.
        """
        return None

    @abc.abstractmethod
    def make(self, slot: SlotPipeline) -> Any:
        """Make the missing parts of the product, and put them and the receipt on record."""

    def files(self, slot: SlotPipeline, product: Any) -> Any:
        """Update the files of the product; return the product with them."""
        return product

    def describe(self, slot: SlotPipeline, product: Any) -> str:
        """Amount on record: ``24 trials``."""
        return "on record"

    def announce(self, slot: SlotPipeline, product: Any) -> None:
        """Report the result of the stage, when it was made now."""
        return

    def step(self, slot: SlotPipeline) -> str:
        """Step of the receipts with which ``inputs`` are compared."""
        return self.name

    def need(self, slot: SlotPipeline) -> Need | None:
        """Disk space that the stage needs."""
        return None

    def why(self, slot: SlotPipeline) -> str:
        """Inputs that differ from those of the newest product."""
        changes = differences(slot.project, slot.slot, self.step(slot), self.inputs(slot))
        return "; ".join(changes) or "its result is not on record"

    def status(self, slot: SlotPipeline) -> StageStatus:
        """Status of the stage, when all earlier ones are complete; stores a loaded product."""
        product = self.find(slot)
        if product is None:
            return self.left("", self.why(slot), begun=False)
        return self.complete(slot, product)

    def left(self, progress: str, why: str, *, begun: bool = True) -> StageStatus:
        """Status of a stage of which a part is due."""
        return StageStatus(RESUMES if begun else TO_DO, progress, why)

    def complete(self, slot: SlotPipeline, product: Any) -> StageStatus:
        """Status of a complete stage; stores its product."""
        slot.products[self.name] = product
        return StageStatus(DONE, self.describe(slot, product))

    def whole_command(self, slot: SlotPipeline) -> str:
        """Command that does this stage alone, with the ids filled in."""
        candidate, search = slot.candidate, slot.products.get("tune")
        return "podium " + (self.command or f"{self.group} {{slot}}").format(
            slot=slot.slot,
            candidate=candidate.id if candidate else "",
            family=search.best.family if search else "",
        )


class EvidenceStage(PipelineStage):
    """A stage that puts evidence about the candidate on record."""

    makes = "evidence"
    quiet = True

    def find(self, slot: SlotPipeline) -> bool | None:
        """Whether the newest evidence of this kind is for the present inputs."""
        inputs = self.inputs(slot)
        return is_newest(slot.project, slot.made, self.step(slot), inputs) or None


def plan(
    slot: SlotPipeline, stages: Sequence[PipelineStage]
) -> Iterator[tuple[PipelineStage, StageStatus]]:
    """Status of each stage; nothing is written.

    Stages after a due one are due too; their reasons name the inputs that differ already.
    """
    waits = ""
    for stage in stages:
        if not stage.applies(slot):
            continue
        if waits:
            yield stage, StageStatus(TO_DO, why=_after(slot, stage, waits))
            continue
        status = slot.statuses[stage.name] = stage.status(slot)
        yield stage, status
        waits = "" if status.done else stage.name


def _after(slot: SlotPipeline, stage: PipelineStage, waits: str) -> str:
    try:
        known = differences(slot.project, slot.slot, stage.step(slot), stage.inputs(slot))
    except NotFoundError:
        known = []
    return "; ".join([f"after {waits}", *(one for one in known if one != FIRST)])
