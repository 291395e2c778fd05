"""The contract of a runner, and the work on one task that all of them share."""

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

from podium import registry
from podium.files import NO_ROOM
from podium.own import Code
from podium.runners import _own
from podium.runners._limits import TrialLimits
from podium.runners._paused import Pause
from podium.trial import Ended, Epoch, Fitted, Job, State, Stopped, Task


class Runner(abc.ABC):
    """Runs the tasks of a job somewhere and yields how each ended, in whatever order they do.

    A runner never opens the record: what it yields is all the driver learns.

    Attributes
    ----------
    limits : Limits
        Of one trial; only of a runner that says ``enforces``. A batch has the seconds of one trial
        up to the next of its ends, and the memory of one.
    shares_files : bool
        Whether workers see the driver's files: then models and states lie where the job says, and
        an Ended has their paths. Else it has their bytes; :mod:`podium.runners._files` has both
        halves.
    devices : tuple of str
        What families that can are trained on, one worker each; only of a runner that ``enforces``.
        Empty: the CPU.
    halted : callable
        Whether to start nothing new. Asked before each task, and a few times a second where tasks
        run elsewhere; tasks that were not started are not yielded.
    """

    # Whether it has workers that it can end and place.
    enforces = False
    shares_files = True
    limits = TrialLimits()
    devices: tuple[str, ...] = ()

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.halted: Callable[[], bool] = lambda: False

    def busy(self) -> list[str]:
        """Ids of the trials that are being worked on, where the runner knows."""
        return []

    @abc.abstractmethod
    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Run all tasks; a task that fails or loses its worker is an Ended like any other.

        Tasks are handed to the family in batches, see :func:`take`; each task is yielded as it
        ends. A deque is taken from the left and may grow between what is yielded.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End everything the runner started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()


def family_of(job: Job, device: str = "") -> Any:
    """A new object of the job's family, on its device where no other is given."""
    return registry.family(job.family, job.task, device=device or job.device)


def size_of(job: Job, device: str = "") -> int:
    """How many tasks are one batch of a job: as many as its family trains together.

    Own code trains one config at a time.
    """
    if isinstance(job.view, Code):
        return 1
    return max(1, int(getattr(family_of(job, device), "together", 1)))


def take(waiting: deque[Task], size: int) -> list[Task]:
    """The next batch: the first task, and up to ``size - 1`` more of its fold in their order.

    Parameters
    ----------
    waiting : deque of Task, not empty
        Loses the tasks of the batch; the others keep their order.
    size : int

    Examples
    --------
    >>> waiting = deque(Task(id_, {}, fold, 0) for id_, fold in zip("abcd", (0, 1, 0, 0)))
    >>> [task.trial_id for task in take(waiting, 2)], [task.trial_id for task in waiting]
    (['a', 'c'], ['b', 'd'])
    """
    batch: list[Task] = [waiting.popleft()]
    others: list[Task] = []
    while waiting and len(batch) < size:
        task = waiting.popleft()
        (batch if task.fold == batch[0].fold else others).append(task)
    waiting.extendleft(reversed(others))
    return batch


def work(job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
    """Fit the tasks as one list, score each model on its fold's validation windows.

    The family is given validation targets to choose its epoch by, but it predicts from windows
    whose targets are blanked out. A task that is to stop after an epoch does, where its family is
    resumable: its state is in a file by then, and a task of the same trial goes on from it.
    """
    if isinstance(job.view, Code):
        yield from (_own.train(job.view, job, task) for task in tasks)
        return
    family = family_of(job)
    resumable = bool(getattr(family, "resumable", False))
    pauses = {task.trial_id: Pause.of(job, task) if resumable else None for task in tasks}
    for task in tasks:
        pause = pauses[task.trial_id]
        if pause is not None and pause.reached is not None:
            yield pause.ended(task, pause.reached)
    tasks = [t for t in tasks if (p := pauses[t.trial_id]) is None or p.reached is None]
    for fold_number in sorted({task.fold for task in tasks}):
        batch = [task for task in tasks if task.fold == fold_number]
        # Families that know nothing of pausing are not told of it.
        keeps = [pauses[task.trial_id] for task in batch]
        more: dict[str, Any] = {"keeps": keeps} if any(keeps) else {}
        train, validation = parts(job, fold_number)
        judged = validation if len(validation) else None
        epochs: dict[int, list[Epoch]] = {n: [] for n in range(len(batch))}
        started = time.perf_counter()
        done: set[int] = set()
        try:
            for event in family.fit_many(
                [t.config for t in batch], train, judged, seeds=[t.seed for t in batch], **more
            ):
                if isinstance(event, Epoch):
                    epochs[event.trial].append(event)
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
    found: tuple[Any, Any] = _task_of(job).parts(job.view, job.folds[fold])
    return found


def _task_of(job: Job) -> Any:
    return registry.load("tasks", job.task).TASK


def ended(job: Job, task: Task, event: Fitted, curve: tuple[Epoch, ...], seconds: float) -> Ended:
    """How the trial ended: its model saved if asked for, its forecasts judged."""
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
    except Exception as error:
        if _no_room(error):
            raise
        reason, trace = traceback.format_exc(limit=-3), traceback.format_exc()
        return replace(failed, reason=reason, trace=trace)
    if not np.isfinite(losses).all():
        return replace(failed, reason="a forecast on the validation part is not finite")
    return replace(complete, score=score, losses=losses.astype(np.float32), prediction=prediction)


def _no_room(error: Exception) -> bool:
    """Whether the disk is to blame: no model is at fault then, and the search must stop."""
    return isinstance(error, OSError) and error.errno in NO_ROOM
