"""The driver of every search: it asks for configs, has them trained and tells how they did."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from podium import registry
from podium.errors import NotFoundError, Problem, TimeOverError, UsageError
from podium.files import full_disk_explained
from podium.hashing import digest
from podium.ledger import writes
from podium.ledger.pieces import pieces
from podium.ledger.reads import TrialRow
from podium.ledger.warm_start import KNOWN
from podium.ledger.writes import RETRIED
from podium.registry import Direction
from podium.runners._base import Runner
from podium.runners._own import QUOTED
from podium.searches._base import Search
from podium.steps.trials import execute, schedule
from podium.steps.trials.context import StudyContext
from podium.steps.trials.execute import Planned
from podium.steps.trials.objectives import feasible, recorded, scores
from podium.steps.trials.schedule import PruningRun
from podium.steps.workspace.project import Project
from podium.steps.workspace.stop import AGAIN
from podium.study import CHOICES, choices_of
from podium.trial import Ended, State

# Receipt of a space that has nothing left to try.
EXHAUSTED = "exhausted"
# Receipt of a search that --max-time ended, so that what follows takes what there is.
CUT = "cut"


@dataclass(frozen=True)
class SearchRun:
    """How a step goes through a search of one family.

    Parameters
    ----------
    family : str
    search : Search
    phase : str
        What its trials are called in the record; a search with phases adds its own.
    numbers : sequence of int
        Of the trials, in the order they are asked for.
    generation : int
        How many are asked for at once.
    seed : function of a trial's number
    label : str
        What the reporter shows beside its progress; it begins with the slot and a colon.
    save_to : str
        Folder that models are left in; empty: they are not kept.
    where : str
        A filter that a trial must meet; one that does not counts as bad as the worst so far.
    said : mapping, optional
        What is recorded beside the config of each trial.
    runner : Runner, optional
        Where they run, in place of the project's.
    leave : function of a planned trial and how it ended, optional
        What becomes of its model; default: an artefact.
    """

    family: str
    search: Search
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


def asked(project: Project, named: str = "") -> dict[str, str | int]:
    """How ``[tune]`` searches, as part of a question.

    Parameters
    ----------
    named : str
        A schedule; default: that of ``[tune]``.

    Raises
    ------
    UsageError
        There is no such search, or no such schedule.
    """
    settings = project.config.tune
    if not registry.exists("searches", settings.search):
        raise UsageError.of(
            [Problem(f"tune.search is '{settings.search}'", ", ".join(registry.names("searches")))]
        )
    return {
        "search": registry.versioned("searches", settings.search),
        "generation": settings.generation,
        "seed": settings.seed,
        **schedule.asked(project, named),
    }


def begin(context: StudyContext, run: SearchRun, stride: int = 1) -> None:
    """Tell a new search how its study was begun.

    What it chooses itself is kept in the study when it is first begun, and stays.

    Parameters
    ----------
    stride : int
        How far apart the numbers of two trials are.
    """
    family, search = run.family, run.search
    inputs = choices_of(context.study.key, family)
    search.distinct = bool(context.study.question.get("distinct", False))
    stored = context.receipt(CHOICES, inputs)
    planned = stored["planned"] if stored else len(run.numbers)
    chosen = search.begin(planned, stride, stored["chosen"] if stored else {})
    if chosen and not stored:
        kept = {"planned": planned, "family": family, "chosen": chosen}
        context.put_receipt(CHOICES, inputs, kept)
    if model := chosen.get("auto"):
        context.project.reporter.say(
            f"{context.slot}: {family} is modelled by {model}: {chosen['why']}"
        )


def run_search(context: StudyContext, run: SearchRun) -> list[TrialRow]:
    """Rows of the run's trials in their order, trained where they are not on record yet.

    The search is asked generation by generation and told in the order of numbers, so what it asks
    for does not depend on the number of jobs, nor on where it was interrupted. It ends early where
    its space has no other config, or its time is over, with a sentence.

    Raises
    ------
    TimeOverError
        The time was over before any trial was complete.
    """
    project = context.project
    if not run.numbers:
        return []
    if project.retry_failed:
        _retry(context, run)
    # Between two generations nothing runs that Ctrl-C could wait for, and the next is not begun.
    heeding = nullcontext() if run.runner else project.stop_request.heeded(project.reporter.say)
    try:
        with heeding:
            return context.scored(_run(context, run))
    except TimeOverError:
        if not any(row.state is State.COMPLETE for row in context.rows(run.phase)):
            raise
        ended = [row for row in _rows_of(context, run) if row.state.ended]
        cut(context, f"{run.label}: {len(ended)} of {len(run.numbers)} trials")
        return context.scored(ended)


def _rows_of(context: StudyContext, run: SearchRun) -> list[TrialRow]:
    """The run's trials, as far as they were begun."""
    numbers, family = set(run.numbers), run.family
    return [
        row for row in context.rows(run.phase) if row.family == family and row.number in numbers
    ]


def _run(context: StudyContext, run: SearchRun) -> list[TrialRow]:
    project, data, search = context.project, context.data, run.search
    job = replace(
        execute.job_of(data, context.split, run.family),
        save_to=run.save_to,
        pause_to=str(project.paused),
    )
    callback = execute.Progress(project, run.label, len(run.numbers), context.data.direction)
    train = partial(
        execute.run,
        context,
        job,
        callback=callback,
        runner=run.runner,
        leave=run.leave,
    )
    found: list[TrialRow] = []
    pruning = PruningRun.of(context, search, job, run.numbers[0])
    told = SearchFeedback(context, run, pruning)
    told.known()
    parts = pruning.cohorts if pruning else pieces
    for generation in parts(run.numbers, run.generation):
        configs = search.ask(generation)
        plans = [
            Planned(
                "/".join(filter(None, [run.phase, search.phase(number)])),
                number,
                config,
                fold=0,
                seed=run.seed(number),
                named=True,
                said=run.said,
            )
            for number, config in zip(generation, configs, strict=False)
        ]
        if plans:
            rows = pruning.run(plans, train, callback, told.failed) if pruning else train(plans)
            told.tell(rows)
            found += rows
        if len(configs) < len(generation):
            _exhausted(context, run, len(found))
            break
    if pruning and any(row.state is State.PRUNED for row in found):
        project.reporter.say(pruning.summary(found))
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


def best_of(rows: Sequence[TrialRow], slot: str, verb: str, way: str = "min") -> TrialRow:
    """Row with the lowest score, or the highest (``max``); the earlier one when two are equal.

    Raises
    ------
    NotFoundError
        No trial is complete; it has the reason of the first failure.
    """
    complete = [row for row in rows if row.state is State.COMPLETE and math.isfinite(row.score)]
    if complete:
        return min(complete, key=lambda row: Direction(way).sign * row.score)
    failed = next((row for row in rows if row.reason), None)
    if failed is None:
        raise nothing_complete(slot, verb)
    raise NotFoundError(
        f"podium {verb} has no complete trial of {slot}; the first of {len(rows)} failed with: "
        f"{failure(failed)}",
        fix=f"run: podium show {failed.id}",
    )


def nothing_complete(slot: str, verb: str) -> NotFoundError:
    """Error of a step that left no complete trial."""
    return NotFoundError(
        f"podium {verb} has no complete trial of {slot}", fix=f"run: podium {verb} {slot}"
    )


def failure(row: TrialRow) -> str:
    """Why a trial failed in one line; of own code, how it ended and the last line it printed."""
    how, _, printed = row.reason.partition(QUOTED)
    lines = [text.strip().rpartition("\n")[2] for text in (how, printed)]
    return ": ".join(filter(None, lines))


class SearchFeedback:
    """Tells a search of trials: the lowest is best, and what must not win is as bad as any."""

    def __init__(self, context: StudyContext, run: SearchRun, pruning: PruningRun | None) -> None:
        self.context, self.run, self.pruning = context, run, pruning
        self.sign = context.data.direction.sign
        self.worst = -math.inf
        # A trial that failed when the search was told of it stays a failure to the search: it asked
        # for what came later knowing that.
        self.failed: set[str] = set()

    def known(self) -> None:
        """What was on record when the study was begun, before any number that is asked for."""
        context, family = self.context, self.run.family
        self.failed = {row.id for row in context.rows(RETRIED)}
        mine = [row for row in context.rows(KNOWN) if row.family == family]
        if mine:
            context.project.reporter.say(
                f"{context.slot}: {len(mine)} trials of {family} were on record"
            )
            self.tell([replace(row, number=row.number - mine[-1].number - 1) for row in mine])

    def tell(self, rows: Sequence[TrialRow]) -> None:
        """Trials that have ended, in the order of their numbers."""
        context, search, where = self.context, self.run.search, self.run.where
        project, data = context.project, context.data
        rows = context.scored(rows)
        if where and data.task.predicts:
            # A filter can only ask for what is on record.
            asked = recorded(project.config, data.slot)
            scores(project, data, context.split, rows, asked)
        good = feasible(project, where, rows)
        for row in rows:
            if row.state is State.PRUNED:
                search.tell(row.number, row.config, self._of_pruned(row, rows))
                continue
            score = math.nan if row.id in self.failed else self.sign * row.score
            if math.isfinite(score):
                self.worst = max(self.worst, score)
                score = score if row.id in good else self.worst
            search.tell(row.number, row.config, score)

    def _of_pruned(self, row: TrialRow, rows: Sequence[TrialRow]) -> float:
        """What it had shown, or as bad as any where that was another metric."""
        assert self.pruning is not None
        shown = self.pruning.shown(row)
        if math.isfinite(shown):
            return shown
        scores = [self.sign * other.score for other in rows if math.isfinite(other.score)]
        worst = max([self.worst, *scores])
        return worst if math.isfinite(worst) else math.nan


def _retry(context: StudyContext, run: SearchRun) -> None:
    """Let the run's trials that had failed before this step be trained again."""
    project = context.project
    failed = {row.id for row in _rows_of(context, run) if row.state is State.FAILED}
    again = sorted(failed - project.retried)
    project.retried |= failed
    if again:
        project.ledger.write_durably(writes.retry_trials, again, project.actor)
        project.reporter.say(f"{run.label}: {len(again)} failed trials are trained again")


def cut(context: StudyContext, done: str) -> None:
    """Keep and tell that a search was ended on purpose, and how far it came."""
    if not was_cut(context):
        context.put_receipt(CUT, context.study.key, {})
    context.project.reporter.say(f"{done}, then the time given by --max-time was over; {AGAIN}")


def was_cut(context: StudyContext) -> bool:
    """Whether ``--max-time`` ever ended the search."""
    return context.receipt(CUT, context.study.key) is not None


def _exhausted(context: StudyContext, run: SearchRun, asked: int) -> None:
    """Keep and tell that a space has nothing left, so that nobody waits for the rest."""
    family = run.family
    if exhausted(context, family) is None:
        inputs = choices_of(context.study.key, family)
        context.put_receipt(EXHAUSTED, inputs, {"asked": asked})
    context.project.reporter.say(
        f"{context.slot}: every config of the space of {family} is on record after {asked} of "
        f"{len(run.numbers)} trials; a wider space has more: {context.data.space_place(family)}"
    )


def exhausted(context: StudyContext, family: str) -> int | None:
    """How many trials a study had of a family when its space had nothing left; None: it goes on."""
    found = context.receipt(EXHAUSTED, choices_of(context.study.key, family))
    return None if found is None else int(found["asked"])
