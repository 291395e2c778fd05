"""Environment of a result: code state, packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("podium", "numpy", "scipy", "pandas", "optuna", "sqlalchemy", "torch")

# Files that podium writes into the project; a change of them is no change of the code.
WRITTEN = (
    ".gitignore",
    "experiments/best_config.json",
    "experiments/experiments_log.jsonl",
    "hyperparams/sweep_results.json",
    "models/active_model.txt",
)
_NOT_CODE = [f":(exclude){name}" for name in WRITTEN]


def capture(root: Path, *, device: str = "cpu") -> dict[str, Any]:
    """Git commit and uncommitted changes of a folder, versions, and the machine.

    ``git_commit`` and ``git_diff`` are None where the folder is not in a git repository.
    """
    commit = _git(root, "rev-parse", "HEAD")
    return {
        "git_commit": commit.strip() if commit else None,
        "git_diff": _git(root, "diff", "HEAD", "--", ":/", *_NOT_CODE) if commit else None,
        "packages": {name: version(name) for name in PACKAGES},
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "device": device,
            "threads_a_trial": 1,
        },
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None


def _processor() -> str:
    """Model of the processor; sums of many numbers may be rounded differently on another one."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def version(name: str) -> str | None:
    """Installed version of a package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
