"""Worker processes on this machine, one torch thread each; a lost worker costs its batch."""

from __future__ import annotations

import multiprocessing as mp
import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path

from podium import plugin
from podium.environ import variables
from podium.errors import PodiumError, UsageError
from podium.runners._base import Runner, batch_size, next_batch, run_tasks
from podium.runners._limits import own_memory
from podium.runners._output import ending
from podium.runners._share import Parts, SharedJob, load_shared
from podium.trial import Ended, Job, State, Task

# Two trainers with torch's default threads spin against each other and run hundreds of times
# slower; these must be set before a worker imports torch. One thread for any number of workers:
# sums over several threads differ in the last bit with their number.
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
THREADS = {**dict.fromkeys(_COUNTS, "1"), "OMP_WAIT_POLICY": "PASSIVE"}
# Seconds between two checks of limits.
POLL = 0.2
# The usual reasons of a SIGKILL.
KILLED = ": another process killed it, or the system did because memory ran out"


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    device: str = ""
    job: Job | None = None
    # Tasks of its batch that have not ended, by trial, and when the last one before them ended.
    tasks: dict[str, Task] = field(default_factory=dict)
    since: float = 0.0


class LocalRunner(Runner):
    """Keep ``jobs`` processes alive over all runs and give an idle one the next batch.

    Workers come from a fork server with torch loaded, so another one costs milliseconds. A worker
    whose pipe breaks exits at once, so workers end with their driver. All map one copy of the job.
    """

    enforces = True

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
        self._context = mp.get_context("forkserver")
        self._context.set_forkserver_preload(["podium.runners._preload"])
        self._workers: list[_Worker] = []
        self._plugins: dict[str, str] = {}
        self._shared: SharedJob | None = None

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Run the tasks in their order, each batch on the first free worker."""
        if self.limits.memory and own_memory(os.getpid()) is None:
            raise UsageError(
                "runner.max_memory is set, but this system does not report the memory of a process",
                "/proc or ps",
                "remove runner.max_memory",
            )
        # A deque of the caller may grow while its tasks run.
        waiting = tasks if isinstance(tasks, deque) else deque(tasks)
        size = batch_size(job, *self.devices[:1])
        if self._plugins != plugin.loaded():
            # Workers keep their plugins, which may be older or of another project.
            self.close()
            self._plugins = plugin.loaded()
        while len(self._workers) < min(self.jobs, len(self.devices) or self.jobs, len(tasks)):
            self._workers.append(self._start(self._device()))
        try:
            while True:
                for worker in [w for w in self._workers if not w.tasks]:
                    self._assign(worker, job, waiting, size)
                busy = [w for w in self._workers if w.tasks]
                if not busy:
                    break
                ready = wait([w.pipe for w in busy], POLL)
                self.halted()
                for worker in busy:
                    ended = (self._receive if worker.pipe in ready else self._check_limits)(worker)
                    if ended and not worker.tasks:
                        self._assign(worker, job, waiting, size)
                    yield from ended
        finally:
            # A caller that stopped early does not use the tasks that still run.
            for worker in [w for w in self._workers if w.tasks]:
                self._workers.remove(worker)
                self._end(worker)

    def close(self) -> None:
        """Kill all workers."""
        while self._workers:
            self._end(self._workers.pop())
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def busy(self) -> list[str]:
        """Ids of the trials that workers train."""
        return [trial_id for worker in self._workers for trial_id in worker.tasks]

    def _device(self) -> str:
        """Device for one more worker: the first without a worker."""
        taken = {worker.device for worker in self._workers}
        return next((device for device in self.devices if device not in taken), "")

    def _start(self, device: str) -> _Worker:
        ours, theirs = self._context.Pipe()
        with variables(THREADS), _script_hidden():
            # Plugins before a job, which may hold their functions. The environment, because the
            # fork server keeps that of its first caller.
            places = (device, self.live_to)
            start = (theirs, plugin.project(), self._plugins, *places, dict(os.environ))
            process = self._context.Process(target=_serve, args=start, daemon=True)
            process.start()
        theirs.close()
        return _Worker(process, ours, device)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()

    def _restart(self, worker: _Worker) -> None:
        self._end(worker)
        fresh = self._start(worker.device)
        worker.process, worker.pipe, worker.job = fresh.process, fresh.pipe, None

    def _assign(self, worker: _Worker, job: Job, waiting: deque[Task], size: int) -> None:
        if not waiting or self.halted():
            return
        batch = next_batch(waiting, size)
        try:
            self._send(worker, job, batch)
        except OSError:
            # It died while idle, so no task is lost.
            self._restart(worker)
            self._send(worker, job, batch)
        worker.tasks = {task.trial_id: task for task in batch}
        worker.job, worker.since = job, time.monotonic()

    def _send(self, worker: _Worker, job: Job, batch: list[Task]) -> None:
        if worker.job is job:
            worker.pipe.send((None, batch))
            return
        shared = self._share(job)
        worker.pipe.send(((shared.head, shared.parts), batch))
        send_handle(worker.pipe, shared.file.fileno(), worker.process.pid)

    def _share(self, job: Job) -> SharedJob:
        if self._shared is None or self._shared.job is not job:
            if self._shared is not None:
                self._shared.close()
            self._shared = SharedJob(job)
        return self._shared

    def _check_limits(self, worker: _Worker) -> list[Ended]:
        """Ends of a batch beyond its limits; none if it is within, or a task has just ended."""
        process = worker.process.pid
        assert process is not None
        seconds = time.monotonic() - worker.since
        reason = self.limits.exceeded(process, seconds) if self.limits else ""
        if not reason or worker.pipe.poll():
            return []
        return self._fail_batch(worker, reason)

    def _fail_batch(self, worker: _Worker, reason: str) -> list[Ended]:
        """Replace a worker and return its unfinished tasks as failed."""
        seconds = time.monotonic() - worker.since
        tasks, worker.tasks = worker.tasks, {}
        self._restart(worker)
        return [Ended(t, State.FAILED, seconds=seconds, reason=reason) for t in tasks.values()]

    def _receive(self, worker: _Worker) -> list[Ended]:
        try:
            answer: Ended | BaseException = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            code = worker.process.exitcode or 0
            killed = KILLED if code == -signal.SIGKILL else ""
            return self._fail_batch(worker, f"its worker process ended with {ending(code)}{killed}")
        if isinstance(answer, BaseException):
            # The worker sends no more ends of its batch.
            worker.tasks = {}
            raise answer
        del worker.tasks[answer.task.trial_id]
        worker.since = time.monotonic()
        return [answer]


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Keep multiprocessing from running the user's script again in every worker.

    Otherwise a script without ``if __name__ == "__main__"`` would start the whole run once more.
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


def _serve(
    pipe: Connection,
    project: Path | None,
    plugins: dict[str, str],
    device: str,
    live_to: str,
    environment: dict[str, str],
) -> None:
    """Run the batches that arrive on the pipe until it breaks."""
    os.environ.clear()
    os.environ.update(environment)
    # Ctrl-C reaches the whole process group; only the driver handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    problem: PodiumError | None = None
    try:
        plugin.pin(project, plugins)
    except PodiumError as error:
        problem = error
    inbox: queue.SimpleQueue[tuple[Job | None, list[Task]] | PodiumError] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                message: tuple[tuple[bytes, Parts] | None, list[Task]] = pipe.recv()
                pickled, batch = message
                with plugin.located_errors():
                    job = None if pickled is None else load_shared(*pickled, recv_handle(pipe))
                inbox.put((job, batch))
            except (EOFError, OSError):
                os._exit(0)
            except PodiumError as error:
                # A plugin of the job cannot run here.
                inbox.put(error)

    def send(answer: object) -> None:
        try:
            pipe.send(answer)
        except BrokenPipeError:
            # The driver was killed, so a traceback would have no reader.
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    current: Job | None = None
    while True:
        item = inbox.get()
        if problem or isinstance(item, PodiumError):
            send(problem or item)
            continue
        job, batch = item
        if job is not None:
            current = replace(job, device=device or job.device)
        assert current is not None
        try:
            for ended in run_tasks(current, batch, live_to):
                send(ended)
        except (OSError, PodiumError) as error:
            # No fault of a trial: the driver stops, and its trials start again later.
            send(error)


RUNNER = LocalRunner
