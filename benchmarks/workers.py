"""Two workers compared with one on trials that use one processor each, in one run.

Run with ``make bench``, or directly. Trials are LSTMs on the demo's bars. The workers start before
the clock, so only training and the distribution of tasks are measured. On a busy machine the ratio
says little, so the load before the run is printed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from podium.runners.local import LocalRunner
from podium.steps.archive import init
from podium.steps.data.sequences import task_data
from podium.steps.search.tune import validation_split
from podium.steps.trials import execute
from podium.steps.workspace.session import open_project
from podium.trial import Job, State, Task

TRIALS, EPOCHS, ROUNDS = 8, 6, 3
CONFIG = {
    "lstm_units": 32,
    "learning_rate": 1e-3,
    "batch_size": 64,
    "dropout": 0.1,
    "weight_decay": 1e-3,
    "layers": 1,
    "max_epochs": EPOCHS,
}
TARGET = 1.9


def main() -> None:
    load = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        root = init.init(Path(folder) / "demo", demo=True)
        with open_project(root) as project:
            data = task_data(project.config, project.default_slot(None))
            job = execute.job_of(data, validation_split(project, data), "lstm")
    print(
        f"{TRIALS} LSTMs of {EPOCHS} epochs on the demo's bars; load before the run {load:.1f} on "
        f"{os.cpu_count()} cores"
    )
    best = {1: float("inf"), 2: float("inf")}
    with LocalRunner(1) as one, LocalRunner(2) as two:
        for running in (one, two):
            seconds(running, job, running.jobs)
        # In turns, so that other load affects both.
        for _ in range(ROUNDS):
            for running in (one, two):
                best[running.jobs] = min(best[running.jobs], seconds(running, job, TRIALS))
    for jobs, took in best.items():
        print(
            f"{jobs} worker{'s' * (jobs > 1)}: {took:6.2f} s, {TRIALS / took:5.2f} trials a second"
        )
    ratio = best[1] / best[2]
    print(f"two workers are {ratio:.2f} times one; target at least {TARGET}")


def seconds(running: LocalRunner, job: Job, count: int) -> float:
    """Seconds of ``count`` trials."""
    tasks = [Task(f"t-{number}", CONFIG, 0, seed=number) for number in range(count)]
    started = time.perf_counter()
    ended = list(running.run(job, tasks))
    took = time.perf_counter() - started
    failed = [end.reason for end in ended if end.state is not State.COMPLETE]
    assert not failed, failed[0]
    return took


if __name__ == "__main__":
    main()
