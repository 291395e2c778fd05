"""The contract of a runner, and the work on one task that all of them share."""

from __future__ import annotations

import abc
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from podium import registry
from podium.trial import Ended, Epoch, Fitted, Job, State, Task


class Runner(abc.ABC):
    """Runs the tasks of a job somewhere and yields how each ended, in whatever order they do.

    A runner never opens the record: what it yields is all the driver learns.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    @abc.abstractmethod
    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Run all tasks; a task that fails or loses its worker is an Ended like any other."""

    @abc.abstractmethod
    def close(self) -> None:
        """End everything the runner started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def work(job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
    """Fit the tasks as one list, score each model on its fold's validation windows.

    The family is given validation targets to choose its epoch by, but it predicts from windows
    whose targets are blanked out.
    """
    family = registry.load("families", job.family).FAMILY
    metric = registry.load("metrics", job.metric)
    for fold_number in sorted({task.fold for task in tasks}):
        batch = [task for task in tasks if task.fold == fold_number]
        train, validation = job.folds[fold_number].windows(job.view)
        judged = validation if len(validation) else None
        epochs: dict[int, list[Epoch]] = {n: [] for n in range(len(batch))}
        started = time.perf_counter()
        done: set[int] = set()
        try:
            for event in family.fit_many(
                [t.config for t in batch], train, judged, seeds=[t.seed for t in batch]
            ):
                if isinstance(event, Epoch):
                    epochs[event.trial].append(event)
                    continue
                task = batch[event.trial]
                seconds = time.perf_counter() - started
                curve = tuple(epochs[event.trial])
                done.add(event.trial)
                yield _ended(job, task, event, curve, seconds, metric.losses)
                started = time.perf_counter()
        except Exception:  # noqa: BLE001 - whatever a family raises fails its trials, not the search
            reason = traceback.format_exc(limit=-3)
            for n, task in enumerate(batch):
                if n not in done:
                    yield Ended(task, State.FAILED, epochs=tuple(epochs[n]), reason=reason)


def _ended(
    job: Job, task: Task, event: Fitted, curve: tuple[Epoch, ...], seconds: float, losses: object
) -> Ended:
    if event.model is None:
        return Ended(task, State.FAILED, epochs=curve, seconds=seconds, reason=event.reason)
    if job.save_to:
        folder = Path(job.save_to) / task.trial_id
        folder.mkdir(parents=True, exist_ok=True)
        event.model.save(folder)
    _, validation = job.folds[task.fold].windows(job.view)
    if not len(validation):
        return Ended(
            task, State.COMPLETE, epochs=curve, seconds=seconds, best_epoch=event.model.epochs
        )
    prediction = event.model.predict(validation.blind())
    loss = losses(validation.truth(), prediction.mean)  # type: ignore[operator]
    if not np.isfinite(loss).all():
        reason = "a forecast on the validation part is not finite"
        return Ended(task, State.FAILED, epochs=curve, seconds=seconds, reason=reason)
    return Ended(
        task,
        State.COMPLETE,
        score=float(np.mean(loss)),
        losses=loss.astype(np.float32),
        prediction=prediction,
        epochs=curve,
        seconds=seconds,
        best_epoch=event.model.epochs,
    )
