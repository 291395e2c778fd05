"""All stages of every slot: tune, extend, analyze, finalize, backtest, promote, report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from podium import __version__
from podium.errors import NotFoundError, PodiumError, Problems, UsageError
from podium.files import full_disk_explained, write_atomic
from podium.hashing import canonical
from podium.ledger.ledger import now
from podium.render.answer import Answer
from podium.render.blocks import ladder_line
from podium.render.run import run_dict, run_markdown, run_page, summary_rows
from podium.render.table import counted
from podium.render.values import RunReport
from podium.steps.pipeline import preflight as checklist
from podium.steps.pipeline import run_report, slot_pipeline
from podium.steps.pipeline.run_cache import KnownRun
from podium.steps.pipeline.slot_pipeline import DONE, PipelineStage, SlotPipeline, StageStatus
from podium.steps.pipeline.stages import GROUPS, OTHER_NAMES, stages_of
from podium.steps.trials.once import FIRST
from podium.steps.workspace import hooks, log, recorded
from podium.steps.workspace.project import Project

RAN, FAILED, WAITS = "done", "failed", "waits"


@dataclass(frozen=True)
class StageOutcome:
    """State of one step of one slot after a run, or in a plan.

    Parameters
    ----------
    state : str
        After a run ``up to date``, ``done``, ``failed`` or ``waits``; in a plan ``up to date``,
        ``resumes``, ``to do`` or ``failed``.
    progress : str
        Amount on record: ``24 trials``.
    why : str
        Reason to do the step, or reason why it was not done.
    """

    slot: str
    step: str
    state: str
    progress: str = ""
    why: str = ""


@dataclass(frozen=True, eq=False)
class Run(Answer):
    """Result of a run and its report.

    Parameters
    ----------
    report : RunReport
        Of the slots that reached their decision.
    page : Path, or None
        The report as HTML; None where no slot reached its decision.
    outcomes : list of StageOutcome
        Every step of every slot, in order.
    failures : list of PodiumError
        Errors of the failed slots, in their order; only with ``keep_going``.
    next : list of str
        Commands to type next, with the ids filled in.
    """

    report: RunReport
    page: Path | None
    outcomes: Sequence[StageOutcome] = ()
    failures: Sequence[PodiumError] = ()
    next: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """Verdict on the slot, or the number of slots or steps by their state."""
        slots = self.report.slots
        if len(slots) == 1:
            return slots[0].sentence
        states: list[str] = [slot.verdict for slot in slots]
        states = states or [outcome.state for outcome in self.outcomes]
        kind, counts = "slot" if slots else "step", Counter(states)
        parts = ", ".join(f"{number} {state}" for state, number in counts.items())
        return f"{counted(len(states), kind)}: {parts}" if states else "no step was due"

    @property
    def lines(self) -> list[str]:
        """The verdicts where there are several, and the baselines of each slot."""
        slots = self.report.slots
        verdicts = [slot.sentence for slot in slots] if len(slots) > 1 else []
        return [*verdicts, *filter(None, map(ladder_line, slots))]

    def rows(self) -> list[dict[str, Any]]:
        """One row a slot with its figures, or one a step where no slot reached its decision."""
        slots = self.report.slots
        if not slots:
            return [asdict(one) for one in self.outcomes]
        columns, rows = summary_rows(self.report)
        items = [dict(zip(columns, row, strict=True)) for row in rows]
        names = [*columns[:-1], *dict.fromkeys(n for s in slots for n in s.figures), columns[-1]]
        for item, slot in zip(items, slots, strict=True):
            item |= slot.figures
        filled = [n for n in names if any(item.get(n) not in (None, "-") for item in items)]
        return [{name: item.get(name) for name in filled} for item in items]


@dataclass(frozen=True)
class Range:
    """Steps of a run, from the first to the last, both included.

    Examples
    --------
    >>> Range.of("train", "").first, Range.of("", "evaluate").last
    ('finalize', 'backtest')
    """

    first: str
    last: str

    @classmethod
    def of(cls, first: str, last: str) -> Range:
        """Range between named steps; empty names are the first and the last step of all.

        Raises
        ------
        UsageError
            No such step, or ``first`` comes after ``last``.
        """
        known = [*GROUPS, *OTHER_NAMES]
        ends = {"--from": first or GROUPS[0], "--to": last or GROUPS[-1]}
        problems = Problems()
        for flag, name in ends.items():
            problems.require_known(name, known, f"{flag} is '{name}', which is no step")
        UsageError.raise_for(problems)
        first, last = (OTHER_NAMES.get(name, name) for name in ends.values())
        if GROUPS.index(first) > GROUPS.index(last):
            raise UsageError(
                f"--from {ends['--from']} comes after --to {ends['--to']}",
                f"steps in the order {', '.join(GROUPS)}",
            )
        return cls(first, last)

    def place(self, stage: PipelineStage) -> int:
        """Negative before the range, 0 in it, positive after it."""
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
    """Take each slot from its search space to a decision; steps that are up to date are skipped.

    A run that is killed at any point and repeated gives the same result: trials are identified by
    their key, candidates, evidence and decisions by their inputs.

    Parameters
    ----------
    slots : str or sequence of str, optional
        Default: all, in the order of podium.toml.
    first, last : str
        Steps to begin and to end with; results of earlier steps come from the record.
    only : sequence of str
        Families to search now. Their trials are those of a whole search. A config is chosen among
        all families of a slot, so later steps wait until the other families are complete.
    keep_going : bool
        Continue with the other slots when one fails.

    Returns
    -------
    Run

    Raises
    ------
    ConflictError
        Another command works on one of the slots.
    NotFoundError
        A step before the first one is not complete.
    PodiumError
        The error of a slot, without ``keep_going``.
    """
    steps = Range.of(first, last)
    slots = [slots] if isinstance(slots, str) else slots
    pipelines = _pipelines(project, slots, only, steps)
    checklist.require_writable(project)
    active = _ActiveRun(project, steps, keep_going)
    with ExitStack() as stack, full_disk_explained(project.root):
        for slot in pipelines:
            with active.guarded(slot.slot):
                stack.enter_context(project.locked(slot.slot, "run"))
        active.check(pipelines)
        for number, slot in enumerate(pipelines):
            if slot.slot in active.failed:
                continue
            with active.guarded(slot.slot, [other.slot for other in pipelines[number + 1 :]]):
                active.advance(slot)
        return active.result(pipelines)


def to_known(project: Project, result: Run) -> KnownRun:
    """Answer of the next run, while nothing changes after one that decided about every slot."""
    again = [
        replace(slot, verdict="champion unchanged") if slot.verdict == "promoted" else slot
        for slot in result.report.slots
    ]
    report = replace(result.report, slots=again)
    same = replace(result, report=report)
    candidates = [recorded.candidate(project, str(slot.candidate)) for slot in again]
    return KnownRun(
        items=run_dict(report)["items"],
        summary=same.sentence,
        table=same.rows(),
        steps=[asdict(replace(one, state=DONE)) for one in result.outcomes],
        lines=same.lines,
        next=list(result.next),
        page=os.path.relpath(str(result.page), project.root),
        artifacts=[[one.artifact_path, one.artifact_hash] for one in candidates],
    )


def explain(
    project: Project,
    slots: Sequence[str] | None = None,
    *,
    first: str = "",
    last: str = "",
    only: Sequence[str] = (),
) -> list[StageOutcome]:
    """Plan of a run: state of each step and the reasons; nothing is trained or written.

    Parameters
    ----------
    slots, first, last, only
        As of :func:`run`.
    """
    steps = Range.of(first, last)
    pipelines = _pipelines(project, slots, only, steps)
    project.feeds = False
    outcomes = []
    begun = project.reader.exists
    for slot in pipelines:
        try:
            plan = slot_pipeline.plan(slot, stages_of(slot.task)) if begun else _unbegun(slot)
            for stage, status in plan:
                place = steps.place(stage)
                # Parts of a group are named only where the group itself has nothing to do.
                hidden = stage.quiet and (status.done or status.why.startswith("after "))
                if place > 0 or (place < 0 and status.done) or hidden:
                    continue
                outcomes.append(StageOutcome(slot.slot, stage.name, *astuple(status)))
        except PodiumError as error:
            outcomes.append(StageOutcome(slot.slot, "", FAILED, why=str(error)))
    return outcomes


def _unbegun(slot: SlotPipeline) -> list[tuple[PipelineStage, StageStatus]]:
    # Errors that stop a run before it begins are part of the plan.
    checklist.require_inputs(slot)
    stages = [stage for stage in stages_of(slot.task) if not stage.quiet]
    return [
        (stage, stage.left("", f"after {before.name}" if before else FIRST, begun=False))
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
        problems.require_known(name, known, f"--only {name}: no chosen slot has that family")
    if only and steps.first != GROUPS[0]:
        problems.add(
            f"--only chooses families to search, and --from {steps.first} takes the search from "
            "the record",
            "one of them",
        )
    UsageError.raise_for(problems)
    pipelines = []
    for name in chosen:
        mine = [family for family in families[name] if family in only]
        if only and not mine:
            project.reporter.say(f"{name}: skipped, as it has none of these families")
        else:
            is_whole = len(mine) == len(families[name])
            pipelines.append(SlotPipeline(project, name, () if is_whole else mine))
    return pipelines


@dataclass(eq=False)
class _ActiveRun:
    """A run at work and its outcomes so far."""

    project: Project
    steps: Range
    keep_going: bool
    failed: dict[str, PodiumError] = field(default_factory=dict)
    outcomes: list[StageOutcome] = field(default_factory=list)
    # Name of the current step, if any.
    step: str = ""

    @contextmanager
    def guarded(self, slot: str, others: Sequence[str] = ()) -> Iterator[None]:
        """With ``keep_going`` record an error as the slot's outcome, else raise it."""
        try:
            yield
        except PodiumError as error:
            if log.is_stop(error):
                raise
            if not self.keep_going:
                self._report_failure(slot, others)
                raise
            self._fail(slot, error)

    def _report_failure(self, slot: str, others: Sequence[str]) -> None:
        if not self.step:
            return
        done = dict.fromkeys(one.slot for one in self.outcomes if one.slot != slot)
        parts = [f"{slot} failed in {self.step}"]
        parts += [f"done before: {', '.join(done)}"] if done else []
        parts += [f"not begun: {', '.join(others)}"] if others else []
        self.project.reporter.say("; ".join(parts))

    def check(self, slots: Sequence[SlotPipeline]) -> None:
        """Check the inputs and the disk space of every slot before anything is trained."""
        errors: dict[str, PodiumError] = {}
        needs: dict[str, list[slot_pipeline.Need]] = {}

        def count_needs(slot: SlotPipeline) -> None:
            all_needs = [stage.need(slot) for stage in self._due(slot) if stage.trains]
            needs[slot.slot] = [need for need in all_needs if need is not None]

        for check in (checklist.require_inputs, count_needs):
            for slot in slots:
                if slot.slot in {*self.failed, *errors}:
                    continue
                try:
                    check(slot)
                except PodiumError as error:
                    errors[slot.slot] = error
            if errors and not self.keep_going:
                raise checklist.together(list(errors.values()))
        for name, reason in errors.items():
            self._fail(name, reason)
        checklist.require_room(self.project, needs)

    def _due(self, slot: SlotPipeline) -> list[PipelineStage]:
        """Stages of the range that are not complete.

        Raises
        ------
        NotFoundError
            A stage before the range is not complete.
        """
        due = []
        for stage, status in slot_pipeline.plan(slot, stages_of(slot.task)):
            place = self.steps.place(stage)
            if status.done or place > 0:
                continue
            if place < 0:
                state = ", ".join(filter(None, [status.progress, status.why]))
                raise NotFoundError(
                    f"{slot.slot}: {stage.name} is not complete ({state})",
                    f"every step before {self.steps.first} on record",
                    f"run: {stage.whole_command(slot)}",
                )
            due.append(stage)
        return due

    def advance(self, slot: SlotPipeline) -> None:
        """Take one slot through its stages: complete ones are loaded, the others are made."""
        moved = False
        for stage in stages_of(slot.task):
            place = self.steps.place(stage)
            if place > 0:
                break
            if not stage.applies(slot):
                continue
            self.step = stage.name
            status = slot.statuses.pop(stage.name, None) or stage.status(slot)
            # A value is computed again where an earlier stage was.
            known = status.done and not (moved and stage.makes == "value")
            if place < 0 or slot.only_others_left:
                known = True
            elif known and not stage.quiet:
                slot.say(f"{stage.name} is up to date ({status.progress})")
            elif stage.trains:
                left = ", ".join(filter(None, [status.progress, status.why]))
                slot.say(f"{stage.name}: {left}; {checklist.describe(slot, stage.need(slot))}")
            amount = "" if slot.only_others_left else self._do(stage, slot, status, known=known)
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
                self.outcomes.append(StageOutcome(slot.slot, stage.name, state, amount))
        self.step = ""

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
        self.outcomes.append(StageOutcome(slot, self.step, FAILED, why=str(error)))
        self.project.reporter.say(f"{slot}: failed: {error}")
        self.step = ""

    def result(self, slots: Sequence[SlotPipeline]) -> Run:
        """Result of the run; the page covers the slots that reached their decision."""
        project = self.project
        decided = [slot.products for slot in slots if "promote" in slot.products]
        reports = [run_report.slot_report(project, products) for products in decided]
        report = RunReport(
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
            write_atomic(page, run_page(report))
            write_atomic(place / "run.md", run_markdown(report))
            write_atomic(place / "run.json", canonical(run_dict(report)) + "\n")
        commands = [*self._next(slots), *(reports[0].commands if reports else ())]
        return Run(report, page, self.outcomes, list(self.failed.values()), commands)

    def _next(self, slots: Sequence[SlotPipeline]) -> list[str]:
        """Commands for the slots that did not reach their decision."""
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
