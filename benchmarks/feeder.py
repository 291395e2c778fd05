"""Cost of sending to MLflow beside a training that keeps one processor busy.

python benchmarks/feeder.py [--rounds 3] [--trials 2] [--epochs 60]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SLOT = "us4/D/return"
PODIUM = [sys.executable, "-m", "podium"]
# A store as it is after the first command of a project, and as it is before.
STORES = ("existing", "new")
TICKS = os.sysconf("SC_CLK_TCK")


def pinned() -> None:
    """Keep the command, its workers and its sender on one processor."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def sending_seconds(root: Path) -> float:
    """Processor time of the processes that send a project to MLflow."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"podium.steps.workspace.feeder" in words and os.fsencode(root) in words:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / TICKS
        except OSError:
            continue
    return total


def measured(template: Path, root: Path, arguments: list[str]) -> tuple[float, float]:
    """Wall time of one search in a copy of a project, and processor time of its sender."""
    shutil.copytree(template, root)
    command = [*PODIUM, "tune", SLOT, *arguments]
    began = time.perf_counter()
    subprocess.run(command, cwd=root, check=True, capture_output=True, preexec_fn=pinned)
    took, sending = time.perf_counter() - began, sending_seconds(root)
    if "--mlflow" in arguments:
        subprocess.run([*PODIUM, "sync"], cwd=root, check=True, capture_output=True)
    shutil.rmtree(root)
    return took, sending


def main() -> None:
    """Print the sender's share of the time, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    arguments = ["--trials", str(options.trials), "--epochs", str(options.epochs), "--jobs", "1"]
    arguments += ["--schedule", "none", "--finalists", "1", "--seeds", "1"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        # All copies are used in one place, which MLflow's store names.
        work = place / "work"
        init = [*PODIUM, "init", str(work), "--demo", "--quiet"]
        subprocess.run(init, check=True, capture_output=True)
        shutil.copytree(work, place / "new")
        subprocess.run([*PODIUM, "sync", "--mlflow"], cwd=work, check=True, capture_output=True)
        work.rename(place / "existing")
        for store in STORES:
            times: dict[bool, list[float]] = {False: [], True: []}
            shares = []
            for number in range(options.rounds):
                # Alternating order, because the machine is not equally fast all the time.
                for on in ((False, True), (True, False))[number % 2]:
                    more = ["--mlflow"] if on else ["--no-mlflow"]
                    took, sending = measured(place / store, work, [*arguments, *more])
                    times[on].append(took)
                    shares += [sending / took] if on else []
            without, beside = (statistics.median(times[on]) for on in (False, True))
            print(
                f"{store} store: the sender used {statistics.median(shares):.1%} of the processor "
                f"(at most {max(shares):.1%}); {without:.1f} s without, {beside:.1f} s with it, "
                f"{beside / without:.3f} times"
            )


if __name__ == "__main__":
    main()
