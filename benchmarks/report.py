"""Time of ``podium report`` as a whole process, over a record of 1,000 trials.

Run with ``make bench``. The trials have 12 hyperparameters, curves and losses; none was trained.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _searched import searched_record

TRIALS, REPEATS, SECONDS, BYTES = 1_000, 5, 3.0, 300_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = searched_record(Path(folder) / "p", TRIALS)
        out = Path(folder) / "report.md"
        podium = str(Path(sys.executable).parent / "podium")
        command = [podium, "report", "--project", str(root), "--out", str(out)]
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - started)
        seconds, size = statistics.median(times), out.with_suffix(".html").stat().st_size
    print(
        f"podium report of {TRIALS:,} trials, load {os.getloadavg()[0]:.1f}: {seconds:.2f} s "
        f"(target {SECONDS:g} s: {'met' if seconds <= SECONDS else 'MISSED'}), page of "
        f"{size / 1000:.0f} KB (target {BYTES / 1000:g} KB: "
        f"{'met' if size <= BYTES else 'MISSED'})"
    )


if __name__ == "__main__":
    main()
