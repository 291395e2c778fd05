"""A warm process that forks children to be killed: what they need is loaded, no thread is alive.

A child takes a few milliseconds, a new interpreter a second. Forking the tests' own process would
copy the locks of whatever threads its libraries run.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0
MARK = "PODIUM_TEST_MARK"
_out = -1


@dataclass(frozen=True)
class Child:
    """How a child ended: its exit code (negative: the signal), what it told, what it complained."""

    code: int
    told: Sequence[str]
    error: str
    seconds: float

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Nursery:
    """Runs functions in children of one process that has some modules loaded."""

    def __init__(self, *modules: str, path: Sequence[str | Path] = ()) -> None:
        self.mark = str(uuid.uuid4())
        self.process = subprocess.Popen(
            [sys.executable, __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, [*path, *filter(None, sys.path)])),
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                MARK: self.mark,
            },
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def start(self, function: str, *arguments: Any, kill_after: float | None = None) -> None:
        """Let a child call ``module:name``; it is killed after so many seconds, if it lives."""
        assert self.process.stdin is not None
        request = {"call": function, "arguments": arguments, "kill_after": kill_after}
        self.process.stdin.write(json.dumps(request, default=str) + "\n")
        self.process.stdin.flush()

    def wait(self) -> Child:
        """How the child that was started ended."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], 2 * PATIENCE)
        if not readable:
            self.process.kill()
            raise TimeoutError("a child did not end")
        return Child(**json.loads(self.process.stdout.readline()))

    def run(self, function: str, *arguments: Any, kill_after: float | None = None) -> Child:
        """Start a child and wait for it."""
        self.start(function, *arguments, kill_after=kill_after)
        return self.wait()

    def left(self, within: float) -> list[int]:
        """Processes that children started and that are there after so many seconds still."""
        deadline = time.monotonic() + within
        while (found := self._marked()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def _marked(self) -> list[int]:
        """Processes with the mark of this one in their environment; it is inherited."""
        found, mark = [], f"{MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.process.pid:
                try:
                    if mark in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


def tell(text: str) -> None:
    """Tell the test something; it is heard even if this child dies right afterwards."""
    os.write(_out, f"{text}\n".encode())


def die(*_: object) -> None:
    """End like a machine that lost its power: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)
    # The signal may take a moment, in which nothing more must happen.
    time.sleep(PATIENCE)


def _child(request: dict[str, Any], error: int) -> int:
    os.dup2(error, 2)
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(devnull, 1)
    module, _, name = request["call"].partition(":")
    try:
        getattr(importlib.import_module(module), name)(*request["arguments"])
    except BaseException:  # noqa: BLE001 - whatever it is, the test shows it
        traceback.print_exc()
        return 1
    return 0


def _one(request: dict[str, Any]) -> dict[str, Any]:
    global _out
    started = time.monotonic()
    hear, _out = os.pipe()
    with tempfile.TemporaryFile() as error:
        pid = os.fork()
        if pid == 0:
            os.close(hear)
            code = 1
            try:
                code = _child(request, error.fileno())
                sys.stderr.flush()
            finally:
                os._exit(code)
        os.close(_out)
        told = _heard(hear, pid, request["kill_after"] or PATIENCE)
        _, status = os.waitpid(pid, 0)
        os.close(hear)
        error.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "told": told.decode().splitlines(),
            "error": error.read().decode(errors="replace"),
            "seconds": time.monotonic() - started,
        }


def _heard(hear: int, pid: int, patience: float) -> bytes:
    """All a child tells until its end of the pipe is closed, or until it is killed for its age."""
    deadline, told = time.monotonic() + patience, b""
    while select.select([hear], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(hear, 65536)
        if not piece:
            return told
        told += piece
    os.kill(pid, signal.SIGKILL)
    while piece := os.read(hear, 65536):
        told += piece
    return told


def _main() -> None:
    for module in sys.argv[1:]:
        # What is not there is told by the first child that needs it.
        with suppress(ImportError):
            importlib.import_module(module)
    for line in sys.stdin:
        answer = _one(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # Children find this module under its name, with what was set here.
    sys.modules["nursery"] = sys.modules["__main__"]
    _main()
