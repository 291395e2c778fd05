"""Trials trained rung by rung; pruning is decided from the curves on record, once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from podium import registry
from podium.errors import UsageError
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
# Trains planned trials up to an epoch (``until``; 0: to the end) unless that is on record.
Train = Callable[..., list[TrialRow]]
# Receipts: trials pruned at a rung; ends of the cohorts of a search.
DROPPED, COHORTS = "dropped", "cohorts"


def schedule_question(project: Project, name: str = "") -> dict[str, str | int]:
    """Entries of a schedule in a study's question; empty without one.

    Raises
    ------
    UsageError
        The schedule does not exist.
    """
    settings = project.config.tune
    name = name or settings.schedule
    if not registry.exists("schedules", name):
        names = ", ".join(registry.names("schedules"))
        raise UsageError(f"the schedule is '{name}'", names)
    if name == NONE:
        return {}
    # The number of trials that are never pruned depends on the finalists.
    return {"schedule": registry.versioned("schedules", name), "finalists": settings.finalists}


def pruned_by(context: StudyContext) -> dict[str, int]:
    """Trials that a study pruned with the epoch, even if another study trained them further."""
    receipts = context.project.ledger.read(reads.receipts, context.slot, DROPPED)
    mine = [receipt for receipt in receipts if receipt["study"] == context.study.id]
    return {id_: receipt["epoch"] for receipt in mine for id_ in receipt["trials"]}


def as_pruned(row: TrialRow, epoch: int) -> TrialRow:
    """The row as the pruning study sees it, even if another study trained it further."""
    return replace(row, state=State.PRUNED, score=math.nan, epochs=epoch)


class PruningRun:
    """The schedule of one run of a search.

    Attributes
    ----------
    curves : dict of trial to its scores by epoch
        Curves of all judged trials; lower is better.
    pruned : dict of trial to epoch
    same_metric : bool
        Whether the curves are in the metric of the score.
    """

    def __init__(self, context: StudyContext, search: Search, job: Job, first: int) -> None:
        self.context, self.loss = context, context.data.metric_of_loss(job.family)
        self.search, self.job, self.first = search, job, first
        self.name = str(context.study.question["schedule"]).partition("@")[0]
        self.curves: dict[str, list[float]] = {}
        self.pruned: dict[str, int] = {}
        self.same_metric = True

    @classmethod
    def of(cls, context: StudyContext, search: Search, job: Job, first: int) -> PruningRun | None:
        """Return None if trials are trained without pauses.

        Parameters
        ----------
        first : int
            Number of the first trial.
        """
        data, space = context.data, search.space
        has_epochs = BUDGET in {**space.constants, **space.parameters}
        if "schedule" not in context.study.question or not has_epochs:
            return None
        if not data.resumable(job.family):
            message = f"{job.family} cannot pause a training, so no trial is pruned"
            context.project.reporter.say(f"{context.slot}: {message}")
            return None
        return cls(context, search, job, first)

    def cohorts(self, numbers: Sequence[int], generation: int) -> Iterator[Sequence[int]]:
        """Yield the trials that are compared with each other.

        A cohort is a generation of a search that learns, else the whole list, since a choice among
        more trials is better. Trials added later form new cohorts, since decisions stay.
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
        """Train a cohort rung by rung; return its rows in order.

        Parameters
        ----------
        train : function of plans, ``until`` and, for an asynchronous schedule, ``next_until``
            As :func:`podium.steps.trials.execute.run`.
        callback : TrialCallback
            Called for each pruned trial.
        failed : collection of str
            Trials that had failed at the first decision, even if they were retried since.
        """
        schedule = self._schedule(plans)
        if not schedule.synchronous and schedule.rungs():
            return self._run_asynchronous(schedule, plans, train, callback)
        rows: dict[int, TrialRow] = {}
        alive = {plan.number: plan for plan in plans}
        for rung in schedule.rungs():
            # Trials that have ended are not trained again but still compared.
            open_ = [p for n, p in alive.items() if n not in rows or not _done(rows[n])]
            rows |= {row.number: row for row in train(open_, until=rung)}
            alive = {n: p for n, p in alive.items() if not _has_failed(rows[n], failed)}
            pruned = self._decide(schedule, rung, [rows[n] for n in alive], plans[0].number)
            for number in [n for n in alive if rows[n].id in pruned]:
                del alive[number]
                rows[number] = as_pruned(rows[number], rung)
                callback(math.nan, State.PRUNED, trained=True)
        rest = [p for n, p in alive.items() if n not in rows or not _done(rows[n])]
        rows |= {row.number: row for row in train(rest)}
        # Complete curves, so that later cohorts are always compared with the same ones.
        self.curves.update(self._read(list({row.id for row in rows.values()})))
        return [rows[plan.number] for plan in plans]

    def _run_asynchronous(
        self, schedule: Schedule, plans: Sequence[Planned], train: Train, callback: TrialCallback
    ) -> list[TrialRow]:
        """Train a cohort and decide about each trial when it is at a rung."""
        rungs, places = schedule.rungs(), dict[str, int]()
        self.pruned = pruned_by(self.context)

        def next_until(id_: str) -> int | None:
            if id_ in self.pruned:
                return None
            self.curves.update(self._read([id_]))
            # Places in the order of arrival.
            places.setdefault(id_, len(places))
            rung = len(self.curves[id_])
            if rung in rungs:
                arrived = {
                    place: _best(self.curves[other][:rung])
                    for other, place in places.items()
                    if len(self.curves[other]) >= rung
                }
                if places[id_] not in schedule.survivors(rung, arrived, []):
                    inputs = digest([self.context.study.key, self.job.family, id_, rung])
                    self._prune([id_], rung, inputs)
                    self.pruned[id_] = rung
                    callback(math.nan, State.PRUNED, trained=True)
                    return None
            return next((later for later in rungs if later > rung), 0)

        rows = train(plans, until=rungs[0], next_until=next_until)
        self.curves.update(self._read([row.id for row in rows]))
        return [as_pruned(r, self.pruned[r.id]) if r.id in self.pruned else r for r in rows]

    def best_before_pruning(self, row: TrialRow) -> float:
        """Best score of a pruned trial, lower is better; NaN if curves are in another metric."""
        best = _best(self.curves[row.id][: self.pruned[row.id]])
        return best if self.same_metric else math.nan

    def summary(self, rows: Sequence[TrialRow]) -> str:
        """Sentence with the epochs that the schedule saved."""
        pruned = sum(row.state is State.PRUNED for row in rows)
        epochs = sum(row.epochs for row in rows)
        whole = sum(int(row.config[BUDGET]) for row in rows)
        return (
            f"{self.context.slot}: {self.name} pruned {pruned} of "
            f"{len(rows)} trials of {self.job.family}: {epochs:,} epochs instead of {whole:,}"
        )

    def _schedule(self, plans: Sequence[Planned]) -> Schedule:
        finalists = int(self.context.study.question["finalists"])
        # Two generations leave enough trials for the finals; more survivors would save little.
        minimum = math.ceil(finalists / 2) if self.search.learns else finalists
        budget = max((int(plan.config[BUDGET]) for plan in plans), default=0)
        schedule: Schedule = registry.load("schedules", self.name).SCHEDULE(budget, max(1, minimum))
        return schedule

    def _decide(
        self, schedule: Schedule, rung: int, rows: Sequence[TrialRow], cohort: int
    ) -> set[str]:
        """Trials pruned at a rung, decided now or before, and recorded."""
        # Two numbers of a study may have one trial.
        places = {row.id: self.search.place(row.number) for row in reversed(rows)}
        self.curves.update(self._read(list(places)))
        inputs = digest([self.context.study.key, self.job.family, cohort, rung])
        known = self.context.receipt(DROPPED, inputs)
        if known is None:
            others = [
                _best(curve[: min(rung, self.pruned.get(id_, rung))])
                for id_, curve in self.curves.items()
                if id_ not in places
            ]
            scores = {place: _best(self.curves[id_][:rung]) for id_, place in places.items()}
            survivors = set(schedule.survivors(rung, scores, others))
            pruned = [id_ for id_, place in places.items() if place not in survivors]
            self._prune(pruned, rung, inputs)
        else:
            pruned = [id_ for id_ in places if id_ in known["trials"]]
        self.pruned.update(dict.fromkeys(pruned, rung))
        return set(pruned)

    def _prune(self, ids: Sequence[str], rung: int, inputs: str) -> None:
        """Record a decision and the trials that it prunes."""
        if not ids:
            return
        ledger, study = self.context.project.ledger, self.context.study
        outputs = {"study": study.id, "epoch": rung, "trials": ids}
        with ledger.transaction(durable=True) as tx:
            writes.prune_trials(tx, ids, f"pruned after epoch {rung} by {self.name}")
            writes.put_receipt(tx, study.slot, DROPPED, inputs, outputs)
        execute.forget_states(self.job, ids)

    def _read(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """Curves of trials, lower is better, in the metric itself if the family reports it."""
        data, ledger = self.context.data, self.context.project.ledger
        curves = data.curves()
        for part, name, way in curves:
            sign = way.sign
            values = ledger.read(reads.curves, ids, part, name)
            if any(values.values()):
                break
        own = (part, name) == curves[0][:2]
        self.same_metric = own or (name == "loss" and self.loss == data.section.metric)
        return {id_: [sign * value for value in curve] for id_, curve in values.items()}

    def _ends(self, count: int) -> list[int]:
        """Ends of the cohorts: the number of trials at the start, and after each increase."""
        inputs = digest([self.context.study.key, self.job.family, self.first])
        stored = self.context.receipt(COHORTS, inputs)
        ends: list[int] = list(stored["ends"]) if stored else []
        if not ends or ends[-1] < count:
            ends.append(count)
            self.context.put_receipt(COHORTS, inputs, {"ends": ends})
        return sorted({min(end, count) for end in ends})


def _has_failed(row: TrialRow, failed: Collection[str]) -> bool:
    return row.state is State.FAILED or row.id in failed


def _done(row: TrialRow) -> bool:
    return row.state in (State.COMPLETE, State.FAILED)


def _best(curve: Sequence[float]) -> float:
    finite = [value for value in curve if math.isfinite(value)]
    return min(finite, default=math.nan)
