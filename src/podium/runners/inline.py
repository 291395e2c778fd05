"""In this process, one batch after another; for tests, notebooks and tasks of milliseconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from podium.runners._base import Runner, size_of, take, work
from podium.trial import Ended, Job, Task


class InlineRunner(Runner):
    """Runs tasks where the driver runs."""

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Work through the list; a deque is taken from the left, and may grow meanwhile."""
        waiting = tasks if isinstance(tasks, deque) else deque(tasks)
        size = size_of(job)
        while waiting and not self.halted():
            yield from work(job, take(waiting, size))

    def close(self) -> None:
        """Nothing was started."""


RUNNER = InlineRunner
