"""Create a project: podium.toml; real data and two slots; modules that older scripts import."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from podium.config import FILE
from podium.errors import ConflictError
from podium.files import full_disk_explained, write_atomic, write_new
from podium.hashing import new_id

_IGNORED = (
    ".podium/",
    "hyperparameter_tuning_results/",
    "mlartifacts/",
    "mlflow.db*",
    "models/registry/",
    "podium.db*",
    "reports/",
)
# Modules that older scripts import.
SHIMS = {
    "hparams_tracker.py": "from podium import HyperparamTracker as HyperparamTracker\n",
    "src/__init__.py": "",
    "src/config.py": "from podium import get_active_model_path as get_active_model_path\n",
    "src/model.py": "from podium import load_model as load_model\n",
}


def _silent(message: str) -> None:
    """Drop a message."""


def init(
    folder: Path | str,
    *,
    demo: bool = False,
    compat: bool = False,
    say: Callable[[str], None] = _silent,
) -> Path:
    """Create a project in a folder and return the folder.

    Parameters
    ----------
    folder : path
    demo : bool
        Add daily bars of four US stocks and two slots.
    compat : bool
        Add ``hparams_tracker.py``, ``src/config.py`` and ``src/model.py``, through which older
        scripts use podium; existing files are not changed. Without ``demo`` the folder may be a
        project.
    say : callable
        Receives a message about each of those files.

    Raises
    ------
    ConflictError
        The folder has a podium.toml, which is not changed.

    Examples
    --------
    >>> import tempfile
    >>> root = init(Path(tempfile.mkdtemp()) / "mine", compat=True)
    >>> (root / "hparams_tracker.py").read_text().strip()
    'from podium import HyperparamTracker as HyperparamTracker'
    """
    folder = Path(folder).resolve()
    exists = (folder / FILE).exists()
    if exists and (demo or not compat):
        raise _exists(folder)
    with full_disk_explained(folder):
        if not exists:
            _create(folder, demo)
        if compat:
            _write_shims(folder, say)
    return folder


def _create(folder: Path, demo: bool) -> None:
    shipped = files("podium.demo")
    if demo:
        for source in (shipped / "us4").iterdir():
            write_atomic(folder / "data" / "us4" / source.name, source.read_bytes())
    template = shipped / ("podium.toml" if demo else "template.toml")
    name = json.dumps(folder.name, ensure_ascii=False)
    text = template.read_text(encoding="utf-8").replace("@id@", new_id("p"))
    _ignore(folder / ".gitignore")
    # Last, so that a folder with a podium.toml is a complete project.
    _write_once(folder / FILE, text.replace('"@name@"', name))


def _ignore(path: Path) -> None:
    """Add podium's lines to a .gitignore."""
    present = path.read_text(encoding="utf-8") if path.is_file() else ""
    missing = [line for line in _IGNORED if line not in present.splitlines()]
    if missing:
        gap = "" if not present or present.endswith("\n") else "\n"
        write_atomic(path, present + gap + "\n".join(missing) + "\n")


def _write_once(path: Path, text: str) -> None:
    """Write a new file; of several concurrent calls one succeeds.

    A second project id would detach the runs of the first one.
    """
    try:
        write_new(path, text.encode())
    except ConflictError:
        raise _exists(path.parent) from None


def _exists(folder: Path) -> ConflictError:
    return ConflictError(
        f"{folder / FILE} exists",
        "a folder without one",
        "choose another name; nothing was changed",
    )


def _write_shims(folder: Path, say: Callable[[str], None]) -> None:
    is_package = (folder / "src").is_dir()
    for name, text in SHIMS.items():
        path = folder / name
        if name == "src/__init__.py" and is_package:
            # An existing src/ keeps its way of being imported.
            continue
        if not path.exists():
            write_atomic(path, text)
            say(f"wrote {name}")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            say(
                f"{name} exists and is not changed; for scripts that import it, add the line: "
                f"{text.strip()}"
            )
