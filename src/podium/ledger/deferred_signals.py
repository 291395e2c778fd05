"""Whatever asks a process to end waits until a transaction has."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Let Ctrl-C and ``kill`` take effect afterwards.

    An exception between any two steps of a database's library would leave its transaction open,
    and whoever then puts the record in order would wait for a lock that nobody gives back. A
    second signal is not held off: somebody waits for a transaction that does not end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Handlers that are not Python's own cannot be put back.
    usual: dict[int, Callable[[int, Any], Any]] = {
        number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))
    }
    waiting: list[tuple[int, Any]] = []

    def wait(number: int, frame: Any) -> None:
        waiting.append((number, frame))
        if len(waiting) > 1:
            usual[number](number, frame)

    for number in usual:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        if len(waiting) == 1:
            asked, frame = waiting[0]
            usual[asked](asked, frame)
