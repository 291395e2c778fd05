"""Running trials against the record: start them, train the missing ones, record each end."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from podium import artifact
from podium.ledger import reads, writes
from podium.ledger.ledger import Transaction
from podium.ledger.reads import TrialRow
from podium.ledger.writes import NewTrial
from podium.render.table import duration
from podium.runners import _live
from podium.runners._base import Runner
from podium.runners._files import store_files
from podium.space import ConfigDict
from podium.split import Fold, Split
from podium.steps.trials.context import StudyContext
from podium.steps.workspace.project import Project
from podium.tasks._base import TaskData
from podium.trial import BUDGET, Ended, Job, Key, State, Task


@dataclass(frozen=True)
class Planned:
    """A trial of a step: a config on a fold with a seed."""

    phase: str
    number: int
    config: ConfigDict
    fold: int
    seed: int
    # Whether trackers show it as a run.
    named: bool = False
    # Values recorded beside the config, and a note of the user.
    extras: Mapping[str, Any] | None = None
    notes: str = ""


# Name of a trial's model inside its artefact.
CHECKPOINT = TaskData.checkpoint


class TrialCallback(Protocol):
    """Called when a trial ends."""

    def __call__(self, score: float, state: State = State.COMPLETE, trained: bool = False) -> None:
        """Receive an end; ``trained``: in this run, not on record before."""


def no_callback(score: float, state: State = State.COMPLETE, trained: bool = False) -> None:
    """Ignore the end of a trial."""


def key_of(data: TaskData, split: Split, family: str, plan: Planned) -> Key:
    """Key of a planned trial."""
    return Key(
        family=family,
        family_version=data.version(family),
        config=plan.config,
        dataset=data.dataset.fingerprint,
        task=data.task_hash,
        split=split.hash,
        fold=plan.fold,
        seed=plan.seed,
    )


def job_of(data: TaskData, split: Split, family: str) -> Job:
    """Job of a runner for a split's folds; it holds only bars before the test."""
    return Job(
        family=family,
        metric=data.section.metric,
        view=data.tuning,
        folds={fold.number: fold for fold in split.folds},
        task=data.section.task,
    )


def run(
    context: StudyContext,
    job: Job,
    plans: Sequence[Planned],
    callback: TrialCallback = no_callback,
    runner: Runner | None = None,
    store_model: Callable[[Planned, Ended], bool | None] | None = None,
    until: int = 0,
    next_until: Callable[[str], int | None] | None = None,
) -> list[TrialRow]:
    """Train the planned trials unless they are on record; return their rows in order.

    One transaction starts the batch; each end has its own, which is flushed. If the driver stops,
    running trials are marked interrupted (after a kill they stay running) and are started again
    later with the same config. If the job saves models, each is an artefact before its trial's end
    is written.

    Parameters
    ----------
    runner : Runner, optional
        Default: the project's.
    store_model : function of a planned trial and its end, optional
        Stores a model elsewhere; returns whether it becomes an artefact too.
    until : int
        Epoch to train up to and pause at; 0: train to the end.
    next_until : function of a trial's id, optional
        Epoch to continue to from a pause; 0: the end; None: stay paused.

    Raises
    ------
    StoppedError, TimeOverError
        The user or the time stopped the step; trials that ran have ended and are on record.
    """
    project, data, split = context.project, context.data, context.split
    ledger, stop_request = project.ledger, project.stop_request
    # A runner of the caller does not check for stops, so there Ctrl-C stops at once.
    heeding = nullcontext() if runner else stop_request.heeded(project.reporter.say)
    runner = runner or project.runner
    runner.live_to = project.live_to
    keys = [key_of(data, split, job.family, plan) for plan in plans]
    new = [
        NewTrial(key, p.phase, p.number, job.metric, p.named, p.extras, p.notes, until)
        for key, p in zip(keys, plans, strict=True)
    ]
    if stop_request.asked and (waiting := _not_ended(project, new)):
        raise stop_request.error(waiting)
    environment = project.environment
    todo: dict[str, Task] = {}
    paused: dict[str, Task] = {}
    running: set[str] = set()
    queue: deque[Task] = deque()

    def resume(task: Task) -> None:
        to = None if next_until is None else next_until(task.trial_id)
        if to is not None:
            with ledger.transaction() as tx:
                writes.resume_trials(tx, [task.trial_id])
                running.add(task.trial_id)
            queue.append(replace(task, until=to))

    try:
        with heeding:
            with ledger.transaction() as tx:
                writes.put_task(tx, data.task_hash, data.spec)
                ids = writes.start_trials(tx, context.study, new, environment)
                running |= {*ids}
                indexes = {fold.number: _put_index(project, tx, data, fold) for fold in split.folds}
            known = _rows(project, ids, plans)
            planned = dict(zip(ids, plans, strict=True))
            for id_, plan, row in zip(ids, plans, known, strict=True):
                # A trial interrupted beyond ``until`` is not trained further for now.
                if row.state is State.RUNNING and not 0 < until <= row.epochs:
                    todo[id_] = Task(id_, plan.config, plan.fold, plan.seed, until)
                elif row.state in (State.COMPLETE, State.FAILED):
                    callback(row.score, row.state)
                else:
                    paused[id_] = Task(id_, plan.config, plan.fold, plan.seed)
            running &= {*todo}
            queue += todo.values()
            for task in paused.values():
                resume(task)
            for ended in store_files(job, runner.run(job, queue)):
                plan = planned[ended.task.trial_id]
                if ended.state is State.PAUSED:
                    ledger.write_durably(writes.pause_trial, ended)
                    project.log.trial_ended(data.slot, plan.phase, plan.number, job.metric, ended)
                    running.discard(ended.task.trial_id)
                    if not runner.halted():
                        resume(ended.task)
                    continue
                stored = None
                if store_model is None or store_model(plan, ended):
                    stored = _store_artifact(context, job, ended)
                index, errors = indexes[ended.task.fold], data.errors(split, ended)
                with ledger.transaction(durable=True) as tx:
                    writes.end_trial(tx, ended, metric=job.metric, index_hash=index, errors=errors)
                    if stored is not None:
                        writes.set_artifact(tx, ended.task.trial_id, *stored)
                project.log.trial_ended(data.slot, plan.phase, plan.number, job.metric, ended)
                running.discard(ended.task.trial_id)
                forget_states(job, [ended.task.trial_id])
                _live.forget(project.live_to, ended.task.trial_id)
                callback(ended.score, ended.state, trained=True)
            if stop_request.interrupted or (running and stop_request.asked):
                raise stop_request.error(len(running))
    except BaseException:
        ledger.write(writes.interrupt_trials, running)
        raise
    return _rows(project, ids, plans)


def forget_states(job: Job, trial_ids: Iterable[str]) -> None:
    """Delete the states of paused trials."""
    for id_ in trial_ids if job.pause_to else ():
        shutil.rmtree(Path(job.pause_to) / id_, ignore_errors=True)


def _store_artifact(context: StudyContext, job: Job, ended: Ended) -> tuple[str, str] | None:
    """Store a trial's model; return the artefact's hash and the file that a framework opens."""
    if not job.save_to or ended.state is not State.COMPLETE:
        return None
    model = Path(job.save_to) / ended.task.trial_id
    if not any(path.is_file() for path in model.rglob("*")):
        # Own code without output and files.
        return None
    project, data = context.project, context.data
    inner, version = data.checkpoint, data.version(job.family)
    checkpoints = {inner: model} if inner else {p.name: p for p in sorted(model.iterdir())}
    opened = artifact.opened_file(model)
    description = {
        **manifest(project, data, job.family, version, ended.task, ended.best_epoch),
        "split": context.split.hash,
        "fold": ended.task.fold,
    }
    writer = Path(job.save_to).name
    name, folder = artifact.store(project.store, checkpoints, description, writer=writer)
    shutil.rmtree(model)
    place = Path(project.config.paths.registry) / folder
    return name, (place / inner / opened).as_posix()


def manifest(
    project: Project, data: TaskData, family: str, version: int, task: Task, epochs: int
) -> dict[str, Any]:
    """Fields of an artefact's manifest that describe its training."""
    return {
        "slot": data.slot,
        "family": family,
        "family_version": version,
        "config": task.config,
        "epochs": epochs,
        "seed": task.seed,
        "task": asdict(data.section),
        "dataset_fingerprint": data.dataset.fingerprint,
        **data.facts(project.config),
    }


def _not_ended(project: Project, trials: Sequence[NewTrial]) -> int:
    """Number of trials that are not on record as ended."""
    keys = {trial.key.hash for trial in trials}
    return len(keys) - project.ledger.read(reads.count_ended, list(keys))


def _rows(project: Project, ids: Sequence[str], plans: Sequence[Planned]) -> list[TrialRow]:
    """Rows in the order of the plans; two plans of one trial have its row twice."""
    rows = project.ledger.read(reads.trials_by_id, ids)
    pairs = zip((rows[id_] for id_ in ids), plans, strict=True)
    return [replace(row, phase=plan.phase, number=plan.number) for row, plan in pairs]


def _put_index(project: Project, tx: Transaction, data: TaskData, fold: Fold) -> str | None:
    """Store the index of a fold's losses (windows, or rows of samples) once."""
    index = data.index(fold)
    return None if index is None else writes.put_array(tx, index)


def with_epochs(config: ConfigDict, epochs: int) -> ConfigDict:
    """The config with another number of epochs, if it has epochs."""
    return {**config, BUDGET: epochs} if BUDGET in config else dict(config)


class Progress:
    """Report the number of ended trials, the best score and the time left, also to ``status``.

    Time left is computed from the trials of this run, once there is one.

    Parameters
    ----------
    label : str
        Begins with the slot and a colon.
    total : int
    direction : {"min", "max"}
        Which scores are better.
    """

    def __init__(self, project: Project, label: str, total: int, direction: str = "min") -> None:
        self.project, self.label, self.total, self.direction = project, label, total, direction
        self.best = math.nan
        self.ended: Counter[State] = Counter()
        self.trained, self.began = 0, time.monotonic()
        self.project.tell(**self._facts(None))
        begins = getattr(project.reporter, "begins", None)
        if begins is not None:
            begins(label, total)

    def __call__(self, score: float, state: State = State.COMPLETE, trained: bool = False) -> None:
        """Count one more end."""
        self.ended[state] += 1
        self.trained += trained
        if not self.trained:
            self.began = time.monotonic()
        if math.isfinite(score):
            better = max if self.direction == "max" else min
            self.best = score if math.isnan(self.best) else better(self.best, score)
        left = self._left()
        self.project.tell(**self._facts(left))
        note = [f"best {self.best:.4g}"] if math.isfinite(self.best) else []
        note += [f"{n} {s}" for s in (State.FAILED, State.PRUNED) if (n := self.ended[s])]
        note += [f"{duration(left)} left"] if left else []
        self.project.reporter.progress(self.label, self.done, self.total, ", ".join(note))

    @property
    def done(self) -> int:
        """Trials that have ended."""
        return self.ended.total()

    def _left(self) -> float | None:
        """Seconds left; None before the first trial of this run."""
        if not self.trained:
            return None
        each = (time.monotonic() - self.began) / self.trained
        left = each * (self.total - self.done)
        return max(0.0, min(left, self.project.stop_request.seconds_left))

    def _facts(self, left: float | None) -> dict[str, Any]:
        return {
            "slot": self.label.partition(":")[0],
            "what": self.label.partition(": ")[2],
            "done": self.done,
            "total": self.total,
            "best": self.best if math.isfinite(self.best) else None,
            "failed": self.ended[State.FAILED],
            "pruned": self.ended[State.PRUNED],
            "left": left,
            "written": time.time(),
        }
