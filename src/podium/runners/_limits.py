"""What a trial may take: how long, how much memory; and how much a process uses."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class TrialLimits:
    """What one trial may take; 0: as much as it needs.

    Parameters
    ----------
    seconds : float
        From when a worker is given it.
    memory : int
        Bytes of the worker's own, without the bars that workers share.
    """

    seconds: float = 0.0
    memory: int = 0

    def __bool__(self) -> bool:
        return bool(self.seconds or self.memory)

    def exceeded(self, process: int, seconds: float) -> str:
        """Why a trial in this process is to be ended; empty: it may go on."""
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
    """Bytes a process uses without what it maps and shares; None: this system does not tell.

    Where there is no ``/proc`` the bars are counted too, since ``ps`` tells no more.

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
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, timeout=10
        )
        return int(told.stdout) * 1024
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
