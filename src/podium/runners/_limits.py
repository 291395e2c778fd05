"""Limits of a trial (time and memory), and the memory that a process uses."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class TrialLimits:
    """Limits of one trial; 0: no limit.

    Parameters
    ----------
    seconds : float
        From the moment a worker receives it.
    memory : int
        Bytes of the worker's private memory, without the bars that workers share.
    """

    seconds: float = 0.0
    memory: int = 0

    def __bool__(self) -> bool:
        return bool(self.seconds or self.memory)

    def exceeded(self, process: int, seconds: float) -> str:
        """Reason to end a trial in this process; empty: within its limits."""
        if self.seconds and seconds > self.seconds:
            return f"took longer than {self.seconds:g} s (runner.max_seconds)"
        used = own_memory(process) if self.memory else None
        if used is not None and used > self.memory:
            return (
                f"used {used / GIB:.3g} GiB of memory, {self.memory / GIB:.3g} GiB allowed "
                "(runner.max_memory)"
            )
        return ""


def own_memory(process: int) -> int | None:
    """Bytes a process uses without shared pages; None: this system does not report it.

    Without ``/proc`` the figure of ``ps`` includes the bars.

    Examples
    --------
    >>> own_memory(os.getpid()) > 1_000_000
    True
    """
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text("ascii").split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        pass
    try:
        output = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, timeout=10
        )
        return int(output.stdout) * 1024
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
