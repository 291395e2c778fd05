"""The driver of every search: asks for configs, trains them and reports their scores."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from podium import registry
from podium.errors import NotFoundError, TimeOverError, UsageError
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

# Receipt of an exhausted space.
EXHAUSTED = "exhausted"
# Receipt of a search that --max-time ended, so that later steps accept it unfinished.
CUT = "cut"


@dataclass(frozen=True)
class SearchRun:
    """A step's search of one family.

    Parameters
    ----------
    family : str
    search : Search
    phase : str
        Phase of its trials in the record; a search with phases appends its own.
    numbers : sequence of int
        Numbers of the trials, in the order of the search.
    generation : int
        Number of configs per request.
    seed : function of a trial's number
    label : str
        Label of its progress; begins with the slot and a colon.
    save_to : str
        Folder for models; empty: they are not kept.
    where : str
        A filter that the best trial must meet; other trials count as the worst score so far.
    extras : mapping, optional
        Values recorded beside the config of each trial.
    runner : Runner, optional
        Runner to use instead of the project's.
    store_model : function of a planned trial and its end, optional
        Stores the model; default: an artefact.
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
    extras: Mapping[str, Any] | None = None
    runner: Runner | None = None
    store_model: Callable[[Planned, Ended], None] | None = None


def search_question(project: Project, schedule_name: str = "") -> dict[str, str | int]:
    """Settings of ``[tune]`` that are part of a study's question.

    Parameters
    ----------
    schedule_name : str
        Default: that of ``[tune]``.

    Raises
    ------
    UsageError
        The search or the schedule does not exist.
    """
    settings = project.config.tune
    if not registry.exists("searches", settings.search):
        names = ", ".join(registry.names("searches"))
        raise UsageError(f"tune.search is '{settings.search}'", names)
    return {
        "search": registry.versioned("searches", settings.search),
        "generation": settings.generation,
        "seed": settings.seed,
        **schedule.schedule_question(project, schedule_name),
    }


def begin(context: StudyContext, run: SearchRun, stride: int = 1) -> None:
    """Begin a search, with the choices on record if its study began before.

    Parameters
    ----------
    stride : int
        Distance between the numbers of two trials.
    """
    family, search = run.family, run.search
    inputs = choices_of(context.study.key, family)
    search.distinct = bool(context.study.question.get("distinct", False))
    stored = context.receipt(CHOICES, inputs)
    planned = stored["planned"] if stored else len(run.numbers)
    chosen = search.begin(planned, stride, stored["chosen"] if stored else {})
    if chosen and not stored:
        outputs = {"planned": planned, "family": family, "chosen": chosen}
        context.put_receipt(CHOICES, inputs, outputs)
    if model := chosen.get("auto"):
        message = f"{context.slot}: {family} is modelled by {model}: {chosen['why']}"
        context.project.reporter.say(message)


def run_search(context: StudyContext, run: SearchRun) -> list[TrialRow]:
    """Train the run's trials unless they are on record; return their rows in order.

    The search proposes one generation at a time and receives scores in the order of numbers, so
    its proposals do not depend on the number of jobs or on interruptions. It ends early, with a
    message, when its space is exhausted or its time is over.

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
    # Between two generations no trial runs, so Ctrl-C stops at once.
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
    """The run's trials on record."""
    numbers, rows = set(run.numbers), context.rows(run.phase)
    return [row for row in rows if row.family == run.family and row.number in numbers]


def _run(context: StudyContext, run: SearchRun) -> list[TrialRow]:
    project, data, search = context.project, context.data, run.search
    job = execute.job_of(data, context.split, run.family)
    job = replace(job, save_to=run.save_to, pause_to=str(project.paused))
    callback = execute.Progress(project, run.label, len(run.numbers), context.data.direction)
    train = partial(
        execute.run, context, job, callback=callback, runner=run.runner, store_model=run.store_model
    )
    trained: list[TrialRow] = []
    pruning = PruningRun.of(context, search, job, run.numbers[0])
    feedback = SearchFeedback(context, run, pruning)
    feedback.tell_known()
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
                extras=run.extras,
            )
            for number, config in zip(generation, configs, strict=False)
        ]
        if plans:
            rows = pruning.run(plans, train, callback, feedback.failed) if pruning else train(plans)
            feedback.tell(rows)
            trained += rows
        if len(configs) < len(generation):
            _exhausted(context, run, len(trained))
            break
    if pruning and any(row.state is State.PRUNED for row in trained):
        project.reporter.say(pruning.summary(trained))
    return trained


@contextmanager
def work_folder(project: Project, slot: str, verb: str) -> Iterator[str]:
    """Empty folder for models until they are artefacts; deleted at the end."""
    work = project.state / "work" / f"{verb}-{digest(slot)[:16]}"
    with full_disk_explained(project.root):
        shutil.rmtree(work, ignore_errors=True)
        try:
            yield str(work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def best_of(rows: Sequence[TrialRow], slot: str, verb: str, direction: str = "min") -> TrialRow:
    """Row with the lowest score, or the highest (``max``); of equal ones the earlier.

    Raises
    ------
    NotFoundError
        No trial is complete; it has the reason of the first failure.
    """
    complete = [row for row in rows if row.state is State.COMPLETE and math.isfinite(row.score)]
    if complete:
        return min(complete, key=lambda row: Direction(direction).sign * row.score)
    failed = next((row for row in rows if row.reason), None)
    if failed is None:
        raise nothing_complete(slot, verb)
    raise NotFoundError(
        f"podium {verb} has no complete trial of {slot}; the first of {len(rows)} failed with: "
        f"{failure(failed)}",
        fix=f"run: podium show {failed.id}",
    )


def nothing_complete(slot: str, verb: str) -> NotFoundError:
    """Error of a step without a complete trial."""
    return NotFoundError(
        f"podium {verb} has no complete trial of {slot}", fix=f"run: podium {verb} {slot}"
    )


def failure(row: TrialRow) -> str:
    """Reason of a failure in one line; of own code, its end and the last line of its output."""
    how, _, printed = row.reason.partition(QUOTED)
    lines = [text.strip().rpartition("\n")[2] for text in (how, printed)]
    return ": ".join(filter(None, lines))


class SearchFeedback:
    """Report scores to a search: lower is better; infeasible trials have the worst so far."""

    def __init__(self, context: StudyContext, run: SearchRun, pruning: PruningRun | None) -> None:
        self.context, self.run, self.pruning = context, run, pruning
        self.sign = context.data.direction.sign
        self.worst = -math.inf
        # A retried trial stays a failure to the search, since its later configs depend on that.
        self.failed: set[str] = set()

    def tell_known(self) -> None:
        """Report the trials that were on record when the study began, under negative numbers."""
        context, family = self.context, self.run.family
        self.failed = {row.id for row in context.rows(RETRIED)}
        mine = [row for row in context.rows(KNOWN) if row.family == family]
        if mine:
            message = f"{context.slot}: {len(mine)} trials of {family} were on record"
            context.project.reporter.say(message)
            self.tell([replace(row, number=row.number - mine[-1].number - 1) for row in mine])

    def tell(self, rows: Sequence[TrialRow]) -> None:
        """Report trials that have ended, in the order of their numbers."""
        context, search, where = self.context, self.run.search, self.run.where
        project, data = context.project, context.data
        rows = context.scored(rows)
        if where and data.task.predicts:
            # A filter reads only metrics on record.
            metrics = recorded(project.config, data.slot)
            scores(project, data, context.split, rows, metrics)
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
        """Best score before the pruning; the worst so far if that was in another metric."""
        assert self.pruning is not None
        best = self.pruning.best_before_pruning(row)
        if math.isfinite(best):
            return best
        scores = [self.sign * other.score for other in rows if math.isfinite(other.score)]
        worst = max([self.worst, *scores])
        return worst if math.isfinite(worst) else math.nan


def _retry(context: StudyContext, run: SearchRun) -> None:
    """Allow the run's trials that failed before this step to be trained again."""
    project = context.project
    failed = {row.id for row in _rows_of(context, run) if row.state is State.FAILED}
    again = sorted(failed - project.retried)
    project.retried |= failed
    if again:
        project.ledger.write_durably(writes.retry_trials, again, project.actor)
        project.reporter.say(f"{run.label}: {len(again)} failed trials are trained again")


def cut(context: StudyContext, done: str) -> None:
    """Record and report that --max-time ended a search."""
    if not was_cut(context):
        context.put_receipt(CUT, context.study.key, {})
    context.project.reporter.say(f"{done}, then the time given by --max-time was over; {AGAIN}")


def was_cut(context: StudyContext) -> bool:
    """Whether ``--max-time`` ever ended the search."""
    return context.receipt(CUT, context.study.key) is not None


def _exhausted(context: StudyContext, run: SearchRun, count: int) -> None:
    """Record and report that a space has no other config."""
    family = run.family
    if exhausted(context, family) is None:
        inputs = choices_of(context.study.key, family)
        context.put_receipt(EXHAUSTED, inputs, {"asked": count})
    context.project.reporter.say(
        f"{context.slot}: every config of the space of {family} is on record after {count} of "
        f"{len(run.numbers)} trials; a wider space has more: {context.data.space_place(family)}"
    )


def exhausted(context: StudyContext, family: str) -> int | None:
    """Number of a study's trials of a family whose space is exhausted; None: it is not."""
    receipt = context.receipt(EXHAUSTED, choices_of(context.study.key, family))
    return None if receipt is None else int(receipt["asked"])
