"""Training by own code: a command in a separate process group, or a function in the worker."""

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
from podium.runners._output import OutputTail, ReportLines, best_of, ending
from podium.trial import Ended, Epoch, Job, State, Task

FILES, LOG = "files", "log"
OUTPUT = "output.log"
_CONFIG, _REPORTS, _CURVE = "config.json", "reports.jsonl", "curve.json"
_GUARD = Path(__file__).parent / "_guard.py"
# Separates the reason of a failure from the trial's output.
QUOTED = "; its output ended with:\n"
# Seconds between two checks of a command's reports, if it is to be paused.
POLL = 0.2
# Time that a program has to end after SIGTERM.
GRACE_SECONDS = 30.0


@dataclass
class _RunResult:
    """Result of running the code once."""

    curve: Curve = field(default_factory=dict)
    final: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    unreadable: str = ""


class OwnTraining:
    """One trial of own code: its folder, the state it continues from, the end of its output.

    Its files are in ``job.save_to``. A paused trial leaves its folder in ``job.pause_to`` and
    continues with a copy of it.
    """

    def __init__(self, code: Code, job: Job, task: Task) -> None:
        self.code, self.job, self.task, self.tail = code, job, task, OutputTail()
        self.until = task.until if job.pause_to else 0
        self.place = Path(job.save_to) / task.trial_id
        self.state = Path(job.pause_to) / task.trial_id
        self.seconds = 0.0

    def run(self) -> Ended:
        """Run the code and score its reports."""
        before = self._prepare()
        if self.until and max(before, default=-1) >= self.until:
            # It stopped there before, and the driver was killed before it recorded that.
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
            # The epochs after it depend on how fast the program ended.
            curve = {epoch: values for epoch, values in curve.items() if epoch <= beyond[0]}
            self._keep_state(curve)
            shutil.rmtree(self.place, ignore_errors=True)
            return self._paused(curve)
        ended = self._scored(ran, curve)
        if ended.state is not State.COMPLETE:
            shutil.rmtree(self.place, ignore_errors=True)
            return ended
        for name in (_CONFIG, _REPORTS):
            (self.place / name).unlink(missing_ok=True)
        if output := self.tail.text():
            (self.place / LOG).mkdir(parents=True)
            (self.place / LOG / OUTPUT).write_text(output, encoding="utf-8")
        return replace(ended, model=str(self.place) if self.job.save_to else "")

    def _prepare(self) -> Curve:
        """Create the trial's folder; return its reports from before it was paused."""
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
        """Copy the folder; a kill in between leaves the previous state, or none."""
        temporary = self.state.with_name(f".{self.state.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        # The code may have deleted it.
        (self.place / FILES).mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.place / FILES, temporary / FILES, symlinks=True)
        known = {str(epoch): values for epoch, values in curve.items()}
        (temporary / _CURVE).write_text(json_text(known), encoding="utf-8")
        shutil.rmtree(self.state, ignore_errors=True)
        temporary.rename(self.state)

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

    def _scored(self, ran: _RunResult, curve: Curve) -> Ended:
        """End of the trial with its final score, or else the best reported one."""
        epoch, score = self._best(curve)
        failure = ran.failure
        if not failure:
            score = ran.final.get(self.job.metric, score)
            failure = "" if math.isfinite(score) else _no_score(self.job.metric, ran, curve, score)
        if failure:
            quoted = self.tail.quoted()
            reason = f"{failure}{QUOTED}{quoted}" if quoted else failure
            return self._ended(State.FAILED, curve, reason=reason)
        # The record has no epoch 0, so its best values are among the final ones.
        final = {**curve.get(epoch, {}), **ran.final}
        return self._ended(State.COMPLETE, curve, score=score, best_epoch=epoch, final=final)

    def _variables(self) -> dict[str, str]:
        """Environment variables of the code."""
        return {
            reporting.CONFIG: canonical(self.task.config),
            reporting.TRIAL: self.task.trial_id,
            reporting.SEED: str(self.task.seed),
            reporting.FOLDER: str(self.place / FILES),
            reporting.REPORTS: str(self.place / _REPORTS),
            reporting.UNTIL: str(self.until or ""),
        }

    def _command(self) -> _RunResult:
        placeholders = {
            "config": str(self.place / _CONFIG),
            "seed": str(self.task.seed),
            "trial": self.task.trial_id,
            "folder": str(self.place / FILES),
        }
        words = rendered(self.code.words, self.task.config, placeholders)
        lines, ran = ReportLines(), _RunResult()
        with _running(self.code, words, self._variables()) as process:
            stop_by = math.inf
            for data in _stdout(process, self.tail):
                lines.add(data)
                if time.monotonic() > stop_by:
                    break
                if self.until and stop_by == math.inf:
                    printed = max(lines.curve, default=-1) >= self.until
                    if printed or max(self._reports(), default=-1) >= self.until:
                        stop_by = time.monotonic() + GRACE_SECONDS
                    if printed:
                        # Only podium.report raises Paused; a printing program needs a signal.
                        _signal(process, signal.SIGTERM)
            if time.monotonic() > stop_by:
                _signal(process, signal.SIGKILL)
            ended = process.wait()
        ran.final, ran.curve, ran.unreadable = lines.final(), lines.curve, lines.unreadable
        if ended:
            ran.failure = f"the command ended with {ending(ended)}"
        return ran

    def _function(self) -> _RunResult:
        ran = _RunResult()
        captured = _teed(self.tail) if self.code.here else _captured(self.tail)
        with variables(self._variables()), captured:
            try:
                answer = (self.code.here or _import(self.code.function))(**self.task.config)
                ran.final = _metrics(answer, self.job.metric)
            except Paused:
                pass
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the next trial may succeed
                # Without podium's frames.
                trace = error.__traceback__.tb_next if error.__traceback__ else None
                traceback.print_exception(type(error), error, trace)
                ran.failure = f"it raised {type(error).__name__}"
        return ran


def _no_score(metric: str, ran: _RunResult, curve: Curve, score: float) -> str:
    """Reason why the trial has no score."""
    names = {*ran.final, *(name for values in curve.values() for name in values)}
    if metric in names:
        value = ran.final.get(metric, score)
        return f"{metric} was {value} {'at its end' if metric in ran.final else 'in every epoch'}"
    if ran.unreadable:
        return (
            f"'{ran.unreadable[:200]}' is not a report; expected a line such as "
            f"'podium: epoch=3 {metric}=0.31'"
        )
    if names:
        return f"it ended without reporting {metric}: {suggest(metric, names)}"
    return (
        f"it ended without reporting {metric}: podium.report(epoch, {metric}=...), or a last line "
        f'{{"{metric}": ...}}'
    )


@contextlib.contextmanager
def _running(
    code: Code, words: list[str], variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command; the rest of its process group is killed at the end."""
    # This process never writes: the pipe ends with it, and then the guard ends the command.
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), str(theirs), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=code.root,
            # Lines must arrive when they are printed, not when a buffer is full.
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
    """Signal all processes of a command; its guard keeps the group's number from reuse."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _stdout(process: subprocess.Popen[bytes], tail: OutputTail) -> Iterator[bytes]:
    """Yield stdout of a command as it is written, empty bytes at times; end with the command.

    Both outputs go into the tail. Daemons that outlive the command are not waited for.
    """
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
        # Reads of a daemon's output after the command has ended.
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


def _import(name: str) -> Any:
    """Import a function by ``module:name``."""
    module, _, inner = name.partition(":")
    value: Any = importlib.import_module(module)
    for part in inner.split("."):
        value = getattr(value, part)
    return value


def _metrics(answer: Any, metric: str) -> dict[str, float]:
    """Metrics by name from a function's return value: a number, a mapping or None."""
    if answer is None:
        return {}
    values = answer if isinstance(answer, Mapping) else {metric: answer}
    try:
        return {str(name): reporting.number_of(value) for name, value in values.items()}
    except (TypeError, ValueError):
        raise TypeError(
            f"the function returned {answer!r:.200}; expected a number, a dict of numbers or None"
        ) from None


class _Tee(io.TextIOBase):
    """A stream whose text is also appended to a tail."""

    def __init__(self, stream: TextIO, tail: OutputTail) -> None:
        self.stream, self.tail = stream, tail

    def write(self, text: str) -> int:
        """Write to the stream and the tail."""
        self.tail.add(text.encode(errors="replace"))
        return self.stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()


@contextlib.contextmanager
def _teed(tail: OutputTail) -> Iterator[None]:
    """Keep the output of this process and still print it."""
    with (
        contextlib.redirect_stdout(_Tee(sys.stdout, tail)),
        contextlib.redirect_stderr(_Tee(sys.stderr, tail)),
    ):
        yield


@contextlib.contextmanager
def _captured(tail: OutputTail) -> Iterator[None]:
    """Keep the output of this worker, that of C code included."""
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
        for descriptor, original in zip((1, 2), before, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        # A process that the function started may keep it open.
        listener.join(1.0)
        if not listener.is_alive():
            os.close(reading)
