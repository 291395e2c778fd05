"""One copy of a job for all workers: its arrays lie in one file that each of them maps."""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from podium.trial import Job

# Arrays begin where any processor likes to read them.
ALIGNED = 64
MEMORY = Path("/dev/shm")
# Of what is free there, so that others find room too.
MOST = 0.8

# Where each array lies: its first byte and how many there are.
Parts = tuple[tuple[int, int], ...]


class Shared:
    """A job pickled once, its arrays beside it in a file without a name.

    Nothing is left behind, however the driver ends: the system frees the file when the last
    process that has it ends or lets go of it.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        buffers: list[pickle.PickleBuffer] = []
        self.head = pickle.dumps(job, protocol=5, buffer_callback=buffers.append)
        raws = [buffer.raw() for buffer in buffers]
        parts, end = [], 0
        for raw in raws:
            parts.append((end, raw.nbytes))
            end += -(-raw.nbytes // ALIGNED) * ALIGNED
        self.parts: Parts = tuple(parts)
        place = _place(end)
        # Unbuffered, so that what does not fit is told here; open as long as workers may need it.
        self.file: FileIO = tempfile.TemporaryFile(dir=place, buffering=0)  # noqa: SIM115
        try:
            for (start, _), raw in zip(parts, raws, strict=True):
                self.file.seek(start)
                while raw.nbytes:
                    raw = raw[self.file.write(raw) :]
            self.file.truncate(max(end, 1))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(place)) from None

    def close(self) -> None:
        """Let go of the file; workers that map it keep what they have."""
        self.file.close()


def opened(head: bytes, parts: Sequence[tuple[int, int]], descriptor: int) -> Job:
    """The job, its arrays mapped; what is written to them stays in this process."""
    try:
        mapped = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY))
    finally:
        os.close(descriptor)
    buffers = [mapped[start : start + count] for start, count in parts]
    job: Job = pickle.loads(head, buffers=buffers)
    return job


def _place(size: int) -> Path:
    """A folder for so many bytes: in memory where there is room, else the one for such files."""
    return MEMORY if _free(MEMORY) * MOST > size else Path(tempfile.gettempdir())


def _free(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize if os.access(folder, os.W_OK) else 0
