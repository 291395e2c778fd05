"""One copy of a job for all workers: its arrays are in one file that each worker maps."""

from __future__ import annotations

import mmap
import os
import pickle
import shutil
import tempfile
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from podium.trial import Job

# Arrays begin at a cache line.
ALIGNED = 64
MEMORY = Path("/dev/shm")
# Share of the free memory there, so that other programs have room too.
MAX_SHARE = 0.8

# First byte and number of bytes of each array.
Parts = tuple[tuple[int, int], ...]


class SharedJob:
    """A job pickled once, with its arrays in a file without a name.

    The system frees the file when the last process that holds it ends or closes it, so nothing is
    left behind, however the driver ends.

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
        # Unbuffered, so that a full disk raises here; open as long as workers may need it.
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
        """Close the file; workers that map it keep their view."""
        self.file.close()


def load_shared(head: bytes, parts: Sequence[tuple[int, int]], descriptor: int) -> Job:
    """Return the job with mapped arrays; changes to them stay in this process."""
    try:
        mapped = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY))
    finally:
        os.close(descriptor)
    buffers = [mapped[start : start + count] for start, count in parts]
    job: Job = pickle.loads(head, buffers=buffers)
    return job


def _place(size: int) -> Path:
    """Folder for so many bytes: in memory if there is room, else that of temporary files."""
    free = shutil.disk_usage(MEMORY).free if os.access(MEMORY, os.W_OK) else 0
    return MEMORY if free * MAX_SHARE > size else Path(tempfile.gettempdir())
