"""Trains in this process, one batch after another; for tests, notebooks and very short tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from podium.runners._base import Runner, batch_size, next_batch, run_tasks
from podium.trial import Ended, Job, Task


class InlineRunner(Runner):
    """Run tasks in the driver's process."""

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Run the tasks in their order; a deque may grow meanwhile."""
        waiting = tasks if isinstance(tasks, deque) else deque(tasks)
        size = batch_size(job)
        while waiting and not self.halted():
            yield from run_tasks(job, next_batch(waiting, size), self.live_to)

    def close(self) -> None:
        """Do nothing: there are no processes to end."""


RUNNER = InlineRunner
