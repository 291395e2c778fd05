"""Whether a step is to start nothing new: somebody asked it to stop, or its time is over."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from podium.errors import PodiumError, StoppedError, TimeOverError

AGAIN = "the same command goes on"


class StopRequest:
    """What stops the search of one project's step, gently."""

    def __init__(self) -> None:
        self.interrupted = False
        self.deadline = math.inf
        self._heeding = False
        self._heard: set[bool] = set()

    def ask(self, *, at_once: bool) -> None:
        """Do as Ctrl-C does, or as the second one; once, however often and by whom it is asked."""
        if at_once in self._heard:
            return
        self._heard.add(at_once)
        gently = self._heeding and not at_once
        self.interrupted = True
        if not gently:
            # To the main thread itself: it may be waiting for its workers.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def forget(self) -> None:
        """Be asked nothing any more: the step has ended."""
        self.interrupted = False
        self._heard.clear()

    def within(self, seconds: float) -> None:
        """Let nothing new begin after so many seconds."""
        self.deadline = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Until the deadline; infinite where there is none."""
        return self.deadline - time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether nothing new may begin."""
        return self.interrupted or self.seconds_left <= 0

    def error(self, waiting: int) -> PodiumError:
        """What ends the step, once nothing runs any more.

        Parameters
        ----------
        waiting : int
            Trials of those asked for last that are not done.
        """
        left = f"; {waiting} of those asked for wait" if waiting else ""
        if self.interrupted:
            return StoppedError(f"stopped as asked; what was running is on record{left}", fix=AGAIN)
        return TimeOverError(f"the time given by --max-time is over{left}", fix=AGAIN)

    @contextmanager
    def heeded(self, say: Callable[[str], None]) -> Iterator[None]:
        """Take the first Ctrl-C for a wish to stop; the second one stops at once.

        Only where Ctrl-C is Python's own: a program that podium is a part of keeps its ways.
        """

        def wish(number: int, frame: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            # The handler may have cut into a print.
            with suppress(RuntimeError):
                say("stopping once the running trials are on record; Ctrl-C again stops at once")

        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if not usual or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, wish)
        self._heeding = True
        try:
            yield
        finally:
            self._heeding = False
            signal.signal(signal.SIGINT, signal.default_int_handler)
