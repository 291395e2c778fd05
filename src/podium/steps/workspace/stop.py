"""Requests to stop a step: Ctrl-C, ``podium stop``, or the end of ``--max-time``."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from podium.errors import PodiumError, StoppedError, TimeOverError

AGAIN = "the same command continues"


class StopRequest:
    """Stops the step of a project once its running trials have ended."""

    def __init__(self) -> None:
        self.interrupted = False
        self.deadline = math.inf
        self._deferring = False
        self._received: set[bool] = set()

    def ask(self, *, at_once: bool) -> None:
        """Act as the first Ctrl-C, or as the second; repeated requests have no effect."""
        if at_once in self._received:
            return
        self._received.add(at_once)
        waits = self._deferring and not at_once
        self.interrupted = True
        if not waits:
            # To the main thread, which may wait for its workers.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def forget(self) -> None:
        """Clear the request, as the step has ended."""
        self.interrupted = False
        self._received.clear()

    def within(self, seconds: float) -> None:
        """Set the deadline: start no trial after some seconds."""
        self.deadline = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return self.deadline - time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether no trial may start."""
        return self.interrupted or self.seconds_left <= 0

    def error(self, waiting: int) -> PodiumError:
        """Error that ends the step, once no trial runs.

        Parameters
        ----------
        waiting : int
            Trials that were planned and did not start.
        """
        left = f"; {waiting} planned trials have not started" if waiting else ""
        if self.interrupted:
            return StoppedError(f"stopped; the trials that ran are on record{left}", fix=AGAIN)
        return TimeOverError(f"the time limit of --max-time is over{left}", fix=AGAIN)

    @contextmanager
    def heeded(self, say: Callable[[str], None]) -> Iterator[None]:
        """Treat the first Ctrl-C as a request to stop; the second one stops at once.

        Only with Python's own handler of Ctrl-C; that of another program stays in place.
        """

        def on_interrupt(number: int, frame: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            # The handler may have interrupted a print.
            with suppress(RuntimeError):
                say("stopping once the running trials are on record; Ctrl-C again stops at once")

        default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if not default or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, on_interrupt)
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
            signal.signal(signal.SIGINT, signal.default_int_handler)
