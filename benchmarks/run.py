"""Time of a `podium run` without changes, and the gain of training folds in one batch.

Run with ``make bench``. After one whole run of the demo, the same command is timed in new processes
and compared with ``podium --version``: with its cache, and without, so that every step compares its
inputs with the record. Last, the folds of both slots are trained again with two jobs: all configs
in one batch, and config by config.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.steps.search.results import SearchResult
    from podium.steps.workspace.project import Project

LIMIT_SECONDS, LIMIT_WITH_MLFLOW = 0.8, 2.0
ROUNDS = 7
QUIET = 0.5
SLOTS = ("us4/D/volatility", "us4/D/return")


def main() -> None:
    if (load := os.getloadavg()[0]) > QUIET:
        print(f"the machine is busy (load {load:.1f}): read seconds with care\n")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "demo"
        _podium("init", str(root), "--demo", "-q")
        first = _podium("run", "-q", "--jobs", "2", "--project", str(root))
        print(f"a whole run of the demo, 2 jobs: {first:.1f} s")
        _up_to_date(root)
        _side_by_side(root, Path(name))


def _podium(*words: str) -> float:
    """Seconds of a whole command."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "podium", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _up_to_date(root: Path) -> None:
    run = ("run", "-q", "--project", str(root))
    kept = root / ".podium" / "unchanged.json"
    bare, quick, looked = [], [], []
    _podium(*run)
    for _ in range(ROUNDS):
        bare.append(_podium("--version"))
        quick.append(_podium(*run))
    for _ in range(ROUNDS // 2):
        kept.unlink()
        looked.append(_podium(*run))
    _podium(*run, "--mlflow")
    _podium("sync", "--mlflow", "--project", str(root))
    _podium(*run, "--mlflow")
    shown = [_podium(*run, "--mlflow") for _ in range(ROUNDS)]
    base, mine, whole, sent = (statistics.median(times) for times in (bare, quick, looked, shown))
    print(f"podium --version: {base * 1000:.0f} ms")
    for what, seconds, limit in (
        ("podium run, all up to date", mine, LIMIT_SECONDS),
        ("the same with MLflow on, all sent", sent, LIMIT_WITH_MLFLOW),
    ):
        met = "met" if seconds <= limit else "MISSED"
        print(
            f"{what}: {seconds:.2f} s, {seconds / base:.1f} times that "
            f"(target at most {limit:g} s, {met})"
        )
    print(f"the same, every step compared with the record: {whole:.2f} s, {whole / base:.1f} times")


def _side_by_side(root: Path, place: Path) -> None:
    from podium.steps.search.extend import cross_validate
    from podium.steps.search.tune import tuned
    from podium.steps.workspace.session import open_project

    seconds = {}
    for how in ("one batch", "config by config"):
        copy = shutil.copytree(root, place / how.replace(" ", "-"))
        # Another number of epochs is another training, so none is on record.
        with open_project(copy, settings={"runner.jobs": 2, "extend.epochs": 13}) as project:
            searched = [tuned(project, slot) for slot in SLOTS]
            # Start the workers and load torch outside the timing.
            _config_by_config(project, searched[0], 1)
            started = time.perf_counter()
            for one in searched:
                if how == "config by config":
                    _config_by_config(project, one)
                else:
                    cross_validate(project, one)
            seconds[how] = time.perf_counter() - started
    batch, single = seconds["one batch"], seconds["config by config"]
    print(
        f"folds of both slots with 2 jobs: {single:.1f} s config by config, {batch:.1f} s in one "
        f"batch, {single / batch:.2f} times as fast"
    )


def _config_by_config(project: Project, result: SearchResult, count: int | None = None) -> None:
    """Train the folds config by config."""
    from podium.steps.search.extend import folds_of, planned
    from podium.steps.trials import execute
    from podium.steps.trials.context import StudyContext

    split = folds_of(project.config.extend, result.forecast.tuning)
    for extension in planned(project, result, split)[:count]:
        job = execute.job_of(result.data, split, extension.row.family)
        execute.run(StudyContext(project, result.study, result.data, split), job, extension.plans)


if __name__ == "__main__":
    main()
