"""A runner whose workers share no file with the driver: all they had is deleted before it hears."""

import pickle
from collections import deque
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from podium.runners._base import Runner, batch_size, next_batch
from podium.runners._files import run_tasks_apart, with_state


class ApartRunner(Runner):
    shares_files = False

    def run(self, job, tasks):
        waiting = tasks if isinstance(tasks, deque) else deque(tasks)
        size = batch_size(job)
        # Whether models and states are wanted is all that a worker sees of the driver's folders.
        away = replace(job, save_to="/nowhere" * bool(job.save_to))
        away = replace(away, pause_to="/nowhere" * bool(job.pause_to))
        while waiting and not self.halted():
            batch = [with_state(job, task) for task in next_batch(waiting, size)]
            with TemporaryDirectory() as folder:
                given = pickle.loads(pickle.dumps((away, batch)))
                answers = [pickle.dumps(end) for end in run_tasks_apart(*given, Path(folder))]
            yield from map(pickle.loads, answers)

    def close(self):
        pass


RUNNER = ApartRunner
