"""Environment of a result: code state, packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from podium.hashing import digest_bytes
from podium.plugin import FOLDER
from podium.steps.workspace.redact import redact

PACKAGES = ("podium", "numpy", "scipy", "pandas", "optuna", "sqlalchemy", "torch")

# Files that podium writes into the project; a change of them is no change of the code.
WRITTEN = (
    ".gitignore",
    "experiments/best_config.json",
    "experiments/experiments_log.jsonl",
    "hyperparams/best_model_path.txt",
    "hyperparams/sweep_results.json",
    "models/active_model.txt",
)
_NOT_CODE = [f":(exclude){name}" for name in WRITTEN]


# Options that make a diff independent of the user's and the repository's git settings.
_PLAIN = (
    "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/",
    "--no-renames", "--full-index", "--unified=3", "--inter-hunk-context=0", "-O/dev/null",
    "--diff-algorithm=myers", "--indent-heuristic", "--submodule=short", "--no-relative",
    "--ignore-submodules=untracked",
)  # fmt: skip
# Suffixes of programs in commands of own code.
_PROGRAMS = ("", ".py", ".sh", ".bash", ".r", ".jl", ".js", ".lua", ".pl", ".rb")
# Folders of installed packages in a project.
_INSTALLED = ("site-packages", "dist-packages")


def capture(root: Path, *, device: str = "cpu", scripts: Iterable[str] = ()) -> dict[str, Any]:
    """Git commit and uncommitted changes of a folder, versions, and the machine.

    ``git_diff_hash`` is the hash of all uncommitted changes in the repository. ``code_diff`` is the
    diff of the files that podium runs, without secrets (:func:`redact`). Values that git does not
    give are None, as outside a repository.

    Parameters
    ----------
    scripts : iterable of str
        Further files that podium runs, relative to ``root``, beside the plugins and the modules
        that were imported from the folder.
    """
    commit = _git(root, "rev-parse", "HEAD")
    diff = code = None
    if commit is not None:
        diff = _diff(root, ":/", *_NOT_CODE)
        code = _diff(root, *_code_files(root, scripts)) if diff else None
    return {
        "git_commit": commit.decode().strip() if commit else None,
        "git_dirty": None if diff is None else bool(diff),
        "git_diff_hash": digest_bytes(b"text", diff) if diff else None,
        "code_diff": redact(code.decode(errors="replace")) if code else None,
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


def _code_files(root: Path, scripts: Iterable[str]) -> list[str]:
    """Pathspecs of the plugins, the scripts, and the modules imported from a folder."""
    root = root.resolve()
    imported = set[str]()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        path = Path(file).resolve() if isinstance(file, str) else root.parent
        if path.is_relative_to(root) and not {*path.parts} & {*_INSTALLED}:
            imported.add(path.relative_to(root).as_posix())
    plugins = f":(glob){FOLDER}/**/*.py"
    ran = {name for name in scripts if _is_source(Path(name))}
    return [plugins, *(f":(literal){name}" for name in sorted({*imported, *ran}))]


def _is_source(path: Path) -> bool:
    """Whether a file of a command is a program rather than an input, such as ``.env``."""
    return not path.name.startswith(".") and path.suffix.lower() in _PROGRAMS


def _diff(root: Path, *paths: str) -> bytes | None:
    settings = ("-c", "diff.suppressBlankEmpty=false", "-c", "core.quotePath=true")
    return _git(root, *settings, "diff", *_PLAIN, "HEAD", "--", *paths)


def _git(root: Path, *arguments: str) -> bytes | None:
    """Output of git; None where it cannot answer."""
    # The number of context lines may be set in the environment; git status is not rewritten.
    environment = {k: v for k, v in os.environ.items() if k != "GIT_DIFF_OPTS"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            timeout=30,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
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
