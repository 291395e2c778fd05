"""Own worker processes on this machine, one torch thread each; a lost worker costs one trial."""

from __future__ import annotations

import multiprocessing as mp
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from podium import plugin
from podium.errors import PodiumError
from podium.runners._base import Runner, work
from podium.trial import Ended, Job, State, Task

# Two trainers with torch's default threads spin against each other and run hundreds of times
# slower; these must be set before a worker imports torch.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    task: Task | None = None


class LocalRunner(Runner):
    """Keeps ``jobs`` processes alive over all its runs and hands each the next task when idle.

    Workers come from a fork server that has torch loaded, so one more costs milliseconds. They
    end with their driver: a worker whose pipe breaks leaves at once.
    """

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
        self._context = mp.get_context("forkserver")
        self._context.set_forkserver_preload(["podium.runners._preload"])
        self._workers: list[_Worker] = []
        self._plugins: dict[str, str] = {}

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Run the tasks in their order, each on the first worker that is free."""
        # What is a deque already may grow while its tasks run.
        waiting = tasks if isinstance(tasks, deque) else deque(tasks)
        if self._plugins != plugin.loaded():
            # Workers keep what they have loaded; that may be another project's, or older.
            self.close()
            self._plugins = plugin.loaded()
        while len(self._workers) < min(self.jobs, len(tasks)):
            self._workers.append(self._start())
        try:
            while True:
                for worker in [w for w in self._workers if w.task is None]:
                    self._give(worker, job, waiting)
                busy = [w for w in self._workers if w.task is not None]
                if not busy:
                    break
                ready = wait([w.pipe for w in busy])
                for worker in [w for w in busy if w.pipe in ready]:
                    ended = self._hear(worker)
                    self._give(worker, job, waiting)
                    yield ended
        finally:
            # Whoever left this loop early does not want what is still being worked on.
            for worker in [w for w in self._workers if w.task is not None]:
                self._workers.remove(worker)
                self._end(worker)

    def close(self) -> None:
        """End all workers, whatever they are at."""
        while self._workers:
            self._end(self._workers.pop())

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        # Before anything else: a job may hold functions of a plugin.
        start = (theirs, plugin.project(), self._plugins)
        process = self._context.Process(target=_serve, args=start, daemon=True)
        with _threads_set(), _script_hidden():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()

    def _restart(self, worker: _Worker) -> None:
        self._end(worker)
        fresh = self._start()
        worker.process, worker.pipe, worker.job = fresh.process, fresh.pipe, None

    def _give(self, worker: _Worker, job: Job, waiting: deque[Task]) -> None:
        if not waiting:
            return
        task = waiting.popleft()
        try:
            worker.pipe.send((None if worker.job is job else job, task))
        except OSError:
            # It died while it had nothing to do; nothing is lost but the worker.
            self._restart(worker)
            worker.pipe.send((job, task))
        worker.job, worker.task = job, task

    def _hear(self, worker: _Worker) -> Ended:
        task, worker.task = worker.task, None
        assert task is not None
        try:
            answer: Ended | BaseException = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            code = worker.process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self._restart(worker)
            return Ended(task, State.FAILED, reason=f"its worker process ended with {how}")
        if isinstance(answer, BaseException):
            raise answer
        return answer


@contextmanager
def _threads_set() -> Iterator[None]:
    """Set the thread variables for what is started meanwhile."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Keep multiprocessing from running the user's script again in every worker.

    Workers import what they need by name; a script without ``if __name__ == "__main__"`` would
    otherwise start the whole run once more.
    """
    script = sys.modules["__main__"]
    hidden = {name: getattr(script, name, None) for name in ("__file__", "__spec__")}
    for name in hidden:
        setattr(script, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(script, name, value)


def _serve(pipe: Connection, project: Path | None, plugins: dict[str, str]) -> None:
    """Work through what arrives on the pipe until it breaks."""
    problem: PodiumError | None = None
    try:
        plugin.hold(project, plugins)
    except PodiumError as error:
        problem = error
    # Ctrl-C reaches the whole process group; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox: queue.SimpleQueue[tuple[Job | None, Task] | PodiumError] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                with plugin.blamed():
                    inbox.put(pipe.recv())
            except (EOFError, OSError):
                os._exit(0)
            except PodiumError as error:
                # A plugin that a job refers to cannot be run here.
                inbox.put(error)

    threading.Thread(target=listen, daemon=True).start()
    current: Job | None = None
    while True:
        given = inbox.get()
        if problem or isinstance(given, PodiumError):
            pipe.send(problem or given)
            continue
        job, task = given
        current = job or current
        assert current is not None
        try:
            for ended in work(current, [task]):
                pipe.send(ended)
        except (OSError, PodiumError) as error:
            # Nothing a trial could be blamed for: the driver stops, and its trials start again.
            pipe.send(error)


RUNNER = LocalRunner
