"""One walk through a search: what grid, tune and sweep have in common."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from podium.errors import NotFoundError, TimeOverError
from podium.files import full_disk_explained
from podium.hashing import digest
from podium.ledger import reads, writes
from podium.ledger.kin import KNOWN
from podium.ledger.pieces import pieces
from podium.ledger.reads import TrialRow
from podium.ledger.writes import RETRIED
from podium.runners._base import Runner
from podium.searches._base import Search
from podium.split import Split
from podium.steps.trials import execute
from podium.steps.trials.execute import Planned
from podium.steps.trials.objectives import feasible, recorded, scored_alike, scores
from podium.steps.trials.schedule import Course, Further
from podium.steps.workspace.project import Project
from podium.steps.workspace.stop import AGAIN
from podium.study import CHOICES, Study, choices_of
from podium.tasks._base import TaskData
from podium.trial import Ended, State

# Receipt of a space that has nothing left to try.
EXHAUSTED = "exhausted"
# Receipt of a search that --max-time ended, so that what follows takes what there is.
CUT = "cut"


@dataclass(frozen=True)
class Walk:
    """How a step goes through a search of one family.

    Parameters
    ----------
    phase : str
        What its trials are called in the record; a search with phases adds its own.
    numbers : sequence of int
        Of the trials, in the order they are asked for.
    generation : int
        How many are asked for at once.
    seed : function of a trial's number
    label : str
        What the reporter is told of its progress.
    save_to : str
        Folder that models are left in; empty: they are not kept.
    leave : function of a planned trial and how it ended, optional
        What becomes of its model; default: an artefact.
    where : str
        A filter that a trial must meet; one that does not is told to be as bad as any so far.
    said : mapping, optional
        What is recorded beside the config of each trial.
    runner : Runner, optional
        Where they run, in place of the project's.
    """

    phase: str
    numbers: Sequence[int]
    generation: int
    seed: Callable[[int], int]
    label: str
    save_to: str = ""
    where: str = ""
    said: Mapping[str, Any] | None = None
    runner: Runner | None = None
    leave: Callable[[Planned, Ended], None] | None = None


def begin(
    project: Project, study: Study, family: str, search: Search, trials: int, stride: int
) -> None:
    """Tell a new search how its study was begun.

    What it chooses itself is kept in the study when it is first begun, and stays.
    """
    ledger, inputs = project.ledger, choices_of(study.key, family)
    search.distinct = bool(study.question.get("distinct", False))
    stored = ledger.read(reads.receipt, study.slot, CHOICES, inputs)
    planned = stored["planned"] if stored else trials
    chosen = search.begin(planned, stride, stored["chosen"] if stored else {})
    if chosen and not stored:
        kept = {"planned": planned, "family": family, "chosen": chosen}
        ledger.write_durably(writes.put_receipt, study.slot, CHOICES, inputs, kept)
    if model := chosen.get("auto"):
        project.reporter.say(f"{study.slot}: {family} is modelled by {model}: {chosen['why']}")


def go(
    project: Project,
    study: Study,
    data: TaskData,
    split: Split,
    family: str,
    search: Search,
    walk: Walk,
) -> list[TrialRow]:
    """Rows of the walk's trials in their order, trained where they are not on record yet.

    The search is asked generation by generation and told in the order of numbers, so what it asks
    for does not depend on the number of jobs, nor on where it was interrupted. It ends early where
    its space has no other config, or its time is over, with a sentence.

    Raises
    ------
    TimeOverError
        The time was over before any trial was complete.
    """
    if not walk.numbers:
        return []
    if project.retry_failed:
        _retry(project, study, family, walk)
    # Between two generations nothing runs that Ctrl-C could wait for, and the next is not begun.
    heeding = nullcontext() if walk.runner else project.halt.heeded(project.reporter.say)
    try:
        with heeding:
            return _walked(project, study, data, split, family, search, walk)
    except TimeOverError:
        rows = rows_of(project, study, walk.phase)
        if not any(row.state is State.COMPLETE for row in rows):
            raise
        numbers = set(walk.numbers)
        mine = [row for row in rows if row.family == family and row.number in numbers]
        ended = [row for row in mine if row.state.ended]
        cut(project, study, f"{walk.label}: {len(ended)} of {len(numbers)} trials")
        return ended


def _walked(
    project: Project,
    study: Study,
    data: TaskData,
    split: Split,
    family: str,
    search: Search,
    walk: Walk,
) -> list[TrialRow]:
    version = data.version(family)
    job = execute.job_of(data, split, family)
    job = replace(job, save_to=walk.save_to, pause_to=str(project.paused))
    heard = execute.Progress(project, walk.label, len(walk.numbers), data.direction)

    def train(
        plans: Sequence[Planned], until: int = 0, further: Further | None = None
    ) -> list[TrialRow]:
        return execute.run(
            project,
            study,
            data,
            split,
            job,
            version,
            plans,
            heard,
            walk.runner,
            walk.leave,
            until,
            further,
        )

    found: list[TrialRow] = []
    course = Course.of(project, study, data, search, job, walk.numbers[0])
    told = _Told(project, data, split, search, walk.where, course)
    told.known(study, family)
    parts = course.cohorts if course else pieces
    for generation in parts(walk.numbers, walk.generation):
        configs = search.ask(generation)
        plans = [
            Planned(
                "/".join(filter(None, [walk.phase, search.phase(number)])),
                number,
                config,
                fold=0,
                seed=walk.seed(number),
                named=True,
                said=walk.said,
            )
            for number, config in zip(generation, configs, strict=False)
        ]
        if plans:
            rows = course.run(plans, train, heard, told.failed) if course else train(plans)
            told.tell(rows)
            found += rows
        if len(configs) < len(generation):
            where = data.space_place(family)
            _exhausted(project, study, family, len(found), len(walk.numbers), where)
            break
    if course and any(row.state is State.PRUNED for row in found):
        project.reporter.say(course.summary(found))
    return found


@contextmanager
def workplace(project: Project, slot: str, verb: str) -> Iterator[str]:
    """Folder that models are left in until they are artefacts; empty before and gone after."""
    work = project.state / "work" / f"{verb}-{digest(slot)[:16]}"
    with full_disk_explained(project.root):
        shutil.rmtree(work, ignore_errors=True)
        try:
            yield str(work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def rows_of(project: Project, study: Study, phase: str) -> list[TrialRow]:
    """Trials of one of a study's phases."""
    return project.ledger.read(reads.trials_of, study.id, phase)


def best_of(rows: Sequence[TrialRow], slot: str, verb: str, way: str = "min") -> TrialRow:
    """Row with the lowest score, or the highest (``max``); the earlier one when two are equal.

    Raises
    ------
    NotFoundError
        No trial is complete; the first reason is told.
    """
    complete = [row for row in rows if row.state is State.COMPLETE and math.isfinite(row.score)]
    if not complete:
        failed = next((row.reason for row in rows if row.reason), "")
        told = f"; the first failed with: {failed.strip().splitlines()[-1]}" if failed else ""
        raise nothing_complete(slot, verb, told)
    return min(complete, key=lambda row: -row.score if way == "max" else row.score)


def nothing_complete(slot: str, verb: str, told: str = "") -> NotFoundError:
    """Error of a step that left no complete trial."""
    return NotFoundError(
        f"podium {verb} has no complete trial of {slot}{told}", fix=f"run: podium {verb} {slot}"
    )


class _Told:
    """Tells a search of trials: the lowest is best, and what must not win is as bad as any."""

    def __init__(
        self,
        project: Project,
        data: TaskData,
        split: Split,
        search: Search,
        where: str,
        course: Course | None,
    ) -> None:
        self.project, self.data, self.split = project, data, split
        self.search, self.where, self.course = search, where, course
        self.sign = data.direction.sign
        self.worst = -math.inf
        # A trial that failed when the search was told of it stays a failure to the search: it asked
        # for what came later knowing that.
        self.failed: set[str] = set()

    def known(self, study: Study, family: str) -> None:
        """What was on record when the study was begun, before any number that is asked for."""
        self.failed = {row.id for row in rows_of(self.project, study, RETRIED)}
        mine = [row for row in rows_of(self.project, study, KNOWN) if row.family == family]
        if mine:
            self.project.reporter.say(
                f"{study.slot}: {len(mine)} trials of {family} were on record"
            )
            self.tell([replace(row, number=row.number - mine[-1].number - 1) for row in mine])

    def tell(self, rows: Sequence[TrialRow]) -> None:
        """Trials that have ended, in the order of their numbers."""
        rows = scored_alike(self.project, self.data, self.split, rows)
        if self.where and self.data.task.predicts:
            # A filter can only ask for what is on record.
            asked = recorded(self.project.config, self.data.slot)
            scores(self.project, self.data, self.split, rows, asked)
        good = feasible(self.project, self.where, rows)
        for row in rows:
            if row.state is State.PRUNED:
                self.search.tell(row.number, row.config, self._of_pruned(row, rows))
                continue
            score = math.nan if row.id in self.failed else self.sign * row.score
            if math.isfinite(score):
                self.worst = max(self.worst, score)
                score = score if row.id in good else self.worst
            self.search.tell(row.number, row.config, score)

    def _of_pruned(self, row: TrialRow, rows: Sequence[TrialRow]) -> float:
        """What it had shown, or as bad as any where that was another metric."""
        assert self.course is not None
        shown = self.course.shown(row)
        if math.isfinite(shown):
            return shown
        scores = [self.sign * other.score for other in rows if math.isfinite(other.score)]
        worst = max([self.worst, *scores])
        return worst if math.isfinite(worst) else math.nan


def _retry(project: Project, study: Study, family: str, walk: Walk) -> None:
    """Let the walk's trials that had failed before this step be trained again."""
    numbers = set(walk.numbers)
    failed = {
        row.id
        for row in rows_of(project, study, walk.phase)
        if row.state is State.FAILED and row.family == family and row.number in numbers
    }
    again = sorted(failed - project.retried)
    project.retried |= failed
    if again:
        project.ledger.write_durably(writes.retry_trials, again, project.actor)
        project.reporter.say(f"{walk.label}: {len(again)} failed trials are trained again")


def cut(project: Project, study: Study, done: str) -> None:
    """Keep and tell that a search was ended on purpose, and how far it came."""
    if not was_cut(project, study):
        project.ledger.write_durably(writes.put_receipt, study.slot, CUT, study.key, {})
    project.reporter.say(f"{done}, then the time given by --max-time was over; {AGAIN}")


def was_cut(project: Project, study: Study) -> bool:
    """Whether ``--max-time`` ever ended the search."""
    return project.ledger.read(reads.receipt, study.slot, CUT, study.key) is not None


def _exhausted(
    project: Project, study: Study, family: str, asked: int, wanted: int, where: str
) -> None:
    """Keep and tell that a space has nothing left, so that nobody waits for the rest."""
    ledger = project.ledger
    with ledger.transaction(durable=True) as tx:
        if exhausted(project, tx, study, family) is None:
            inputs = choices_of(study.key, family)
            writes.put_receipt(ledger, tx, study.slot, EXHAUSTED, inputs, {"asked": asked})
    project.reporter.say(
        f"{study.slot}: every config of the space of {family} is on record after {asked} of "
        f"{wanted} trials; a wider space has more: {where}"
    )


def exhausted(project: Project, tx: Any, study: Study, family: str) -> int | None:
    """How many trials a study had of a family when its space had nothing left; None: it goes on."""
    inputs = choices_of(study.key, family)
    found: Mapping[str, Any] | None = reads.receipt(
        project.ledger, tx, study.slot, EXHAUSTED, inputs
    )
    return None if found is None else int(found["asked"])
