"""Deferral of SIGINT and SIGTERM until a transaction has ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer Ctrl-C and ``kill`` to the end of the block.

    An exception between two steps of a database's library would leave its transaction open, and
    the cleanup that follows would wait for its lock forever. A second signal takes effect at once,
    so a transaction that hangs can be ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Handlers that were not set from Python cannot be restored.
    original: dict[int, Callable[[int, Any], Any]] = {
        number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))
    }
    waiting: list[tuple[int, Any]] = []

    def defer(number: int, frame: Any) -> None:
        waiting.append((number, frame))
        if len(waiting) > 1:
            original[number](number, frame)

    for number in original:
        signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in original.items():
            signal.signal(number, handler)
        if len(waiting) == 1:
            received, frame = waiting[0]
            original[received](received, frame)
