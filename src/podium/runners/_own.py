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
from podium.runners._output import Lines, Tail, best_of
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
    """Run the code for one trial and judge what it said; what it left lies in ``job.save_to``.

    A trial that is paused leaves its folder in ``job.pause_to``, and is given it again as it was.
    """
    place = Path(job.save_to) / task.trial_id
    until = task.until if job.pause_to else 0
    before = _begin(job, task, place)
    if until and max(before, default=-1) >= until:
        # It stopped there, and whoever asked did not live to hear of it.
        return _paused(code, job, task, before, 0.0)
    tail = Tail()
    started = time.perf_counter()
    run = _command if code.words else _function
    ran = run(code, job, replace(task, until=until), place, tail)
    seconds = time.perf_counter() - started
    reported = _reports(place)
    curve: Curve = {}
    # The first value of an epoch counts: code that starts from the beginning reports it again.
    for part in (before, reported, ran.curve):
        for epoch, values in part.items():
            curve[epoch] = {**values, **curve.get(epoch, {})}
    curve = dict(sorted(curve.items()))
    beyond = [epoch for epoch in curve if until and epoch >= until]
    if beyond:
        # How far it came before it was ended is chance.
        curve = {epoch: values for epoch, values in curve.items() if epoch <= beyond[0]}
        _keep_state(job, task, place, curve)
        shutil.rmtree(place, ignore_errors=True)
        return _paused(code, job, task, curve, seconds)
    ended = _judged(code, job, task, ran, curve, tail, seconds)
    if ended.state is State.COMPLETE:
        for name in (_CONFIG, _REPORTS):
            (place / name).unlink(missing_ok=True)
        if said := tail.text():
            (place / LOG).mkdir(parents=True)
            (place / LOG / OUTPUT).write_text(said, encoding="utf-8")
        ended = replace(ended, model=str(place) if job.save_to else "")
    else:
        shutil.rmtree(place, ignore_errors=True)
    return ended


def _begin(job: Job, task: Task, place: Path) -> Curve:
    """Lay out a trial's folder; returns what it reported before it was paused."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / _CONFIG).write_text(canonical(task.config), encoding="utf-8")
    state = Path(job.pause_to) / task.trial_id
    if not job.pause_to or not (state / _CURVE).is_file():
        (place / FILES).mkdir()
        return {}
    shutil.copytree(state / FILES, place / FILES, symlinks=True)
    known = json.loads((state / _CURVE).read_text(encoding="utf-8"))
    return {int(epoch): values for epoch, values in known.items()}


def _paused(code: Code, job: Job, task: Task, curve: Curve, seconds: float) -> Ended:
    epoch, _ = best_of(curve, job.metric, code.direction) or (0, math.nan)
    return Ended(
        task,
        State.PAUSED,
        epochs=_epochs(curve),
        seconds=seconds,
        best_epoch=epoch,
        paused=str(Path(job.pause_to) / task.trial_id),
    )


def _keep_state(job: Job, task: Task, place: Path, curve: Curve) -> None:
    """Keep the folder as it is; a stop in between leaves the state before, or none."""
    state = Path(job.pause_to) / task.trial_id
    beside = state.with_name(f".{state.name}")
    shutil.rmtree(beside, ignore_errors=True)
    # The code may have removed it.
    (place / FILES).mkdir(parents=True, exist_ok=True)
    shutil.copytree(place / FILES, beside / FILES, symlinks=True)
    (beside / _CURVE).write_text(json_text({str(e): v for e, v in curve.items()}), encoding="utf-8")
    shutil.rmtree(state, ignore_errors=True)
    beside.rename(state)


def _reports(place: Path) -> Curve:
    path = place / _REPORTS
    if not path.is_file():
        return {}
    return reporting.read(path.read_text(encoding="utf-8", errors="replace"))


def _epochs(curve: Curve) -> tuple[Epoch, ...]:
    return tuple(Epoch(0, epoch, values) for epoch, values in curve.items())


def _judged(
    code: Code, job: Job, task: Task, ran: _Ran, curve: Curve, tail: Tail, seconds: float
) -> Ended:
    """Score of a trial: what it said at its end, else the best it reported."""
    epochs = _epochs(curve)
    epoch, score = best_of(curve, job.metric, code.direction) or (0, math.nan)
    failure = ran.failure
    if not failure and job.metric in ran.final:
        score = ran.final[job.metric]
    if not failure and not math.isfinite(score):
        failure = _nothing(job.metric, ran, curve, score)
    if failure:
        quoted = tail.quoted()
        reason = f"{failure}{QUOTED}{quoted}" if quoted else failure
        return Ended(task, State.FAILED, epochs=epochs, seconds=seconds, reason=reason)
    return Ended(
        task,
        State.COMPLETE,
        score=score,
        epochs=epochs,
        seconds=seconds,
        best_epoch=epoch,
        # An epoch 0 is no epoch to the record; what was best there is told so.
        final={**curve.get(epoch, {}), **ran.final},
    )


def _nothing(metric: str, ran: _Ran, curve: Curve, score: float) -> str:
    """Why there is no score."""
    names = {*ran.final, *(name for values in curve.values() for name in values)}
    if metric in names:
        value = ran.final.get(metric, score)
        return f"{metric} was {value} " + (
            "at its end" if metric in ran.final else "in every epoch"
        )
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


def _variables(task: Task, place: Path) -> dict[str, str]:
    """What the code finds in its environment."""
    return {
        reporting.CONFIG: canonical(task.config),
        reporting.TRIAL: task.trial_id,
        reporting.SEED: str(task.seed),
        reporting.FOLDER: str(place / FILES),
        reporting.REPORTS: str(place / _REPORTS),
        reporting.UNTIL: str(task.until or ""),
    }


def _command(code: Code, job: Job, task: Task, place: Path, tail: Tail) -> _Ran:
    given = {
        "config": str(place / _CONFIG),
        "seed": str(task.seed),
        "trial": task.trial_id,
        "folder": str(place / FILES),
    }
    words = rendered(code.words, task.config, given)
    lines, ran = Lines(), _Ran()
    with _started(code, words, _variables(task, place)) as process:
        stop_by = math.inf
        for data in _heard(process, tail):
            lines.add(data)
            if time.monotonic() > stop_by:
                break
            if task.until and stop_by == math.inf:
                printed = max(lines.curve, default=-1) >= task.until
                if printed or max(_reports(place), default=-1) >= task.until:
                    stop_by = time.monotonic() + GRACE_SECONDS
                if printed:
                    # Nothing tells it that it is to stop.
                    _signal(process, signal.SIGTERM)
        if time.monotonic() > stop_by:
            _signal(process, signal.SIGKILL)
        ended = process.wait()
    ran.final, ran.curve, ran.unreadable = lines.final(), lines.curve, lines.unreadable
    if ended:
        ran.failure = f"the command ended with {_told(ended)}"
    return ran


def _told(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


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


def _heard(process: subprocess.Popen[bytes], tail: Tail) -> Iterator[bytes]:
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


def _function(code: Code, job: Job, task: Task, place: Path, tail: Tail) -> _Ran:
    ran = _Ran()
    captured = _shown(tail) if code.here else _captured(tail)
    with variables(_variables(task, place)), captured:
        try:
            answer = (code.here or _found(code.function))(**task.config)
            ran.final = _metrics(answer, job.metric)
        except Paused:
            pass
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one trial's failure is not the next's
            # Without the frames of podium itself.
            trace = error.__traceback__.tb_next if error.__traceback__ else None
            traceback.print_exception(type(error), error, trace)
            ran.failure = f"it raised {type(error).__name__}"
    return ran


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

    def __init__(self, stream: TextIO, tail: Tail) -> None:
        self.stream, self.tail = stream, tail

    def write(self, text: str) -> int:
        """Both."""
        self.tail.add(text.encode(errors="replace"))
        return self.stream.write(text)

    def flush(self) -> None:
        """What the stream holds back."""
        self.stream.flush()


@contextlib.contextmanager
def _shown(tail: Tail) -> Iterator[None]:
    """Keep what is printed in this process, where somebody may be watching."""
    with (
        contextlib.redirect_stdout(_Tee(sys.stdout, tail)),
        contextlib.redirect_stderr(_Tee(sys.stderr, tail)),
    ):
        yield


@contextlib.contextmanager
def _captured(tail: Tail) -> Iterator[None]:
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
