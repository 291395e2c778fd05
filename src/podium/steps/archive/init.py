"""Create a project: podium.toml; real data and two slots; modules that older scripts import."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from podium.config import FILE
from podium.errors import ConflictError
from podium.files import full_disk_explained, write_atomic
from podium.hashing import new_id

_TEMPLATE = """\
# What podium may set here: podium show config; every key: docs/config.md.

[project]
name = {name}
id = "{id}"

# [datasets.prices]
# path = "data/prices"          # one <ticker>.csv: date,open,high,low,close,volume,adj_close
# tickers = ["AAA", "BBB"]
# timeframe = "D"

# [slots."prices/D/volatility"]
# dataset = "prices"
# target = "volatility"
# horizon = 5
# features = ["log_return", "log_volatility:21"]
# test_from = "2024-01-01"
"""
_IGNORED = (
    ".podium/",
    "hyperparameter_tuning_results/",
    "mlartifacts/",
    "mlflow.db*",
    "models/registry/",
    "podium.db*",
    "reports/",
)
# Where older scripts look for what podium has now.
SHIMS = {
    "hparams_tracker.py": "from podium import HyperparamTracker as HyperparamTracker\n",
    "src/__init__.py": "",
    "src/config.py": "from podium import get_active_model_path as get_active_model_path\n",
    "src/model.py": "from podium import load_model as load_model\n",
}


def _unheard(text: str) -> None:
    """Nobody listens."""


def init(
    folder: Path | str,
    *,
    demo: bool = False,
    compat: bool = False,
    say: Callable[[str], None] = _unheard,
) -> Path:
    """Lay out a project in a folder; returns the folder.

    Parameters
    ----------
    folder : path
    demo : bool
        With daily bars of four US stocks and two slots.
    compat : bool
        With ``hparams_tracker.py``, ``src/config.py`` and ``src/model.py``, through which older
        scripts reach podium; existing files are left alone. With it alone the folder may be a
        project already.
    say : callable
        Hears which of those files were written and which were left.

    Raises
    ------
    ConflictError
        The folder holds a podium.toml already; it is left as it is.

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
        text = (shipped / "podium.toml").read_text(encoding="utf-8").replace("@id@", new_id("p"))
    else:
        name = json.dumps(folder.name, ensure_ascii=False)
        text = _TEMPLATE.format(name=name, id=new_id("p"))
    _ignore(folder / ".gitignore")
    # Last, so that a folder with a podium.toml is a whole project.
    _write_once(folder / FILE, text)


def _ignore(path: Path) -> None:
    """Add podium's lines to a .gitignore; those that are there stay."""
    present = path.read_text(encoding="utf-8") if path.is_file() else ""
    missing = [line for line in _IGNORED if line not in present.splitlines()]
    if missing:
        gap = "" if not present or present.endswith("\n") else "\n"
        write_atomic(path, present + gap + "\n".join(missing) + "\n")


def _write_once(path: Path, text: str) -> None:
    """Write a file that must not be there yet; of several who try at once one succeeds.

    Two project ids in turn would make the first one's runs somebody else's.
    """
    beside = path.with_name(f".{path.name}.{new_id('n')}")
    write_atomic(beside, text)
    try:
        os.link(beside, path)
    except FileExistsError:
        raise _exists(path.parent) from None
    except OSError:
        # A file system without hard links.
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
            # How an existing src/ is imported is its owner's business.
            continue
        if not path.exists():
            write_atomic(path, text)
            say(f"wrote {name}")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            say(
                f"left {name} as it is: it was there before. To let scripts reach podium through "
                f"it, give it the line: {text.strip()}"
            )
