"""A runner's test calls ``check_runner(runner)`` with the class.

>>> from podium.runners.inline import InlineRunner
>>> check_runner(InlineRunner)
"""

from __future__ import annotations

import math
import os
import signal
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from podium.runners._base import Runner
from podium.runners._files import store_files
from podium.runners._limits import TrialLimits
from podium.split import Fold, Indices
from podium.testing import fakes
from podium.testing._base import SEED, require
from podium.testing.series import bars, view
from podium.trial import Ended, Job, State, Task
from podium.view import View

PATIENCE = 20.0
# More memory than a worker needs, less than a swelling one takes.
LARGE = 3 * 2**27
# Failures of a family, and a part of the reason in its trial.
FAILURES = {
    fakes.RAISES: fakes.REASON,
    fakes.DIVERGES: fakes.REASON,
    fakes.PREDICT_RAISES: fakes.REASON,
    fakes.NOT_FINITE: "",
    fakes.FORGETS: "",
}


def check_runner(runner: type[Runner]) -> None:
    """Every task ends exactly once, also if the family or its worker fails."""
    check_every_task_ends_once(runner)
    check_a_failure_costs_one_trial(runner)
    check_a_worker_lost_between_runs_costs_at_most_one_trial(runner)
    check_an_abandoned_run_is_forgotten(runner)
    check_a_halted_run_starts_nothing_new(runner)
    check_what_goes_beyond_its_limits_is_ended(runner)
    check_files_of_trials_come_back(runner)


def check_every_task_ends_once(runner: type[Runner]) -> None:
    """Every task of several folds and of two successive jobs ends once; no tasks end at once."""
    with runner(2) as running:
        require(not _run(running, small_job("naive"), []), "a trial ended without a task")
        for horizon in (1, 2):
            job = small_job("naive", horizon)
            tasks = [
                Task(f"t-{n}", {"method": method, "debias": False}, n % 2, seed=n)
                for n, method in enumerate(("last", "zero", "history", "ewma", "last_21"))
            ]
            ended = _run(running, job, tasks)
            for task in tasks:
                end = ended[task.trial_id]
                require(end.state is State.COMPLETE, f"{task.config} failed: {end.reason}")
                require(math.isfinite(end.score), "a complete trial has no score")
                expected = len(job.folds[task.fold].windows(cast(View, job.view))[1])
                require(len(end.losses) == expected, "there is not one loss per validation window")


def check_a_failure_costs_one_trial(runner: type[Runner]) -> None:
    """A failing family or a killed worker fails one trial, which has the reason."""
    fails = FAILURES | ({fakes.DIES: "SIGKILL"} if _has_workers(runner) else {})
    does = [fakes.FITS, *(what for failing in fails for what in (failing, fakes.FITS))] * 2
    with fakes.installed() as family, runner(2) as running:
        ended = _run(running, small_job(family), _tasks(does))
    for number, what in enumerate(does):
        end = ended[f"t-{number}"]
        wanted = State.FAILED if what in fails else State.COMPLETE
        require(end.state is wanted, f"a task that {what} is {end.state}: {end.reason}")
        require(bool(end.reason) == (what in fails), f"{what}: the reason is {end.reason!r}")
        known = fails.get(what, "") in end.reason
        require(known, f"{what}: the reason is lost: {end.reason!r}")


def check_a_worker_lost_between_runs_costs_at_most_one_trial(runner: type[Runner]) -> None:
    """A killed idle worker does not end the search."""
    if not _has_workers(runner):
        return
    with fakes.installed() as family, runner(2) as running:
        job, tasks = small_job(family), _tasks([fakes.SLEEPS] * 4)
        workers = {_process(end) for end in _run(running, job, tasks).values()}
        for process in workers:
            os.kill(process, signal.SIGKILL)
        ended = _run(running, job, _tasks([fakes.FITS] * 6))
        failed = [end.reason for end in ended.values() if end.state is not State.COMPLETE]
        require(len(failed) <= len(workers), f"{len(failed)} trials failed: {failed}")


def check_an_abandoned_run_is_forgotten(runner: type[Runner]) -> None:
    """After an abandoned run, the next one yields only its own tasks."""
    with fakes.installed() as family, runner(2) as running:
        job = small_job(family)
        left = cast("Any", running.run(job, _tasks([fakes.FITS, fakes.SLEEPS, fakes.SLEEPS], "a")))
        next(left)
        left.close()
        _run(running, job, _tasks([fakes.FITS] * 3, "b"))


def check_a_halted_run_starts_nothing_new(runner: type[Runner]) -> None:
    """A halted run finishes running tasks only, and the next run is complete."""
    with fakes.installed() as family, runner(1) as running:
        job, tasks, halted = small_job(family), _tasks([fakes.FITS] * 4), False
        running.halted = lambda: halted
        ended = []
        for end in running.run(job, tasks):
            ended.append(end.task.trial_id)
            halted = True
        require(ended[0] == "t-0", f"the first to end is {ended[0]}")
        # A worker gets its next task before its last one is reported.
        require(len(ended) <= 2, f"{len(ended)} of 4 tasks ended after a halt in the first")
        require(not list(running.run(job, tasks)), "a halted runner started something")
        halted = False
        _run(running, job, tasks)


def check_what_goes_beyond_its_limits_is_ended(runner: type[Runner]) -> None:
    """A trial that exceeds a limit fails with a message; others continue."""
    if not runner.enforces:
        return
    for what, limits, reason in (
        (fakes.HANGS, TrialLimits(seconds=1.0), "took longer than 1 s (runner.max_seconds)"),
        (fakes.SWELLS, TrialLimits(memory=LARGE), "0.375 GiB allowed (runner.max_memory)"),
    ):
        with fakes.installed() as family, runner(2) as running:
            running.limits = limits
            job, tasks = small_job(family), _tasks([what, *[fakes.FITS] * 4])
            ended = _run(running, job, tasks)
        failed = {id_: end.reason for id_, end in ended.items() if end.state is State.FAILED}
        require(list(failed) == ["t-0"], f"{what}: failed are {failed}")
        require(reason in failed["t-0"], f"{what}: the reason is {failed['t-0']!r}")


def check_files_of_trials_come_back(runner: type[Runner]) -> None:
    """Models and states of paused trials are paths if files are shared, else bytes."""
    with tempfile.TemporaryDirectory() as folder, fakes.installed() as family, runner(1) as running:
        models, states = Path(folder) / "models", Path(folder) / "states"
        job = replace(small_job(family), save_to=str(models), pause_to=str(states))
        [task] = _tasks([fakes.TRAINS])
        for until in (1, 0):
            [end] = _run(running, job, [replace(task, until=until)]).values()
            wanted = State.PAUSED if until else State.COMPLETE
            require(end.state is wanted, f"a task until epoch {until} is {end.state}: {end.reason}")
            files, place = (end.paused, states) if until else (end.model, models)
            what = "state of a paused trial" if until else "model"
            require(bool(files), f"the {what} was not returned")
            form = "path" if isinstance(files, str) else "bytes"
            shares = f"shares_files is {runner.shares_files}"
            expected = "path" if runner.shares_files else "bytes"
            require(form == expected, f"{shares}, and the {what} is {form}")
            [end] = store_files(job, iter([end]))
            lies = [path for path in (place / task.trial_id).rglob("*") if path.is_file()]
            require(bool(lies), f"the {what} is not in the job's folder")
        had = [scores.scores["had"] for scores in end.epochs]
        require(had == [1.0, 1.0], f"it resumed after {had} epochs, and was paused after one")


def small_job(family: str, horizon: int = 1) -> Job:
    """A small job with two folds for a family."""
    seen = view(bars(120, seed=SEED), horizon=horizon)
    labelled: Indices = np.arange(seen.first_bar, seen.last_labelled + 1)
    folds = {
        number: Fold(number, labelled[: cut - horizon], labelled[cut:])
        for number, cut in ((0, 50), (1, 70))
    }
    return Job(family, "mse", seen, folds)


def _tasks(does: Sequence[str], prefix: str = "t") -> list[Task]:
    return [Task(f"{prefix}-{n}", {"does": what}, 0, seed=n) for n, what in enumerate(does)]


def _has_workers(runner: type[Runner]) -> bool:
    with fakes.installed() as family, runner(1) as running:
        ended = _run(running, small_job(family), _tasks([fakes.FITS]))
    return _process(ended["t-0"]) != os.getpid()


def _process(end: Ended) -> int:
    """Number of the process that fitted a task of the misbehaving family."""
    if end.prediction is None:
        raise AssertionError(f"{end.task.trial_id} has no forecast: {end.reason}")
    return int(end.prediction.values[0])


def _run(runner: Runner, job: Job, tasks: Sequence[Task]) -> dict[str, Ended]:
    """Ended trials by id, each task exactly once; fails if the runner hangs."""
    ended: list[Ended] = []
    raised: list[BaseException] = []

    def listen() -> None:
        try:
            ended.extend(runner.run(job, tasks))
        except BaseException as error:  # noqa: BLE001 - raised again by the calling thread
            raised.append(error)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if raised:
        raise AssertionError(f"the runner raised {raised[0]!r}") from raised[0]
    ids = sorted(end.task.trial_id for end in ended)
    wanted = sorted(task.trial_id for task in tasks)
    silent = thread.is_alive()
    require(not silent, f"no event for {PATIENCE:g} s; {ids} of {wanted} ended")
    require(ids == wanted, f"{wanted} had to end once each, {ids} did")
    return {end.task.trial_id: end for end in ended}
