"""Training by own code: a command in a process group of its own, or a function in the worker."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from podium import reporting
from podium.environ import variables
from podium.errors import suggest
from podium.hashing import canonical, json_text
from podium.own import Code, rendered
from podium.reporting import Curve, Paused
from podium.runners._output import Lines, OutputTail, best_of, ending
from podium.trial import Ended, Epoch, Job, State, Task

FILES, LOG = "files", "log"
OUTPUT = "output.log"
_CONFIG, _REPORTS, _CURVE = "config.json", "reports.jsonl", "curve.json"
_GUARD = Path(__file__).parent / "_guard.py"
# Between why a trial failed and what it printed.
QUOTED = "; its output ended with:\n"
# How often a running command's reports are looked at, where it is to be paused.
POLL = 0.2
# What a program may take to end after it was told to.
GRACE_SECONDS = 30.0


@dataclass
class _Ran:
    """What came of starting the code once."""

    curve: Curve = field(default_factory=dict)
    final: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    unreadable: str = ""


def train(code: Code, job: Job, task: Task) -> Ended:
    """Run the code for one trial and judge what it reports; its files lie in ``job.save_to``.

    A trial that is paused leaves its folder in ``job.pause_to``, and is given it again as it was.
    """
    return _OwnTraining(code, job, task).run()


class _OwnTraining:
    """One trial: its folder, the state it goes on from, and the end of its output."""

    def __init__(self, code: Code, job: Job, task: Task) -> None:
        self.code, self.job, self.task, self.tail = code, job, task, OutputTail()
        self.until = task.until if job.pause_to else 0
        self.place = Path(job.save_to) / task.trial_id
        self.state = Path(job.pause_to) / task.trial_id
        self.seconds = 0.0

    def run(self) -> Ended:
        before = self._begin()
        if self.until and max(before, default=-1) >= self.until:
            # It stopped there, and the driver did not live to read of it.
            return self._paused(before)
        started = time.perf_counter()
        ran = self._command() if self.code.words else self._function()
        self.seconds = time.perf_counter() - started
        curve: Curve = {}
        # The first value of an epoch counts: code that starts from the beginning reports it again.
        for part in (before, self._reports(), ran.curve):
            for epoch, values in part.items():
                curve[epoch] = {**values, **curve.get(epoch, {})}
        curve = dict(sorted(curve.items()))
        beyond = [epoch for epoch in curve if self.until and epoch >= self.until]
        if beyond:
            # How far it came before it was ended is chance.
            curve = {epoch: values for epoch, values in curve.items() if epoch <= beyond[0]}
            self._keep_state(curve)
            shutil.rmtree(self.place, ignore_errors=True)
            return self._paused(curve)
        ended = self._judged(ran, curve)
        if ended.state is not State.COMPLETE:
            shutil.rmtree(self.place, ignore_errors=True)
            return ended
        for name in (_CONFIG, _REPORTS):
            (self.place / name).unlink(missing_ok=True)
        if output := self.tail.text():
            (self.place / LOG).mkdir(parents=True)
            (self.place / LOG / OUTPUT).write_text(output, encoding="utf-8")
        return replace(ended, model=str(self.place) if self.job.save_to else "")

    def _begin(self) -> Curve:
        """Lay out the trial's folder; returns what it reported before it was paused."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        (self.place / _CONFIG).write_text(canonical(self.task.config), encoding="utf-8")
        if not self.job.pause_to or not (self.state / _CURVE).is_file():
            (self.place / FILES).mkdir()
            return {}
        shutil.copytree(self.state / FILES, self.place / FILES, symlinks=True)
        known = json.loads((self.state / _CURVE).read_text(encoding="utf-8"))
        return {int(epoch): values for epoch, values in known.items()}

    def _keep_state(self, curve: Curve) -> None:
        """Keep the folder as it is; a stop in between leaves the state before, or none."""
        beside = self.state.with_name(f".{self.state.name}")
        shutil.rmtree(beside, ignore_errors=True)
        # The code may have removed it.
        (self.place / FILES).mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.place / FILES, beside / FILES, symlinks=True)
        known = {str(epoch): values for epoch, values in curve.items()}
        (beside / _CURVE).write_text(json_text(known), encoding="utf-8")
        shutil.rmtree(self.state, ignore_errors=True)
        beside.rename(self.state)

    def _reports(self) -> Curve:
        path = self.place / _REPORTS
        if not path.is_file():
            return {}
        return reporting.read(path.read_text(encoding="utf-8", errors="replace"))

    def _ended(self, state: State, curve: Curve, **more: Any) -> Ended:
        epochs = tuple(Epoch(0, epoch, values) for epoch, values in curve.items())
        return Ended(self.task, state, epochs=epochs, seconds=self.seconds, **more)

    def _best(self, curve: Curve) -> tuple[int, float]:
        return best_of(curve, self.job.metric, self.code.direction) or (0, math.nan)

    def _paused(self, curve: Curve) -> Ended:
        epoch, _ = self._best(curve)
        return self._ended(State.PAUSED, curve, best_epoch=epoch, paused=str(self.state))

    def _judged(self, ran: _Ran, curve: Curve) -> Ended:
        """The trial's end, with the score of its end, else the best one it reported."""
        epoch, score = self._best(curve)
        failure = ran.failure
        if not failure:
            score = ran.final.get(self.job.metric, score)
            failure = "" if math.isfinite(score) else _nothing(self.job.metric, ran, curve, score)
        if failure:
            quoted = self.tail.quoted()
            reason = f"{failure}{QUOTED}{quoted}" if quoted else failure
            return self._ended(State.FAILED, curve, reason=reason)
        # An epoch 0 is no epoch to the record; what was best there stands among the final values.
        final = {**curve.get(epoch, {}), **ran.final}
        return self._ended(State.COMPLETE, curve, score=score, best_epoch=epoch, final=final)

    def _variables(self) -> dict[str, str]:
        """What the code finds in its environment."""
        return {
            reporting.CONFIG: canonical(self.task.config),
            reporting.TRIAL: self.task.trial_id,
            reporting.SEED: str(self.task.seed),
            reporting.FOLDER: str(self.place / FILES),
            reporting.REPORTS: str(self.place / _REPORTS),
            reporting.UNTIL: str(self.until or ""),
        }

    def _command(self) -> _Ran:
        given = {
            "config": str(self.place / _CONFIG),
            "seed": str(self.task.seed),
            "trial": self.task.trial_id,
            "folder": str(self.place / FILES),
        }
        words = rendered(self.code.words, self.task.config, given)
        lines, ran = Lines(), _Ran()
        with _started(self.code, words, self._variables()) as process:
            stop_by = math.inf
            for data in _heard(process, self.tail):
                lines.add(data)
                if time.monotonic() > stop_by:
                    break
                if self.until and stop_by == math.inf:
                    printed = max(lines.curve, default=-1) >= self.until
                    if printed or max(self._reports(), default=-1) >= self.until:
                        stop_by = time.monotonic() + GRACE_SECONDS
                    if printed:
                        # Nothing tells it that it is to stop.
                        _signal(process, signal.SIGTERM)
            if time.monotonic() > stop_by:
                _signal(process, signal.SIGKILL)
            ended = process.wait()
        ran.final, ran.curve, ran.unreadable = lines.final(), lines.curve, lines.unreadable
        if ended:
            ran.failure = f"the command ended with {ending(ended)}"
        return ran

    def _function(self) -> _Ran:
        ran = _Ran()
        captured = _shown(self.tail) if self.code.here else _captured(self.tail)
        with variables(self._variables()), captured:
            try:
                answer = (self.code.here or _found(self.code.function))(**self.task.config)
                ran.final = _metrics(answer, self.job.metric)
            except Paused:
                pass
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the next trial may succeed
                # Without the frames of podium itself.
                trace = error.__traceback__.tb_next if error.__traceback__ else None
                traceback.print_exception(type(error), error, trace)
                ran.failure = f"it raised {type(error).__name__}"
        return ran


def _nothing(metric: str, ran: _Ran, curve: Curve, score: float) -> str:
    """Why there is no score."""
    names = {*ran.final, *(name for values in curve.values() for name in values)}
    if metric in names:
        value = ran.final.get(metric, score)
        return f"{metric} was {value} {'at its end' if metric in ran.final else 'in every epoch'}"
    if ran.unreadable:
        return (
            f"'{ran.unreadable[:200]}' cannot be read: a line such as "
            f"'podium: epoch=3 {metric}=0.31' is expected"
        )
    if names:
        return f"it ended without reporting {metric}: {suggest(metric, names)}"
    return (
        f"it ended without reporting {metric}: podium.report(epoch, {metric}=...), or a last line "
        f'{{"{metric}": ...}}'
    )


@contextlib.contextmanager
def _started(
    code: Code, words: list[str], variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, running; whatever of its process group is left in the end is killed."""
    # Nothing is ever written: the pipe ends with this process, and the guard ends the command.
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), str(theirs), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=code.root,
            # Lines are wanted when they are printed, not when a buffer is full.
            env={**os.environ, **code.environment, "PYTHONUNBUFFERED": "1", **variables},
            pass_fds=[theirs],
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        yield process
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        os.close(ours)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Tell all processes of a command; its guard is one, so the group is never another's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _heard(process: subprocess.Popen[bytes], tail: OutputTail) -> Iterator[bytes]:
    """What a command writes to stdout as it does, empty now and then; ends with the command.

    Both outputs go into the tail. What daemons that outlive the command write is not waited for.
    """
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
        # Of what a daemon writes once the command has ended.
        patience = 64
        while patience:
            if not selector.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL)
                    return
                yield b""
                continue
            is_over = process.poll() is not None
            patience -= is_over
            ready = selector.select(0 if is_over else POLL)
            if is_over and not ready:
                return
            for key, _ in ready:
                data = os.read(key.fd, 65_536)
                if not data:
                    selector.unregister(key.fileobj)
                tail.add(data)
                yield data if key.fileobj is process.stdout else b""
            if not ready:
                yield b""


def _found(name: str) -> Any:
    """A function by ``module:name``."""
    module, _, inner = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in inner.split("."):
        found = getattr(found, part)
    return found


def _metrics(answer: Any, metric: str) -> dict[str, float]:
    """What a function returned: a number, metrics by name, or nothing."""
    if answer is None:
        return {}
    values = answer if isinstance(answer, Mapping) else {metric: answer}
    try:
        return {str(name): reporting.number_of(value) for name, value in values.items()}
    except (TypeError, ValueError):
        raise TypeError(
            f"the function returned {answer!r:.200}: a number, a dict of numbers or nothing is "
            "expected"
        ) from None


class _Tee(io.TextIOBase):
    """Writes to a stream, and keeps what was written."""

    def __init__(self, stream: TextIO, tail: OutputTail) -> None:
        self.stream, self.tail = stream, tail

    def write(self, text: str) -> int:
        """Both."""
        self.tail.add(text.encode(errors="replace"))
        return self.stream.write(text)

    def flush(self) -> None:
        """What the stream holds back."""
        self.stream.flush()


@contextlib.contextmanager
def _shown(tail: OutputTail) -> Iterator[None]:
    """Keep what is printed in this process, where somebody may be watching."""
    with (
        contextlib.redirect_stdout(_Tee(sys.stdout, tail)),
        contextlib.redirect_stderr(_Tee(sys.stderr, tail)),
    ):
        yield


@contextlib.contextmanager
def _captured(tail: OutputTail) -> Iterator[None]:
    """Keep what this worker prints, what comes past Python included."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    before = [os.dup(descriptor) for descriptor in (1, 2)]

    def listen() -> None:
        while data := os.read(reading, 65_536):
            tail.add(data)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)
    os.close(writing)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        for descriptor, kept in zip((1, 2), before, strict=True):
            os.dup2(kept, descriptor)
            os.close(kept)
        # A process that the function started may hold on to it.
        listener.join(1.0)
        if not listener.is_alive():
            os.close(reading)
