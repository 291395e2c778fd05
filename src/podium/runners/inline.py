"""In this process, one task after another; for tests, notebooks and tasks of milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from podium.runners._base import Runner, work
from podium.trial import Ended, Job, Task


class InlineRunner(Runner):
    """Runs tasks where the driver runs."""

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Work through the list."""
        if self.halted():
            return
        for ended in work(job, tasks):
            yield ended
            if self.halted():
                return

    def close(self) -> None:
        """Nothing was started."""


RUNNER = InlineRunner
