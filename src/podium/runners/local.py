"""Own worker processes on this machine, one torch thread each; a lost worker costs one trial."""

from __future__ import annotations

import multiprocessing as mp
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

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
    said: list[Ended] = field(default_factory=list)


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

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Run the tasks, longest-waiting first, on whichever worker is free."""
        waiting = deque(tasks)
        while len(self._workers) < min(self.jobs, len(tasks)):
            self._workers.append(self._start())
        for worker in self._workers:
            self._give(worker, job, waiting)
        while busy := [w for w in self._workers if w.task is not None]:
            ready = wait([w.pipe for w in busy])
            for worker in [w for w in busy if w.pipe in ready]:
                ended = self._hear(worker)
                self._give(worker, job, waiting)
                yield ended

    def close(self) -> None:
        """Break the pipes; workers leave, those still training are ended."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(timeout=2)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        before = {name: os.environ.get(name) for name in THREADS}
        os.environ.update(THREADS)
        try:
            process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
        theirs.close()
        return _Worker(process, ours)

    def _give(self, worker: _Worker, job: Job, waiting: deque[Task]) -> None:
        if worker.task is None and waiting:
            worker.task = waiting.popleft()
            known = worker.job is job
            worker.job = job
            worker.pipe.send((None if known else job, worker.task))

    def _hear(self, worker: _Worker) -> Ended:
        task = worker.task
        assert task is not None
        worker.task = None
        try:
            ended: Ended = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            code = worker.process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            worker.pipe.close()
            self._workers[self._workers.index(worker)] = self._start()
            return Ended(task, State.FAILED, reason=f"its worker process ended with {how}")
        return ended


def _serve(pipe: Connection) -> None:
    """Work through what arrives on the pipe until it breaks."""
    # Ctrl-C reaches the whole process group; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox: queue.SimpleQueue[tuple[Job | None, Task]] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                inbox.put(pipe.recv())
            except (EOFError, OSError):
                os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    current: Job | None = None
    while True:
        job, task = inbox.get()
        current = job or current
        assert current is not None
        for ended in work(current, [task]):
            pipe.send(ended)


RUNNER = LocalRunner
