"""Trials trained rung by rung: who goes on is decided from the curves on record, once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from podium import registry
from podium.errors import Problem, UsageError
from podium.hashing import digest
from podium.ledger import reads, writes
from podium.ledger.reads import TrialRow
from podium.schedules._base import Schedule
from podium.searches._base import Search
from podium.steps.trials import execute
from podium.steps.trials.context import StudyContext
from podium.steps.trials.execute import Planned, TrialCallback
from podium.steps.workspace.project import Project
from podium.trial import BUDGET, Job, State

NONE = "none"
# Trains planned trials so far (``until``; 0: to the end), as far as that is not on record yet.
Train = Callable[..., list[TrialRow]]
# Receipts: who was dropped at a rung; where the cohorts of a walk end.
DROPPED, COHORTS = "dropped", "cohorts"


def asked(project: Project, name: str = "") -> dict[str, str | int]:
    """What a schedule adds to a study's question; without one the question is as it always was.

    Raises
    ------
    UsageError
        There is no such schedule.
    """
    settings = project.config.tune
    name = name or settings.schedule
    if not registry.exists("schedules", name):
        names = ", ".join(registry.names("schedules"))
        raise UsageError.of([Problem(f"the schedule is '{name}'", names)])
    if name == NONE:
        return {}
    # How many are never given up depends on it.
    return {
        "schedule": registry.versioned("schedules", name),
        "finalists": settings.finalists,
    }


def dropped_by(context: StudyContext) -> dict[str, int]:
    """Trials that a study gave up, whatever became of them elsewhere, with the epoch."""
    found = context.project.ledger.read(reads.receipts, context.slot, DROPPED)
    mine = [told for told in found if told["study"] == context.study.id]
    return {id_: told["epoch"] for told in mine for id_ in told["trials"]}


def as_dropped(row: TrialRow, epoch: int) -> TrialRow:
    """The row as the study sees it that dropped it: another one may have trained it since."""
    return replace(row, state=State.PRUNED, score=math.nan, epochs=epoch)


class PruningRun:
    """The schedule of one walk through a search.

    Attributes
    ----------
    curves : dict of trial to its scores by epoch
        Lower is better; of every trial that was decided about.
    dropped : dict of trial to epoch
    alike : bool
        Whether those scores are in the metric that trials are judged by.
    """

    def __init__(
        self, context: StudyContext, loss: str, search: Search, job: Job, first: int
    ) -> None:
        self.context, self.loss = context, loss
        self.search, self.job, self.first = search, job, first
        self.name = str(context.study.question["schedule"]).partition("@")[0]
        self.curves: dict[str, list[float]] = {}
        self.dropped: dict[str, int] = {}
        self.alike = True

    @classmethod
    def of(cls, context: StudyContext, search: Search, job: Job, first: int) -> PruningRun | None:
        """None where trials are trained in one go.

        Parameters
        ----------
        first : int
            Number of the walk's first trial.
        """
        data, space = context.data, search.space
        has_epochs = BUDGET in {**space.constants, **space.parameters}
        if "schedule" not in context.study.question or not has_epochs:
            return None
        if not data.resumable(job.family):
            context.project.reporter.say(
                f"{context.slot}: {job.family} cannot pause a training, "
                "so each is trained in one go"
            )
            return None
        return cls(context, data.metric_of_loss(job.family), search, job, first)

    def cohorts(self, numbers: Sequence[int], generation: int) -> Iterator[Sequence[int]]:
        """Trials that are decided about together.

        That is a generation of a search that learns, else the whole list: the more there are to
        choose from, the better the choice. A list that grows later gets cohorts of its own, since
        what was decided stays.
        """
        for start, stop in pairwise([0, *self._ends(len(numbers))]):
            size = generation if self.search.learns else max(1, stop - start)
            for begin in range(start, stop, size):
                yield numbers[begin : min(begin + size, stop)]

    def run(
        self,
        plans: Sequence[Planned],
        train: Train,
        callback: TrialCallback,
        failed: Collection[str],
    ) -> list[TrialRow]:
        """Rows of a cohort in its order, each trained as far as it was worth.

        Parameters
        ----------
        train : function of plans, ``until`` and, for a schedule that does not wait, ``further``
            As :func:`podium.steps.trials.execute.run`.
        callback : TrialCallback
            Called for each trial that is given up.
        failed : collection of str
            Trials that had failed when this was first decided, whatever became of them since.
        """
        schedule = self._schedule(plans)
        if not schedule.waits and schedule.rungs():
            return self._as_they_come(schedule, plans, train, callback)
        rows: dict[int, TrialRow] = {}
        going = {plan.number: plan for plan in plans}
        for rung in schedule.rungs():
            # What has ended is not asked for again; it is still compared with.
            open_ = [p for n, p in going.items() if n not in rows or not _done(rows[n])]
            rows |= {row.number: row for row in train(open_, until=rung)}
            going = {n: p for n, p in going.items() if not _lost(rows[n], failed)}
            lost = self._decide(schedule, rung, [rows[n] for n in going], plans[0].number)
            for number in [n for n in going if rows[n].id in lost]:
                del going[number]
                rows[number] = as_dropped(rows[number], rung)
                callback(math.nan, State.PRUNED, trained=True)
        rest = [p for n, p in going.items() if n not in rows or not _done(rows[n])]
        rows |= {row.number: row for row in train(rest)}
        # Whole, so that later cohorts are compared with the same whenever that happens.
        self.curves.update(self._read(list({row.id for row in rows.values()})))
        return [rows[plan.number] for plan in plans]

    def _as_they_come(
        self,
        schedule: Schedule,
        plans: Sequence[Planned],
        train: Train,
        callback: TrialCallback,
    ) -> list[TrialRow]:
        """The same where nobody waits: each trial is decided about when it is at a rung."""
        rungs, places = schedule.rungs(), dict[str, int]()
        self.dropped = dropped_by(self.context)

        def further(id_: str) -> int | None:
            if id_ in self.dropped:
                return None
            self.curves.update(self._read([id_]))
            # How many have been where does not depend on their places in the list.
            places.setdefault(id_, len(places))
            rung = len(self.curves[id_])
            if rung in rungs:
                there = {
                    place: _best(self.curves[other][:rung])
                    for other, place in places.items()
                    if len(self.curves[other]) >= rung
                }
                if places[id_] not in schedule.going_on(rung, there, []):
                    inputs = digest([self.context.study.key, self.job.family, id_, rung])
                    self._give_up([id_], rung, inputs)
                    self.dropped[id_] = rung
                    callback(math.nan, State.PRUNED, trained=True)
                    return None
            return next((later for later in rungs if later > rung), 0)

        rows = train(plans, until=rungs[0], further=further)
        self.curves.update(self._read([row.id for row in rows]))
        return [
            as_dropped(row, self.dropped[row.id]) if row.id in self.dropped else row for row in rows
        ]

    def shown(self, row: TrialRow) -> float:
        """The best a dropped trial had shown; NaN where that is in another metric than the score.

        Lower is better.
        """
        best = _best(self.curves[row.id][: self.dropped[row.id]])
        return best if self.alike else math.nan

    def summary(self, rows: Sequence[TrialRow]) -> str:
        """What the schedule saved."""
        pruned = sum(row.state is State.PRUNED for row in rows)
        epochs = sum(row.epochs for row in rows)
        whole = sum(int(row.config[BUDGET]) for row in rows)
        return (
            f"{self.context.slot}: {self.name} gave up {pruned} of "
            f"{len(rows)} trials of {self.job.family}: {epochs:,} epochs in place of {whole:,}"
        )

    def _schedule(self, plans: Sequence[Planned]) -> Schedule:
        finalists = int(self.context.study.question["finalists"])
        # Two generations leave enough for the finalists; more would leave little to save.
        least = math.ceil(finalists / 2) if self.search.learns else finalists
        budget = max((int(plan.config[BUDGET]) for plan in plans), default=0)
        made: Schedule = registry.load("schedules", self.name).SCHEDULE(budget, max(1, least))
        return made

    def _decide(
        self, schedule: Schedule, rung: int, rows: Sequence[TrialRow], cohort: int
    ) -> set[str]:
        """Trials that go no further, decided now or before, and on record as such."""
        # Two places of a study may hold one trial.
        places = {row.id: self.search.place(row.number) for row in reversed(rows)}
        self.curves.update(self._read(list(places)))
        inputs = digest([self.context.study.key, self.job.family, cohort, rung])
        known = self.context.receipt(DROPPED, inputs)
        if known is None:
            others = [
                _best(curve[: min(rung, self.dropped.get(id_, rung))])
                for id_, curve in self.curves.items()
                if id_ not in places
            ]
            scores = {place: _best(self.curves[id_][:rung]) for id_, place in places.items()}
            kept = set(schedule.going_on(rung, scores, others))
            lost = [id_ for id_, place in places.items() if place not in kept]
            self._give_up(lost, rung, inputs)
        else:
            lost = [id_ for id_ in places if id_ in known["trials"]]
        self.dropped.update(dict.fromkeys(lost, rung))
        return set(lost)

    def _give_up(self, lost: Sequence[str], rung: int, inputs: str) -> None:
        """Put a decision on record, with those it stops."""
        if not lost:
            return
        ledger, study = self.context.project.ledger, self.context.study
        told = {"study": study.id, "epoch": rung, "trials": lost}
        with ledger.transaction(durable=True) as tx:
            writes.prune_trials(ledger, tx, lost, f"pruned after epoch {rung} by {self.name}")
            writes.put_receipt(ledger, tx, study.slot, DROPPED, inputs, told)
        execute.forget_states(self.job, lost)

    def _read(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """Curves of trials, lower is better: of the metric itself where the family tells it."""
        data, ledger = self.context.data, self.context.project.ledger
        curves = data.curves()
        for part, name, way in curves:
            sign = way.sign
            found = ledger.read(reads.curves, ids, part, name)
            if any(found.values()):
                break
        own = (part, name) == curves[0][:2]
        self.alike = own or (name == "loss" and self.loss == data.section.metric)
        return {id_: [sign * value for value in curve] for id_, curve in found.items()}

    def _ends(self, count: int) -> list[int]:
        """Where cohorts end: where the walk ended when it was begun, and each time it grew."""
        inputs = digest([self.context.study.key, self.job.family, self.first])
        stored = self.context.receipt(COHORTS, inputs)
        ends: list[int] = list(stored["ends"]) if stored else []
        if not ends or ends[-1] < count:
            ends.append(count)
            self.context.put_receipt(COHORTS, inputs, {"ends": ends})
        return sorted({min(end, count) for end in ends})


def _lost(row: TrialRow, failed: Collection[str]) -> bool:
    return row.state is State.FAILED or row.id in failed


def _done(row: TrialRow) -> bool:
    return row.state in (State.COMPLETE, State.FAILED)


def _best(curve: Sequence[float]) -> float:
    finite = [value for value in curve if math.isfinite(value)]
    return min(finite, default=math.nan)
