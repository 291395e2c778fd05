"""All stages of every slot: tune, extend, analyze, finalize, backtest, promote, report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from podium import __version__
from podium.errors import (
    NotFoundError,
    PodiumError,
    Problem,
    Problems,
    StoppedError,
    TimeOverError,
    UsageError,
    suggest,
)
from podium.files import full_disk_explained, write_atomic
from podium.hashing import canonical
from podium.ledger.ledger import now
from podium.render.run import run_dict, run_markdown, run_page, summary_rows
from podium.render.values import RunReport
from podium.steps.pipeline import preflight as checklist
from podium.steps.pipeline import run_report
from podium.steps.pipeline.run_cache import KnownRun
from podium.steps.pipeline.slot_pipeline import (
    DONE,
    TO_DO,
    Need,
    PipelineStage,
    SlotPipeline,
    StageStatus,
    plan,
)
from podium.steps.pipeline.stages import GROUPS, OTHER_NAMES, stages_of
from podium.steps.trials.once import FIRST
from podium.steps.workspace import hooks, log, recorded
from podium.steps.workspace.project import Project

RAN, FAILED, WAITS = "done", "failed", "waits"


@dataclass(frozen=True)
class StageOutcome:
    """What came of one step of one slot, or what would.

    Parameters
    ----------
    state : str
        ``up to date``, ``done``, ``failed`` or ``waits``; of what would come of it ``up to date``,
        ``goes on``, ``to do`` or ``failed``.
    told : str
        How much there is.
    why : str
        Why there is something to do, or why it was not done.
    """

    slot: str
    step: str
    state: str
    told: str = ""
    why: str = ""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run found, and the page that tells it.

    Parameters
    ----------
    report : RunReport
        Of the slots that came to their decision.
    page : Path, or None
        None where none did.
    outcomes : list of Outcome
        Every step that was looked at, in order.
    failures : list of PodiumError
        Of the slots that failed, in their order; only with ``keep_going``.
    next : list of str
        Commands that go on from here, with the real ids.
    """

    report: RunReport
    page: Path | None
    outcomes: Sequence[StageOutcome] = ()
    failures: Sequence[PodiumError] = ()
    next: Sequence[str] = ()


@dataclass(frozen=True)
class Range:
    """Steps that are asked for: from the first to the last, both among them.

    Examples
    --------
    >>> Range.of("train", "").first, Range.of("", "evaluate").last
    ('finalize', 'backtest')
    """

    first: str
    last: str

    @classmethod
    def of(cls, first: str, last: str) -> Range:
        """The steps of these names; empty ones are the first and the last there is.

        Raises
        ------
        UsageError
            No such step, or the last one comes first.
        """
        known = [*GROUPS, *OTHER_NAMES]
        asked = {"--from": first or GROUPS[0], "--to": last or GROUPS[-1]}
        problems = [
            Problem(f"{flag} is '{name}', which is no step", fix=suggest(name, known))
            for flag, name in asked.items()
            if name not in known
        ]
        UsageError.raise_for(problems)
        first, last = (OTHER_NAMES.get(name, name) for name in asked.values())
        if GROUPS.index(first) > GROUPS.index(last):
            raise UsageError(
                f"--from {asked['--from']} comes after --to {asked['--to']}",
                f"steps in the order {', '.join(GROUPS)}",
            )
        return cls(first, last)

    def place(self, stage: PipelineStage) -> int:
        """Negative: before the range; 0: in it; positive: after it."""
        number = GROUPS.index(stage.group)
        return -(number < GROUPS.index(self.first)) or int(number > GROUPS.index(self.last))


def run(
    project: Project,
    slots: Sequence[str] | str | None = None,
    *,
    first: str = "",
    last: str = "",
    only: Sequence[str] = (),
    keep_going: bool = False,
) -> Run:
    """Take each slot from its search space to a decision, doing only what is not done yet.

    Killed at any point and run again, it ends with the same result: trials are found by their
    key, candidates by their inputs, evidence and decisions by what they were made from.

    Parameters
    ----------
    slots : str or sequence of str, optional
        Default: all, in the order of podium.toml.
    first, last : str
        Steps to begin and to end with; what comes before is taken from the record.
    only : sequence of str
        Families to search now. They have the trials they would have had in a whole search. A config
        is chosen among all families of a slot, so what follows waits until the others are complete.
    keep_going : bool
        Take the other slots on when one fails.

    Raises
    ------
    ConflictError
        Another command is at work on one of the slots.
    NotFoundError
        A step before the first one is not complete.
    PodiumError
        Whatever stopped a slot, where it is not to keep going.
    """
    steps = Range.of(first, last)
    slots = [slots] if isinstance(slots, str) else slots
    pipelines = _pipelines(project, slots, only, steps)
    checklist.require_writable(project)
    going = _Going(project, steps, keep_going)
    with ExitStack() as stack, full_disk_explained(project.root):
        for slot in pipelines:
            with going.trying(slot.slot):
                stack.enter_context(project.locked(slot.slot, "run"))
        going.check(pipelines)
        for number, slot in enumerate(pipelines):
            if slot.slot in going.failed:
                continue
            with going.trying(slot.slot, [other.slot for other in pipelines[number + 1 :]]):
                going.along(slot)
        return going.ended(pipelines)


def to_known(project: Project, found: Run) -> KnownRun:
    """What a run came to that took every slot to its decision, as the next one answers."""
    again = [
        replace(slot, verdict="champion unchanged") if slot.verdict == "promoted" else slot
        for slot in found.report.slots
    ]
    report = replace(found.report, slots=again)
    columns, rows = summary_rows(report)
    made = [recorded.candidate(project, str(slot.candidate)) for slot in again]
    return KnownRun(
        items=run_dict(report)["items"],
        columns=columns,
        rows=rows,
        steps=[asdict(replace(one, state=DONE)) for one in found.outcomes],
        sentences=[slot.sentence for slot in again],
        next=list(found.next),
        page=os.path.relpath(str(found.page), project.root),
        artifacts=[[one.artifact_path, one.artifact_hash] for one in made],
    )


def explain(
    project: Project,
    slots: Sequence[str] | None = None,
    *,
    first: str = "",
    last: str = "",
    only: Sequence[str] = (),
) -> list[StageOutcome]:
    """What a run would do now, step by step, and why; nothing is trained or written."""
    steps = Range.of(first, last)
    pipelines = _pipelines(project, slots, only, steps)
    project.feeds = False
    found = []
    begun = project.reader.exists
    for slot in pipelines:
        try:
            statuses = plan(slot, stages_of(slot.task)) if begun else _unbegun(slot)
            for stage, status in statuses:
                place = steps.place(stage)
                # Parts of a group's work are named where they alone have something to do.
                hidden = stage.quiet and (status.done or status.why.startswith("after "))
                if place > 0 or (place < 0 and status.done) or hidden:
                    continue
                found.append(
                    StageOutcome(slot.slot, stage.name, status.state, status.progress, status.why)
                )
        except PodiumError as error:
            found.append(StageOutcome(slot.slot, "", FAILED, why=str(error)))
    return found


def _unbegun(slot: SlotPipeline) -> list[tuple[PipelineStage, StageStatus]]:
    # What stops a run before it begins is told here too.
    checklist.require_inputs(slot)
    stages = [stage for stage in stages_of(slot.task) if not stage.quiet]
    return [
        (stage, StageStatus(TO_DO, why=f"after {before.name}" if before else FIRST))
        for before, stage in zip((None, *stages), stages, strict=False)
    ]


def _pipelines(
    project: Project, slots: Sequence[str] | None, only: Sequence[str], steps: Range
) -> list[SlotPipeline]:
    if not project.config.slots:
        project.default_slot(None)
    chosen = dict.fromkeys(project.default_slot(name) for name in slots or project.config.slots)
    families = {name: project.config.slot(name).families for name in chosen}
    known = {family for of in families.values() for family in of}
    problems = Problems()
    for name in only:
        unknown = f"--only {name}: no slot asked for has that family"
        problems.require_known(name, known, unknown)
    if only and steps.first != GROUPS[0]:
        problems.add(
            f"--only says which families are searched, and --from {steps.first} takes the "
            "search from the record",
            "one of them",
        )
    UsageError.raise_for(problems)
    found = []
    for name in chosen:
        mine = [family for family in families[name] if family in only]
        if only and not mine:
            project.reporter.say(f"{name}: has none of these families and is left out")
        else:
            # All of them is a whole search.
            found.append(
                SlotPipeline(project, name, mine if len(mine) < len(families[name]) else ())
            )
    return found


@dataclass(eq=False)
class _Going:
    """A run at work, and what has come of it."""

    project: Project
    steps: Range
    keep_going: bool
    failed: dict[str, PodiumError] = field(default_factory=dict)
    outcomes: list[StageOutcome] = field(default_factory=list)
    # The step that is at work; empty while none is.
    at: str = ""

    @contextmanager
    def trying(self, slot: str, others: Sequence[str] = ()) -> Iterator[None]:
        """What fails inside is the slot's own where the others are to go on."""
        try:
            yield
        except (StoppedError, TimeOverError):
            raise
        except PodiumError as error:
            if not self.keep_going:
                self._say_done(slot, others)
                raise
            self._fail(slot, error)

    def _say_done(self, slot: str, others: Sequence[str]) -> None:
        if not self.at:
            return
        done = dict.fromkeys(one.slot for one in self.outcomes if one.slot != slot)
        told = [f"{slot} failed in {self.at}"]
        told += [f"done before: {', '.join(done)}"] if done else []
        told += [f"not begun: {', '.join(others)}"] if others else []
        self.project.reporter.say("; ".join(told))

    def check(self, slots: Sequence[SlotPipeline]) -> None:
        """All that would stop a stage of any slot, before anything is trained."""
        errors: dict[str, PodiumError] = {}
        needs: dict[str, list[Need]] = {}

        def count_needs(slot: SlotPipeline) -> None:
            wanted = [stage.need(slot) for stage in self._left(slot) if stage.trains]
            needs[slot.slot] = [need for need in wanted if need is not None]

        for look in (checklist.require_inputs, count_needs):
            for slot in slots:
                if slot.slot in {*self.failed, *errors}:
                    continue
                try:
                    look(slot)
                except PodiumError as error:
                    errors[slot.slot] = error
            if errors and not self.keep_going:
                raise checklist.together(list(errors.values()))
        for name, wrong in errors.items():
            self._fail(name, wrong)
        checklist.require_room(self.project, needs)

    def _left(self, slot: SlotPipeline) -> list[PipelineStage]:
        """Stages that have something to do.

        Raises
        ------
        NotFoundError
            One before the first that is asked for has.
        """
        left = []
        for stage, status in plan(slot, stages_of(slot.task)):
            place = self.steps.place(stage)
            if status.done or place > 0:
                continue
            if place < 0:
                told = ", ".join(filter(None, [status.progress, status.why]))
                raise NotFoundError(
                    f"{slot.slot}: {stage.name} is not complete ({told})",
                    f"what --from {self.steps.first} begins with on record",
                    f"run: {stage.whole_command(slot)}",
                )
            left.append(stage)
        return left

    def along(self, slot: SlotPipeline) -> None:
        """Take one slot through its stages: what is complete is loaded, the rest is made."""
        moved = False
        for stage in stages_of(slot.task):
            place = self.steps.place(stage)
            if place > 0:
                break
            if not stage.applies(slot):
                continue
            self.at = stage.name
            status = slot.statuses.pop(stage.name, None) or stage.status(slot)
            # A value is as fresh as what it is reckoned from.
            known = status.done and not (moved and stage.makes == "value")
            if place < 0 or slot.only_others_left:
                known = True
            elif known and not stage.quiet:
                slot.say(f"{stage.name} is up to date ({status.progress})")
            elif stage.trains:
                left = ", ".join(filter(None, [status.progress, status.why]))
                slot.say(f"{stage.name}: {left}; {checklist.describe(slot, stage.need(slot))}")
            told = "" if slot.only_others_left else self._do(stage, slot, status, known=known)
            if place < 0:
                continue
            moved = moved or not known
            if slot.only and slot.left:
                lacking = ", ".join(f"{name} lacks {n} trials" for name, n in slot.left.items())
                why = f"{lacking}; a config is chosen among all families of a slot"
                slot.say(f"{why}, so the run ends here")
                self.outcomes.append(StageOutcome(slot.slot, stage.name, WAITS, why=why))
                break
            if not stage.quiet:
                state = DONE if known else RAN
                self.outcomes.append(StageOutcome(slot.slot, stage.name, state, told))
        self.at = ""

    def _do(
        self, stage: PipelineStage, slot: SlotPipeline, status: StageStatus, *, known: bool
    ) -> str:
        with log.step(stage.group):
            product = slot.products.get(stage.name) if status.done else stage.make(slot)
            product = slot.products[stage.name] = stage.files(slot, product)
            if not known:
                stage.announce(slot, product)
            return stage.describe(slot, product)

    def _fail(self, slot: str, error: PodiumError) -> None:
        hooks.failed(self.project, error, slot)
        self.failed[slot] = error
        self.outcomes.append(StageOutcome(slot, self.at, FAILED, why=str(error)))
        self.project.reporter.say(f"{slot}: failed: {error}")
        self.at = ""

    def ended(self, slots: Sequence[SlotPipeline]) -> Run:
        """What the run came to; the page tells of the slots that came to their decision."""
        project = self.project
        reports = [
            run_report.slot_report(project, slot.products)
            for slot in slots
            if "promote" in slot.products
        ]
        found = RunReport(
            project=project.config.project.name,
            created_at=now(),
            slots=reports,
            provenance={
                "podium": __version__,
                "project": project.config.project.id,
                "environment": project.environment[:12],
                **{f"{slot} failed": str(error) for slot, error in self.failed.items()},
            },
        )
        page = None
        if reports:
            place = project.root / project.config.paths.reports
            page = place / "run.html"
            write_atomic(page, run_page(found))
            write_atomic(place / "run.md", run_markdown(found))
            write_atomic(place / "run.json", canonical(run_dict(found)) + "\n")
        commands = [*self._next(slots), *(reports[0].commands if reports else ())]
        return Run(found, page, self.outcomes, list(self.failed.values()), commands)

    def _next(self, slots: Sequence[SlotPipeline]) -> list[str]:
        """What goes on with the slots that did not come to their decision."""
        commands = []
        for slot in slots:
            if slot.slot in self.failed:
                continue
            if slot.left:
                commands += [f"podium run {slot.slot} --only {name}" for name in slot.left]
            elif "promote" not in slot.products:
                after = (s for s in stages_of(slot.task) if self.steps.place(s) > 0)
                commands += [stage.whole_command(slot) for stage in after][:1]
        return commands
