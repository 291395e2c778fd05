"""The whole road for every slot: tune, extend, analyze, finalize, backtest, promote, report."""

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
    StoppedError,
    TimeOverError,
    UsageError,
    suggest,
)
from podium.files import full_disk_explained, write_atomic
from podium.hashing import canonical
from podium.ledger import reads
from podium.ledger.ledger import now
from podium.report.run import RunReport, run_dict, run_markdown, run_page, summary_rows
from podium.steps.pipeline import preflight as checklist
from podium.steps.pipeline.changed import FIRST
from podium.steps.pipeline.run_cache import Told
from podium.steps.pipeline.stages import (
    DONE,
    ORDER,
    OTHER_NAMES,
    TO_DO,
    Road,
    Standing,
    Step,
    survey,
)
from podium.steps.workspace import hooks, log
from podium.steps.workspace.project import Project

RAN, FAILED, WAITS = "done", "failed", "waits"


@dataclass(frozen=True)
class Outcome:
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
    outcomes: Sequence[Outcome] = ()
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
        known = [*ORDER, *OTHER_NAMES]
        asked = {"--from": first or ORDER[0], "--to": last or ORDER[-1]}
        problems = [
            Problem(f"{flag} is '{name}', which is no step", fix=suggest(name, known))
            for flag, name in asked.items()
            if name not in known
        ]
        if problems:
            raise UsageError.of(problems)
        first, last = (OTHER_NAMES.get(name, name) for name in asked.values())
        if ORDER.index(first) > ORDER.index(last):
            raise UsageError(
                f"--from {asked['--from']} comes after --to {asked['--to']}",
                f"steps in the order {', '.join(ORDER)}",
            )
        return cls(first, last)

    def place(self, step: Step) -> int:
        """Negative: before the range; 0: in it; positive: after it."""
        number = ORDER.index(step.name)
        return -(number < ORDER.index(self.first)) or int(number > ORDER.index(self.last))


def run(
    project: Project,
    slots: Sequence[str] | None = None,
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
    slots : sequence of str, optional
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
    roads = _roads(project, slots, only, steps)
    checklist.require_writable(project)
    going = _Going(project, steps, keep_going)
    with ExitStack() as stack, full_disk_explained(project.root):
        for road in roads:
            with going.trying(road.slot):
                stack.enter_context(project.locked(road.slot, "run"))
        going.check(roads)
        for number, road in enumerate(roads):
            if road.slot in going.failed:
                continue
            with going.trying(road.slot, [other.slot for other in roads[number + 1 :]]):
                going.along(road)
        return going.ended(roads)


def told(project: Project, found: Run) -> Told:
    """What a run that took every slot to its decision tells, and what the next one would."""
    again = [
        replace(slot, verdict="champion unchanged") if slot.verdict == "promoted" else slot
        for slot in found.report.slots
    ]
    report = replace(found.report, slots=again)
    columns, rows = summary_rows(report)
    with project.ledger.reading() as tx:
        made = [reads.candidate_by_id(project.ledger, tx, str(slot.candidate)) for slot in again]
    return Told(
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
) -> list[Outcome]:
    """What a run would do now, step by step, and why; nothing is trained or written."""
    steps = Range.of(first, last)
    roads = _roads(project, slots, only, steps)
    project.feeds = False
    found = []
    begun = project.door.exists
    for road in roads:
        try:
            standings = survey(road) if begun else _unbegun(road)
            for step, standing in standings:
                if steps.place(step) == 0 or (steps.place(step) < 0 and not standing.done):
                    found.append(
                        Outcome(road.slot, step.name, standing.state, standing.told, standing.why)
                    )
        except PodiumError as error:
            found.append(Outcome(road.slot, "", FAILED, why=str(error)))
    return found


def _unbegun(road: Road) -> list[tuple[Step, Standing]]:
    # What stops a run before it begins is told here too.
    checklist.require_inputs(road)
    return [
        (step, Standing(TO_DO, why=f"after {before.name}" if before else FIRST))
        for before, step in zip((None, *road.steps), road.steps, strict=False)
    ]


def _roads(
    project: Project, slots: Sequence[str] | None, only: Sequence[str], steps: Range
) -> list[Road]:
    if not project.config.slots:
        project.default_slot(None)
    chosen = dict.fromkeys(project.default_slot(name) for name in slots or project.config.slots)
    families = {name: project.config.slot(name).families for name in chosen}
    known = {family for of in families.values() for family in of}
    problems = [
        Problem(f"--only {name}: no slot asked for has that family", fix=suggest(name, known))
        for name in only
        if name not in known
    ]
    if only and steps.first != ORDER[0]:
        problems.append(
            Problem(
                f"--only says which families are searched, and --from {steps.first} takes the "
                "search from the record",
                "one of them",
            )
        )
    if problems:
        raise UsageError.of(problems)
    found = []
    for name in chosen:
        mine = [family for family in families[name] if family in only]
        if only and not mine:
            project.reporter.say(f"{name}: has none of these families and is left out")
        else:
            # All of them is a whole search.
            found.append(Road(project, name, mine if len(mine) < len(families[name]) else ()))
    return found


@dataclass(eq=False)
class _Going:
    """A run at work, and what has come of it."""

    project: Project
    steps: Range
    keep_going: bool
    failed: dict[str, PodiumError] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
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

    def check(self, roads: Sequence[Road]) -> None:
        """All that would stop a step of any slot, before anything is trained."""
        errors: dict[str, PodiumError] = {}
        needs = {}
        going = [road for road in roads if road.slot not in self.failed]
        for road in going:
            try:
                checklist.require_inputs(road)
            except PodiumError as error:
                errors[road.slot] = error
        if errors and not self.keep_going:
            raise checklist.together(list(errors.values()))
        for road in going:
            if road.slot in errors:
                continue
            try:
                left = self._left(road)
                needs[road.slot] = [checklist.need(road, step) for step in left if step.trains]
            except PodiumError as error:
                errors[road.slot] = error
        if errors and not self.keep_going:
            raise checklist.together(list(errors.values()))
        for slot, wrong in errors.items():
            self._fail(slot, wrong)
        checklist.require_room(self.project, needs)

    def _left(self, road: Road) -> list[Step]:
        """Steps that have something to do.

        Raises
        ------
        NotFoundError
            One before the first that is asked for has.
        """
        left = []
        for step, standing in survey(road):
            place = self.steps.place(step)
            if standing.done or place > 0:
                continue
            if place < 0:
                told = ", ".join(filter(None, [standing.told, standing.why]))
                raise NotFoundError(
                    f"{road.slot}: {step.name} is not complete ({told})",
                    f"what --from {self.steps.first} begins with on record",
                    f"run: {step.command(road)}",
                )
            left.append(step)
        return left

    def along(self, road: Road) -> None:
        """Take one slot through its steps."""
        moved = False
        for step in road.steps:
            place = self.steps.place(step)
            if place > 0:
                break
            self.at = step.name
            standing = road.standings.pop(step.name, None) or step.standing(road)
            known = standing.done and not (moved and step.reckoned)
            if place < 0:
                self._do(step, road, known=True)
                continue
            if known:
                road.say(f"{step.name} is up to date ({standing.told})")
            elif step.trains and not road.only_others_left:
                left = ", ".join(filter(None, [standing.told, standing.why]))
                road.say(f"{step.name}: {left}; {checklist.told(road, step)}")
            if not road.only_others_left:
                told = self._do(step, road, known=known)
            moved = moved or not known
            if road.only and road.left:
                lacking = ", ".join(f"{name} lacks {n} trials" for name, n in road.left.items())
                why = f"{lacking}; a config is chosen among all families of a slot"
                road.say(f"{why}, so the run ends here")
                self.outcomes.append(Outcome(road.slot, step.name, WAITS, why=why))
                break
            self.outcomes.append(Outcome(road.slot, step.name, DONE if known else RAN, told))
        self.at = ""

    def _do(self, step: Step, road: Road, *, known: bool) -> str:
        with log.step(step.name):
            return step.do(road, known)

    def _fail(self, slot: str, error: PodiumError) -> None:
        hooks.failed(self.project, error, slot)
        self.failed[slot] = error
        self.outcomes.append(Outcome(slot, self.at, FAILED, why=str(error)))
        self.project.reporter.say(f"{slot}: failed: {error}")
        self.at = ""

    def ended(self, roads: Sequence[Road]) -> Run:
        """What the run came to; the page tells of the slots that came to their decision."""
        project = self.project
        reports = [road.report() for road in roads if road.promotion is not None]
        not_told = {slot: str(error) for slot, error in self.failed.items()}
        found = RunReport(
            project=project.config.project.name,
            created_at=now(),
            slots=reports,
            provenance={
                "podium": __version__,
                "project": project.config.project.id,
                "environment": project.environment[:12],
                **{f"{slot} failed": why for slot, why in not_told.items()},
            },
        )
        page = None
        if reports:
            place = project.root / project.config.paths.reports
            page = place / "run.html"
            write_atomic(page, run_page(found))
            write_atomic(place / "run.md", run_markdown(found))
            write_atomic(place / "run.json", canonical(run_dict(found)) + "\n")
        commands = [*self._next(roads), *(reports[0].commands if reports else ())]
        return Run(found, page, self.outcomes, list(self.failed.values()), commands)

    def _next(self, roads: Sequence[Road]) -> list[str]:
        """What goes on with the slots that did not come to their decision."""
        commands = []
        for road in roads:
            if road.slot in self.failed:
                continue
            if road.left:
                commands += [f"podium run {road.slot} --only {name}" for name in road.left]
            elif road.promotion is None:
                after = (step for step in road.steps if self.steps.place(step) > 0)
                commands += [step.command(road) for step in after][:1]
        return commands
