"""The contract of a runner, and the training of one batch that all runners share."""

from __future__ import annotations

import abc
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from podium import intervals, registry
from podium.files import NO_ROOM
from podium.own import Code
from podium.prediction import Prediction
from podium.runners._limits import TrialLimits
from podium.runners._live import LiveCurves
from podium.runners._own import OwnTraining
from podium.runners._paused import Pause
from podium.trial import Ended, Epoch, Fitted, Job, State, Stopped, Task


class Runner(abc.ABC):
    """Run the tasks of a job and yield the end of each, in any order.

    A runner never opens the record; the driver learns only what a runner yields.

    Attributes
    ----------
    limits : TrialLimits
        Limits of one trial, for a runner that ``enforces`` them. A batch has the seconds of one
        trial up to its next end, and the memory of one.
    shares_files : bool
        Whether workers see the driver's files. If so, models and states are at the job's paths, and
        an Ended has their paths; otherwise it has their bytes (:mod:`podium.runners._files`).
    devices : tuple of str
        Devices of families that support them, one worker each, for a runner that ``enforces``.
        Empty: the CPU.
    halted : callable
        Whether to start nothing new. Called before each task, and a few times a second while tasks
        run elsewhere. Tasks that were not started are not yielded.
    """

    # Whether it can end its workers and place them on devices.
    enforces = False
    shares_files = True
    limits = TrialLimits()
    devices: tuple[str, ...] = ()

    # Folder of the curves of running trials; empty: they are not written.
    live_to: str = ""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.halted: Callable[[], bool] = lambda: False

    def busy(self) -> list[str]:
        """Ids of the running trials, if the runner knows them."""
        return []

    @abc.abstractmethod
    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Run all tasks; a task that fails or loses its worker is yielded as an Ended too.

        The family receives tasks in batches (:func:`next_batch`); each task is yielded as it ends.
        A deque is consumed from the left and may grow between two ends.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End all processes that the runner started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()


def family_of(job: Job, device: str = "") -> Any:
    """Return a new object of the job's family, on ``device`` or else the job's device."""
    path = bool(getattr(job.view, "path", False))
    return registry.family(job.family, job.task, device=device or job.device, path=path)


def batch_size(job: Job, device: str = "") -> int:
    """Return how many configs the job's family trains together; 1 for own code."""
    if isinstance(job.view, Code):
        return 1
    return max(1, int(getattr(family_of(job, device), "together", 1)))


def next_batch(waiting: deque[Task], size: int) -> list[Task]:
    """Remove and return the first task and up to ``size - 1`` more of its fold, in their order.

    Parameters
    ----------
    waiting : deque of Task, not empty
        The remaining tasks keep their order.
    size : int

    Examples
    --------
    >>> waiting = deque(Task(id_, {}, fold, 0) for id_, fold in zip("abcd", (0, 1, 0, 0)))
    >>> [task.trial_id for task in next_batch(waiting, 2)], [task.trial_id for task in waiting]
    (['a', 'c'], ['b', 'd'])
    """
    batch: list[Task] = [waiting.popleft()]
    others: list[Task] = []
    while waiting and len(batch) < size:
        task = waiting.popleft()
        (batch if task.fold == batch[0].fold else others).append(task)
    waiting.extendleft(reversed(others))
    return batch


def run_tasks(job: Job, tasks: Sequence[Task], live_to: str = "") -> Iterator[Ended]:
    """Fit the tasks as one list and score each model on its fold's validation windows.

    The family receives validation targets to choose its epoch, but it predicts from windows with
    blanked targets. With a resumable family, a task stops after its epoch ``until`` and leaves its
    state in a file; a later task of the same trial continues from it. Epochs are written into
    ``live_to`` as they end.
    """
    if isinstance(job.view, Code):
        yield from (OwnTraining(job.view, job, task).run() for task in tasks)
        return
    family, live = family_of(job), LiveCurves(live_to)
    resumable = bool(getattr(family, "resumable", False))
    pauses = {task.trial_id: Pause.of(job, task) if resumable else None for task in tasks}
    for task in tasks:
        pause = pauses[task.trial_id]
        if pause is not None and pause.reached is not None:
            yield pause.ended(task, pause.reached)
    tasks = [t for t in tasks if (p := pauses[t.trial_id]) is None or p.reached is None]
    for fold_number in sorted({task.fold for task in tasks}):
        batch = [task for task in tasks if task.fold == fold_number]
        # A family that is not resumable has no such parameter.
        keeps = [pauses[task.trial_id] for task in batch]
        more: dict[str, Any] = {"keeps": keeps} if any(keeps) else {}
        train, validation = parts(job, fold_number)
        judged = validation if len(validation) else None
        epochs: dict[int, list[Epoch]] = {n: [] for n in range(len(batch))}
        started = time.perf_counter()
        done: set[int] = set()
        ids = [task.trial_id for task in batch]
        if live_to:
            family.live = lambda n, *epoch, ids=ids: live.add(ids[n], *epoch)
        try:
            for event in family.fit_many(
                [t.config for t in batch], train, judged, seeds=[t.seed for t in batch], **more
            ):
                if isinstance(event, Epoch):
                    epochs[event.trial].append(event)
                    live.add(ids[event.trial], event.epoch, event.scores)
                    continue
                task = batch[event.trial]
                seconds = time.perf_counter() - started
                curve = tuple(epochs[event.trial])
                if isinstance(event, Stopped):
                    pause = pauses[task.trial_id]
                    assert pause is not None
                    pause.write(curve)
                    end = pause.ended(task, curve, seconds)
                else:
                    end = ended(job, task, event, curve, seconds)
                done.add(event.trial)
                yield end
                started = time.perf_counter()
            reason, trace = f"family {job.family} did not finish it", ""
        except Exception as error:
            if _no_room(error):
                raise
            reason, trace = traceback.format_exc(limit=-3), traceback.format_exc()
        for n, task in enumerate(batch):
            if n not in done:
                curve = tuple(epochs[n])
                yield Ended(task, State.FAILED, epochs=curve, reason=reason, trace=trace)


def parts(job: Job, fold: int) -> tuple[Any, Any]:
    """Training and validation part of a fold."""
    both: tuple[Any, Any] = _task_of(job).parts(job.view, job.folds[fold])
    return both


def _task_of(job: Job) -> Any:
    return registry.load("tasks", job.task).TASK


def ended(job: Job, task: Task, event: Fitted, curve: tuple[Epoch, ...], seconds: float) -> Ended:
    """Save the model if the job has a folder for it, score its forecasts, return the end."""
    failed = Ended(
        task, State.FAILED, epochs=curve, seconds=seconds, reason=event.reason, trace=event.trace
    )
    if event.model is None:
        return failed
    model = ""
    try:
        if job.save_to:
            folder = Path(job.save_to) / task.trial_id
            folder.mkdir(parents=True, exist_ok=True)
            event.model.save(folder)
            model = str(folder)
        complete = replace(failed, state=State.COMPLETE, best_epoch=event.model.epochs, model=model)
        _, validation = parts(job, task.fold)
        if not len(validation):
            return complete
        prediction = event.model.predict(validation.blind())
        score, losses = _task_of(job).score(job.metric, validation.truth(), prediction)
        if model and isinstance(prediction, Prediction) and prediction.form != "positions":
            intervals.write(folder, prediction, validation)
    except Exception as error:
        if _no_room(error):
            raise
        reason, trace = traceback.format_exc(limit=-3), traceback.format_exc()
        return replace(failed, reason=reason, trace=trace)
    if not np.isfinite(losses).all():
        return replace(failed, reason="a forecast on the validation part is not finite")
    return replace(complete, score=score, losses=losses.astype(np.float32), prediction=prediction)


def _no_room(error: Exception) -> bool:
    """Whether the disk is full; then the search stops, since the trial did not fail."""
    return isinstance(error, OSError) and error.errno in NO_ROOM
