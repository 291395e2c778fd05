"""The stages of one slot in their order, and what the record has of each.

A stage names its inputs. It is complete where the record has what it makes for these very inputs;
else the names that differ from those of its last time say why it is to be done.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from podium.candidate import Candidate
from podium.errors import NotFoundError
from podium.steps.search.tune import search_data
from podium.steps.trials.once import FIRST, differences, is_newest
from podium.steps.trials.once import Inputs as Inputs
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.tasks.forecast import SlotData

TO_DO, GOES_ON, DONE = "to do", "goes on", "up to date"
Makes = Literal["trials", "value", "candidate", "evidence", "decision"]


@dataclass(frozen=True)
class StageStatus:
    """How much of a stage is on record.

    Parameters
    ----------
    state : {"to do", "goes on", "up to date"}
    progress : str
        How much there is: ``24 trials``, ``8 of 12 folds``.
    why : str
        Why something is left to do.
    """

    state: str
    progress: str = ""
    why: str = ""

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        return self.state == DONE

    @classmethod
    def left(cls, progress: str, why: str, *, begun: bool = True) -> StageStatus:
        """Of a stage that has something to do."""
        return cls(GOES_ON if begun else TO_DO, progress, why)


@dataclass(frozen=True)
class Need:
    """Room a stage wants on the disk, in bytes, and for what."""

    bytes: int
    purpose: str


@dataclass(eq=False)
class SlotPipeline:
    """One slot on its way, with what its stages made so far.

    Parameters
    ----------
    only : sequence of str
        Families that are searched now; empty: all of the slot.
    products : dict of stage to product
        What each stage made, or what the record has of it.
    left : dict of family to int
        Trials that its search lacks.
    """

    project: Project
    slot: str
    only: Sequence[str] = ()
    products: dict[str, Any] = field(default_factory=dict)
    statuses: dict[str, StageStatus] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    _data: TaskData | None = None

    @property
    def task(self) -> str:
        """Task of the slot."""
        return self.project.config.slot(self.slot).task

    @property
    def data(self) -> TaskData:
        """The slot's data as its search sees them, read once."""
        if self._data is None:
            self._data = search_data(self.project, self.slot, self.project.reporter.say)
        return self._data

    @property
    def bars(self) -> SlotData:
        """The same of a slot that forecasts."""
        assert isinstance(self.data, SlotData)
        return self.data

    @property
    def only_others_left(self) -> bool:
        """Whether the families that are searched now have what they are to have, and others not."""
        return bool(self.only and self.left) and not {*self.left} & {*self.only}

    @property
    def candidate(self) -> Candidate | None:
        """The candidate that these stages made; None: there is none yet."""
        made = self.products.get("finalize")
        return None if made is None else made.candidate

    @property
    def made(self) -> Candidate:
        """The same for stages that come after it."""
        assert self.candidate is not None
        return self.candidate

    def say(self, text: str) -> None:
        """A sentence about this slot."""
        self.project.reporter.say(f"{self.slot}: {text}")


class PipelineStage(abc.ABC):
    """One stage of a slot's pipeline; ``pipeline/stages/<name>.py`` holds one as ``STAGE``.

    Attributes
    ----------
    name : str
        As in the answer of ``podium run --explain``.
    group : str
        The verb that does it, as in ``--from`` and ``--to``.
    makes : str
    command : str
        What follows ``podium`` to do this stage alone; ``{slot}``, ``{candidate}`` and ``{family}``
        are filled in. Empty: the group and the slot.
    trains : bool
        Whether models are fitted.
    quiet : bool
        Whether it is named only while there is something to do: a part of its group's work.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    makes: ClassVar[Makes]
    command: ClassVar[str] = ""
    trains: ClassVar[bool] = False
    quiet: ClassVar[bool] = False

    def applies(self, slot: SlotPipeline) -> bool:
        """Whether the slot has this stage at all."""
        del slot
        return True

    @abc.abstractmethod
    def inputs(self, slot: SlotPipeline) -> Inputs:
        """Everything the product depends on, by name; None: an earlier stage has to make it."""

    def find(self, slot: SlotPipeline) -> Any | None:
        """The product of these inputs as the record has it, or None; writes nothing.

        A stage whose ``status`` counts what there is finds its product there.
        """
        del slot
        return None

    @abc.abstractmethod
    def make(self, slot: SlotPipeline) -> Any:
        """Make what is missing of the product, and put it and its receipt on record."""

    def files(self, slot: SlotPipeline, product: Any) -> Any:
        """Write the files where they say something else; returns the product with them."""
        del slot
        return product

    def describe(self, slot: SlotPipeline, product: Any) -> str:
        """How much there is: ``24 trials``."""
        del slot, product
        return "on record"

    def announce(self, slot: SlotPipeline, product: Any) -> None:
        """Say what came of the stage, once it was made."""
        del slot, product

    def step(self, slot: SlotPipeline) -> str:
        """Step of the receipts that ``inputs`` are compared with."""
        del slot
        return self.name

    def need(self, slot: SlotPipeline) -> Need | None:
        """Room on the disk that it wants."""
        del slot
        return None

    def why(self, slot: SlotPipeline) -> str:
        """Names of the inputs that differ from those of the last time."""
        found = differences(slot.project, slot.slot, self.step(slot), self.inputs(slot))
        return "; ".join(found) or "its result is not on record"

    def status(self, slot: SlotPipeline) -> StageStatus:
        """How the stage stands, when all before it are done; keeps the product that is found."""
        product = self.find(slot)
        if product is None:
            return StageStatus(TO_DO, why=self.why(slot))
        return self.complete(slot, product)

    def complete(self, slot: SlotPipeline, product: Any) -> StageStatus:
        """The status of a stage whose product is on record; keeps the product."""
        slot.products[self.name] = product
        return StageStatus(DONE, self.describe(slot, product))

    def whole_command(self, slot: SlotPipeline) -> str:
        """What does this stage alone, with the real ids."""
        candidate, search = slot.candidate, slot.products.get("tune")
        return "podium " + (self.command or f"{self.group} {{slot}}").format(
            slot=slot.slot,
            candidate=candidate.id if candidate else "",
            family=search.best.family if search else "",
        )


class EvidenceStage(PipelineStage):
    """A stage that puts findings about the candidate on record."""

    makes = "evidence"
    quiet = True

    def find(self, slot: SlotPipeline) -> bool | None:
        """Whether the newest findings of this kind come from these inputs."""
        of = self.inputs(slot)
        return is_newest(slot.project, slot.made, self.step(slot), of) or None


def plan(
    slot: SlotPipeline, stages: Sequence[PipelineStage]
) -> Iterator[tuple[PipelineStage, StageStatus]]:
    """How each stage stands; writes nothing.

    After one that is left, the next ones are too: what differs for them already, without what the
    earlier ones will make, is in their reasons.
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
