"""In this process, one task after another; for tests, notebooks and tasks of milliseconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from podium.runners._base import Runner, work
from podium.trial import Ended, Job, Task


class InlineRunner(Runner):
    """Runs tasks where the driver runs."""

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Work through the list; a deque is taken from the left, and may grow meanwhile."""
        waiting = tasks if isinstance(tasks, deque) else None
        while not self.halted() and (waiting or waiting is None):
            for ended in work(job, tasks if waiting is None else [waiting.popleft()]):
                yield ended
                if self.halted():
                    return
            if waiting is None:
                return

    def close(self) -> None:
        """Nothing was started."""


RUNNER = InlineRunner
